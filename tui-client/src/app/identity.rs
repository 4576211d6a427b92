//! Who a peer is from one room to the next: known again by its key, or called like somebody who is remembered and not that one,
//! which is loud, and nothing of it is shown before the user has decided.

use patchcord_peer::{Judgement, PeerId, Shown};

use super::{
    App, Effect, Level, RequestError,
    roster::{Member, Verification},
};
use crate::{
    clock::Moment,
    identity::{Decision, How, Opinion, Outcome},
    safe_text::SafeText,
};

impl App {
    /// What a peer showed, and what was made of it before any of its texts.
    pub(super) fn identity_shown(&mut self, shown: Shown, judgement: Judgement, now: Moment) -> Vec<Effect> {
        let opinion = self.trust.opinion(&shown);
        let sealed = self.invite.is_some();
        let Some(member) = self.roster.get_mut(&shown.peer_id) else { return Vec::new() };
        let before = member.verification;
        // The warning names it, and comes before its channel is open.
        if sealed && member.name.as_str().is_empty() {
            member.name = SafeText::name(&shown.display_name);
        }
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

    /// The answer to a decision. What was decided about one that shows something else by now does not count for that.
    pub(super) fn decided(
        &mut self,
        peer_id: &PeerId,
        decision: &Decision,
        result: &Result<Outcome, RequestError>,
        now: Moment,
    ) {
        let handle = self.roster.handle(peer_id);
        let stands = match (result, decision) {
            (Ok(_), Decision::Verified { shown, .. }) => self.take_for_verified(peer_id, shown),
            _ => true,
        };
        let (level, text) = match result {
            Err(error) => (Level::Problem, format!("{handle}: {error}")),
            Ok(outcome) if stands => (Level::Info, outcome_words(&handle, decision, outcome)),
            Ok(outcome) => {
                let more = forgotten_words(outcome);
                let why =
                    format!("{handle} is not what you compared any more: compare again, /verify {handle}");
                (Level::Problem, format!("{why}{more}"))
            }
        };
        if let (Ok(Outcome::Refused), Some(member)) = (result, self.roster.get_mut(peer_id)) {
            (member.refused, member.typing_until) = (true, None);
        }
        self.notice(level, &text, now);
    }

    /// No where the peer shows something else by now than what was decided about.
    fn take_for_verified(&mut self, peer_id: &PeerId, decided: &Shown) -> bool {
        let Some(member) = self.roster.get_mut(peer_id) else { return true };
        let Some(shown) = &member.shown else { return false };
        let same = (shown.key, shown.certificate) == (decided.key, decided.certificate);
        // Another name alone may have made it one that is held.
        let stands = same && (!member.held || shown.display_name == decided.display_name);
        if stands {
            (member.verification, member.held) = (Verification::Verified, false);
        }
        stands
    }
}

fn outcome_words(handle: &SafeText, decision: &Decision, outcome: &Outcome) -> String {
    let key = match decision {
        Decision::Verified { shown, .. } => shown.key,
        Decision::Refuse => None,
    };
    match outcome {
        Outcome::Remembered { .. } => {
            let key = key.map(|key| format!(" by its key {}", key.short())).unwrap_or_default();
            let more = forgotten_words(outcome);
            format!("{handle} is verified, and is known again{key} wherever you meet it{more}")
        }
        Outcome::Session { why } => {
            format!("{handle} is verified, for as long as this room is open here: {why}")
        }
        Outcome::Refused => {
            format!("{handle} is refused and disconnected: /connect {handle} takes it back")
        }
    }
}

/// A line for each key that somebody else's took the place of.
fn forgotten_words(outcome: &Outcome) -> String {
    let Outcome::Remembered { forgotten } = outcome else { return String::new() };
    forgotten.iter().map(|known| format!("\n{}", known.forgotten_words())).collect()
}

fn changed_words(handle: &SafeText, shown: &Shown, opinion: &Opinion) -> String {
    let key = shown.key.map_or("it shows no key".to_owned(), |key| format!("its key is {}", key.short()));
    let what = match opinion {
        Opinion::CalledLike(known) => {
            let met = match known.how {
                How::Compared => "that you verified on",
                How::Code => "that knew a code with you on",
            };
            format!(
                "WARNING: {handle} is not the {} {met} {}: {key}, and that one's is {}. It may have a new device or \
                 profile, or somebody takes its name.",
                known.name,
                known.day(),
                known.key.short()
            )
        }
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
