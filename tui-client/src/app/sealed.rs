//! What a sealed room adds: peers without a name until they have proved that they know the code, the code to be shown
//! again, and the short strings that two people can compare.

use patchcord_peer::{Peer, PeerId, ProblemCode, ShortString};

use super::{
    App, Effect, Level, Surface,
    identity::known_words,
    layout::{self, Areas},
    overlay::{OverlayRow, wrapped},
    roster::{Member, ResolveError, Verification},
    screen::OverlayKind,
};
use crate::{
    clock::Moment,
    safe_text::SafeText,
    sealed::{
        Invite,
        guesses::GUESSES_MAX,
        qr::{QR_COLUMNS, QR_ROWS},
    },
};

/// Columns that the text keeps beside a QR code.
const TEXT_COLUMNS_MIN: usize = 30;
/// Between the two.
const GAP_COLUMNS: usize = 2;

impl App {
    /// How others come in, if the room is sealed.
    pub fn invite(&self) -> Option<&Invite> {
        self.invite.as_ref()
    }

    /// Takes a peer into the roster. Of names in a sealed room the server knows none, so what it says is not shown.
    pub(super) fn meet(&mut self, peer: &Peer) {
        let nameless = |member: &Member| !member.channel_open && member.name.as_str().is_empty();
        let hidden = self.invite.is_some() && self.roster.get(&peer.id).is_none_or(nameless);
        self.roster.insert(peer);
        if let Some(member) = self.roster.get_mut(&peer.id).filter(|_| hidden) {
            member.name = SafeText::default();
        }
    }

    pub(super) fn verified(&mut self, peer_id: &PeerId, string: ShortString) {
        let first = self.roster.members().iter().all(|member| member.string.is_none());
        let Some(member) = self.roster.get_mut(peer_id) else { return };
        member.string = Some(string);
        if !member.held {
            member.verification = Verification::Verified;
        }
        // The code was shown to let somebody in.
        if first && self.screen.shows(OverlayKind::Code) {
            self.screen.overlay = None;
        }
    }

    /// In an open room: there is something to compare, which proves nothing before it is. What came with it, the identity,
    /// was judged before.
    pub(super) fn string_to_compare(&mut self, peer_id: &PeerId, string: ShortString) {
        if let Some(member) = self.roster.get_mut(peer_id) {
            member.string = Some(string);
        }
    }

    /// What is said when the chat with a peer opens.
    pub(super) fn verified_words(&self, peer_id: &PeerId) -> String {
        let verified = match self.roster.get(peer_id).map(|member| member.verification) {
            Some(Verification::Verified) if self.invite.is_some() => ", verified: it knows the code",
            Some(Verification::Verified) => ", verified",
            Some(Verification::Changed) => ", and blocked",
            _ => "",
        };
        let known = self.roster.get(peer_id).and_then(known_words);
        format!("{verified}{}", known.map(|words| format!(", {words}")).unwrap_or_default())
    }

    /// What is said after a problem: how many more a code stands.
    pub(super) fn guesses_words(&self, code: ProblemCode) -> String {
        match (code, self.guesses_used) {
            (ProblemCode::OtherCode, used @ 1..) => {
                format!(" (wrong words so far: {used}; at {GUESSES_MAX} the code is used up)")
            }
            _ => String::new(),
        }
    }

    pub(super) fn show_code(&mut self, now: Moment) {
        match self.surface {
            Surface::Screen { .. } => self.screen.toggle(OverlayKind::Code),
            Surface::Lines => self.notice(Level::Info, &self.code_lines().join("\n"), now),
        }
    }

    pub(super) fn verify(&mut self, peer: Option<&str>, now: Moment) -> Result<Vec<Effect>, String> {
        let decided = peer.and_then(|typed| typed.strip_suffix(" yes"));
        let decided = decided.map(|typed| self.roster.resolve(typed.trim_end()));
        if let Some(Ok(peer)) = decided {
            return self.compared(&peer);
        }
        let peer = peer.map(|typed| self.roster.resolve(typed)).transpose();
        let peer = peer.map_err(|error| match (&error, decided) {
            (ResolveError::Nobody(_), Some(Err(of_the_name))) => of_the_name.to_string(),
            _ => error.to_string(),
        })?;
        match self.surface {
            Surface::Screen { .. } => {
                self.screen.verify = peer;
                self.screen.toggle(OverlayKind::Verify);
            }
            Surface::Lines => {
                let lines = self.verify_lines(peer.as_ref());
                self.notice(Level::Info, &lines.join("\n"), now);
            }
        }
        Ok(Vec::new())
    }

    /// Whether a QR code has room beside the text.
    pub fn qr_fits(&self) -> bool {
        let area = self.areas().as_ref().map(Areas::overlay).unwrap_or_default();
        let columns = layout::overlay_columns(area);
        self.invite.is_some()
            && columns >= QR_COLUMNS + GAP_COLUMNS + TEXT_COLUMNS_MIN
            && usize::from(area.height) >= QR_ROWS + 2
    }

    pub(super) fn code_rows(&self, columns: usize) -> Vec<OverlayRow> {
        let columns = if self.qr_fits() { columns - QR_COLUMNS - GAP_COLUMNS } else { columns };
        let mut lines = self.code_lines();
        if self.invite.is_some() && !self.qr_fits() {
            let (width, height) = (QR_COLUMNS + GAP_COLUMNS + TEXT_COLUMNS_MIN + 4, QR_ROWS + 6);
            lines.push(format!("  A QR code is shown from {width} columns and {height} rows on."));
        }
        lines.iter().flat_map(|line| wrapped(line, columns)).collect()
    }

    fn code_lines(&self) -> Vec<String> {
        let Some(invite) = &self.invite else {
            return [
                "This room is open: it has no code",
                "  Whoever knows its name can join, and its server could stand between you.",
                "  patchcord join --new makes a room with a code.",
            ]
            .map(String::from)
            .into();
        };
        let mut lines = vec![
            invite.code.reveal().to_string(),
            "  Read it aloud, or send it where nobody else reads. Whoever knows it can join; the server does not.".into(),
            "Others type".into(),
            format!("  {}", invite.join_command()),
            "  and then the code, or in one line, which other users of their machine can see:".into(),
            format!("  {}", invite.whole_command()),
        ];
        if self.guesses_used > 0 {
            lines.push(format!("Wrong words so far: {}", self.guesses_used));
            lines.push(format!("  At {GUESSES_MAX} the code is used up."));
        }
        lines
    }

    pub(super) fn verify_rows(&self, columns: usize) -> Vec<OverlayRow> {
        let lines = self.verify_lines(self.screen.verify.as_ref());
        lines.iter().flat_map(|line| wrapped(line, columns)).collect()
    }

    fn verify_lines(&self, peer: Option<&PeerId>) -> Vec<String> {
        let asked = |member: &&Member| peer.is_none_or(|peer| *peer == member.id);
        let members: Vec<&Member> = self.roster.members().iter().filter(asked).collect();
        let mut lines: Vec<String> = members.iter().flat_map(|member| self.string_lines(member)).collect();
        if members.is_empty() {
            lines.push("nobody else is here yet".into());
        }
        if members.iter().any(|member| member.string.is_some()) {
            lines.push("How to compare".into());
            lines.push(
                "  On a call or side by side, read the words to each other, or the numbers. The same on both \
                 screens: nobody is between you, and whoever reads them is whoever writes. Not the same: \
                 somebody is between you; leave, and tell the other so."
                    .into(),
            );
            lines
                .push("  When they are the same: /verify PEER yes, which remembers its identity key.".into());
        }
        lines
    }

    fn string_lines(&self, member: &Member) -> Vec<String> {
        let handle = self.roster.handle(&member.id);
        let by_code = if self.invite.is_some() { " by the code" } else { "" };
        let Some(string) = member.string else {
            let why = match self.invite {
                Some(_) => "  It has not proved that it knows the code. Nothing is sent to it before.",
                None => {
                    "  There is nothing to compare with it yet, or its program has none. A server that lies could \
                     stand between you; patchcord join --new makes a room in which none can."
                }
            };
            return vec![format!("{handle}: unverified"), why.into()];
        };
        let numbers = string.numbers().map(|number| number.to_string()).join(" ");
        let verification = member.verification.as_str();
        let by_code = if member.verification == Verification::Verified { by_code } else { "" };
        let mut lines =
            vec![format!("{handle}: {verification}{by_code}"), format!("  {string}"), format!("  {numbers}")];
        if let Some(shown) = &member.shown {
            let key = shown.key.map_or("none shown".into(), |key| key.short());
            let known = known_words(member).map(|words| format!(", {words}")).unwrap_or_default();
            lines.push(format!("  identity key: {key}{known}"));
        }
        if member.refused {
            lines.push(format!("  refused: /connect {handle} takes it back"));
        } else if member.held {
            lines.push(format!(
                "  blocked: /verify {handle} yes when the words are the same, /refuse {handle} when they are not"
            ));
        }
        lines
    }
}

/// Whether a peer is the one that it should be, in a word.
pub fn verified_word(member: &Member) -> &'static str {
    member.verification.as_str()
}
