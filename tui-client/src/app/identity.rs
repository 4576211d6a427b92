//! Who a peer is from one room to the next: known again by its key, or called like somebody who is remembered and not that one,
//! which is loud, and nothing of it is shown before the user has decided.

use patchcord_peer::{Judgement, PeerId, Shown};

use super::{
    App, Effect, Level,
    roster::{Member, Verification},
};
use crate::{
    clock::Moment,
    identity::{Decision, Opinion, Outcome},
    safe_text::SafeText,
};

impl App {
    /// What a peer showed, and what was made of it before any of its texts.
    pub(super) fn identity_shown(&mut self, shown: Shown, judgement: Judgement, now: Moment) -> Vec<Effect> {
        let opinion = self.trust.opinion(&shown);
        let sealed = self.invite.is_some();
        let Some(member) = self.roster.get_mut(&shown.peer_id) else { return Vec::new() };
        let before = member.verification;
        let peer_id = shown.peer_id.clone();
        let other_certificate =
            member.shown.as_ref().is_some_and(|before| before.certificate != shown.certificate);
        let is_news = !member.held || member.shown.as_ref().is_none_or(|before| before.key != shown.key);
        member.held = judgement == Judgement::Held;
        member.known = match &opinion {
            Opinion::Known(known) if judgement == Judgement::Known => Some(known.clone()),
            _ => None,
        };
        member.verification = match judgement {
            Judgement::Held => Verification::Changed,
            Judgement::Known => Verification::Verified,
            Judgement::New if sealed => Verification::Verified,
            Judgement::New if before == Verification::Verified && !other_certificate => before,
            Judgement::New => Verification::Unverified,
        };
        if other_certificate && !sealed {
            // That of another channel.
            member.string = None;
        }
        member.shown = Some(shown.clone());
        if judgement != Judgement::Held || !is_news {
            return Vec::new();
        }
        member.typing_until = None;
        let handle = self.roster.handle(&peer_id);
        let text = changed_words(&handle, &shown, &opinion);
        self.notice(Level::Problem, &text, now);
        self.hint_at(&format!("{handle} is blocked: it is not who it was"), now);
        vec![Effect::Bell]
    }

    /// The user has compared: `/verify PEER yes`.
    pub(super) fn compared(&mut self, peer: &PeerId) -> Result<Vec<Effect>, String> {
        self.require_joined()?;
        let handle = self.roster.handle(peer);
        let Some(member) = self.roster.get(peer) else { return Ok(Vec::new()) };
        let (Some(string), Some(shown)) = (member.string, member.shown.clone()) else {
            return Err(format!("there is nothing to compare with {handle} yet"));
        };
        let decision = Decision::Verified { shown, string };
        Ok(vec![Effect::Decide { peer_id: peer.clone(), decision }])
    }

    /// `/refuse PEER`
    pub(super) fn refuse(&mut self, peer: &str) -> Result<Vec<Effect>, String> {
        self.require_joined()?;
        let peer_id = self.roster.resolve(peer).map_err(|error| error.to_string())?;
        Ok(vec![Effect::Decide { peer_id, decision: Decision::Refuse }])
    }

    /// The answer to a decision.
    pub(super) fn decided(&mut self, peer_id: &PeerId, outcome: &Outcome, now: Moment) {
        let handle = self.roster.handle(peer_id);
        let member = self.roster.get_mut(peer_id);
        let key = member.as_ref().and_then(|member| member.shown.as_ref()?.key);
        let (level, text) = match outcome {
            Outcome::Remembered => {
                let key = key.map(|key| format!(" by its key {}", key.short())).unwrap_or_default();
                (Level::Info, format!("{handle} is verified, and is known again{key} wherever you meet it"))
            }
            Outcome::Session { why } => {
                (Level::Info, format!("{handle} is verified, for as long as this room is open here: {why}"))
            }
            Outcome::Refused => {
                let text = format!("{handle} is refused and disconnected: /connect {handle} takes it back");
                (Level::Info, text)
            }
            Outcome::Failed { error } => (Level::Problem, format!("{handle}: {error}")),
        };
        if let (Outcome::Remembered | Outcome::Session { .. }, Some(member)) = (outcome, member) {
            member.verification = Verification::Verified;
            member.held = false;
        }
        self.notice(level, &text, now);
    }
}

fn changed_words(handle: &SafeText, shown: &Shown, opinion: &Opinion) -> String {
    let key = shown.key.map_or("it shows no key".to_owned(), |key| format!("its key is {}", key.short()));
    let what = match opinion {
        Opinion::CalledLike(known) => format!(
            "WARNING: {handle} is not the {} that you verified on {}: {key}, and that one's is {}. It may have a new \
             device or profile, or somebody takes its name.",
            known.name,
            known.day(),
            known.key.short()
        ),
        _ => format!(
            "WARNING: {handle} is not the one that you verified: it shows another certificate, and {key}. It began anew, \
             or somebody is between you."
        ),
    };
    format!(
        "{what}\n{handle} is blocked: nothing of it is shown and nothing sent to it. Compare with it first, /verify \
         {handle}; then /verify {handle} yes takes it for the one, or /refuse {handle} disconnects it."
    )
}

/// What is known of a peer beyond that it is verified, for lists.
pub(super) fn known_words(member: &Member) -> Option<String> {
    let known = member.known.as_ref()?;
    let name = if known.name == member.name { String::new() } else { format!(" as {}", known.name) };
    Some(format!("remembered{name} since {} ({})", known.day(), known.how.words()))
}

/// The name under which a peer was verified, if it is called otherwise now.
pub fn other_name(member: &Member) -> Option<&SafeText> {
    member.known.as_ref().map(|known| &known.name).filter(|name| **name != member.name)
}
