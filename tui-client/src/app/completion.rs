//! What Tab offers: commands, their arguments, and the names of the peers.

use super::Roster;
use crate::command::Name;

/// Candidates for the word before the cursor; Tab goes round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    candidates: Vec<String>,
    index: usize,
    /// Bytes before the cursor that the shown candidate takes.
    pub bytes: usize,
}

impl Completion {
    /// What `before`, the text before the cursor, can become; `None` when there is nothing.
    pub fn of(before: &str, roster: &Roster) -> Option<Self> {
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let word_start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let word = &before[word_start..];
        let first_word = before[..word_start].split_whitespace().next();
        let candidates = match first_word {
            None if word.starts_with('/') && word_start == 0 => commands(&word[1..], "/", " "),
            Some("/help") => commands(word.trim_start_matches('/'), "", ""),
            Some("/msg" | "/connect" | "/verify" | "/refuse")
                if before[..word_start].split_whitespace().count() == 1 =>
            {
                peers(word, roster, " ")
            }
            _ if word.is_empty() => Vec::new(),
            _ => peers(word, roster, if word_start == line_start && line_start == 0 { ": " } else { " " }),
        };
        // One more than the last, so that the first Tab shows the first candidate and Shift-Tab the last.
        let index = candidates.len();
        (!candidates.is_empty()).then_some(Self { candidates, index, bytes: word.len() })
    }

    /// The next candidate, or the one before; and how many bytes before the cursor it replaces.
    pub fn turn(&mut self, back: bool) -> (usize, &str) {
        let count = self.candidates.len();
        let fresh = self.index == count;
        self.index = match (back, fresh) {
            (false, true) => 0,
            (false, false) => (self.index + 1) % count,
            (true, true) => count - 1,
            (true, false) => (self.index + count - 1) % count,
        };
        let shown = &self.candidates[self.index];
        (std::mem::replace(&mut self.bytes, shown.len()), shown)
    }

    /// The candidates.
    pub fn candidates(&self) -> &[String] {
        &self.candidates
    }
}

fn commands(beginning: &str, prefix: &str, suffix: &str) -> Vec<String> {
    let beginning = beginning.to_ascii_lowercase();
    let names = Name::ALL.into_iter().map(Name::as_str);
    names.filter(|name| name.starts_with(&beginning)).map(|name| format!("{prefix}{name}{suffix}")).collect()
}

/// The handles that begin with `beginning` in any case. One with spaces or marks could not be typed back:
/// the peer's id stands for it.
fn peers(beginning: &str, roster: &Roster, suffix: &str) -> Vec<String> {
    let beginning = beginning.trim_start_matches('@').to_lowercase();
    let handles = roster.members().iter().map(|member| (member, roster.handle(&member.id)));
    handles
        .filter(|(_, handle)| handle.as_str().to_lowercase().starts_with(&beginning))
        .map(|(member, handle)| {
            let typed = handle.as_str();
            let plain = !typed.contains([' ', '⟨', '"']) && roster.resolve(typed).as_ref() == Ok(&member.id);
            if plain { format!("{typed}{suffix}") } else { format!("#{}{suffix}", member.id.short()) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use patchcord_peer::{Peer, PeerId, Untrusted};

    use super::*;
    use crate::safe_text::SafeText;

    fn roster() -> Roster {
        let mut roster = Roster::new(PeerId::parse("me").unwrap(), SafeText::line("me"));
        for (id, name) in [("aaaa1", "ana"), ("bbbb1", "anders"), ("cccc1", "Dee Dee")] {
            roster.insert(&Peer {
                id: PeerId::parse(id).unwrap(),
                display_name: Untrusted::new(name),
                joined_at: SystemTime::UNIX_EPOCH,
                attached: true,
            });
        }
        roster
    }

    fn candidates(before: &str) -> Vec<String> {
        Completion::of(before, &roster()).map(|completion| completion.candidates).unwrap_or_default()
    }

    #[test]
    fn commands_their_arguments_and_names_are_offered() {
        assert_eq!(candidates("/n"), ["/nick ", "/net "]);
        assert_eq!(candidates("/help n"), ["nick", "net"]);
        assert_eq!(candidates("/msg an"), ["ana ", "anders "]);
        assert_eq!(candidates("/msg de"), ["#cccc "]);
        assert_eq!(candidates("/refuse "), ["ana ", "anders ", "#cccc "]);
        assert_eq!(candidates("an"), ["ana: ", "anders: "]);
        assert_eq!(candidates("hello AN"), ["ana ", "anders "]);
        assert_eq!(candidates("hello "), Vec::<String>::new());
        assert_eq!(candidates("a /n"), Vec::<String>::new());
    }

    #[test]
    fn tab_goes_round_in_both_directions() {
        let mut completion = Completion::of("an", &roster()).unwrap();
        assert_eq!(completion.turn(false), (2, "ana: "));
        assert_eq!(completion.turn(false), (5, "anders: "));
        assert_eq!(completion.turn(false), (8, "ana: "));
        assert_eq!(completion.turn(true), (5, "anders: "));
        let mut completion = Completion::of("an", &roster()).unwrap();
        assert_eq!(completion.turn(true), (2, "anders: "));
    }
}
