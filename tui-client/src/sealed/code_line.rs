//! The line in which a room or a code is typed before there is a screen: pure, from keys to the line. Tab completes
//! the words of a code.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use patchcord_peer::Code;

/// The longest name of a room has 128 bytes, and a code fewer.
const LINE_BYTES_MAX: usize = 256;
/// Words that are offered; of more, one letter more is asked for.
const OFFERED_MAX: usize = 12;
const WORDS_PER_CODE: usize = 3;

/// What a key has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The line goes on.
    Typing,
    /// Enter.
    Done,
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D on an empty line.
    Ended,
}

/// A line that is being typed; the cursor is at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeLine {
    text: String,
    offered: Vec<&'static str>,
}

impl CodeLine {
    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The words that Tab could not choose between.
    pub fn offered(&self) -> &[&'static str] {
        &self.offered
    }

    /// Puts `text` in, as somebody pastes it, without line breaks around it.
    pub fn insert(&mut self, text: &str) {
        self.offered.clear();
        for c in text.trim_matches(['\r', '\n']).chars().filter(|c| !c.is_control()) {
            if self.text.len() + c.len_utf8() <= LINE_BYTES_MAX {
                self.text.push(c);
            }
        }
    }

    /// Takes a key in.
    pub fn key(&mut self, key: KeyEvent) -> Step {
        if key.kind == KeyEventKind::Release {
            return Step::Typing;
        }
        self.offered.clear();
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, control) {
            (KeyCode::Enter, _) | (KeyCode::Char('j' | 'm'), true) => return Step::Done,
            (KeyCode::Char('c'), true) => return Step::Interrupted,
            (KeyCode::Char('d'), true) if self.text.is_empty() => return Step::Ended,
            (KeyCode::Char('u'), true) => self.text.clear(),
            (KeyCode::Char('w'), true) => self.text.truncate(self.word_start().saturating_sub(1)),
            (KeyCode::Backspace, _) | (KeyCode::Char('h'), true) => drop(self.text.pop()),
            (KeyCode::Tab, _) | (KeyCode::Char('i'), true) => self.complete(),
            (KeyCode::Char(c), false) => self.insert(c.encode_utf8(&mut [0; 4])),
            _ => {}
        }
        Step::Typing
    }

    fn word_start(&self) -> usize {
        self.text.rfind(['-', ' ']).map_or(0, |at| at + 1)
    }

    /// Takes the word as far as all words that begin so agree; a whole one is followed by the next hyphen.
    fn complete(&mut self) {
        let start = self.word_start();
        let before = self.text[..start].split(['-', ' ']).filter(|part| !part.is_empty()).count();
        if !(1..=WORDS_PER_CODE).contains(&before) || start == self.text.len() {
            return;
        }
        let words: Vec<&str> = Code::completions(&self.text[start..]).collect();
        let Some(first) = words.first() else { return };
        let agreed = words.iter().skip(1).fold(first.len(), |agreed, word| {
            first.bytes().zip(word.bytes()).take(agreed).take_while(|(a, b)| a == b).count()
        });
        let grown = start + agreed > self.text.len();
        self.text.replace_range(start.., &first[..agreed]);
        match words.len() {
            1 if before < WORDS_PER_CODE => self.text.push('-'),
            1 => {}
            2..=OFFERED_MAX if !grown => self.offered = words,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn typed(text: &str) -> CodeLine {
        let mut line = CodeLine::default();
        for c in text.chars() {
            let code = if c == '\t' { KeyCode::Tab } else { KeyCode::Char(c) };
            assert_eq!(line.key(KeyEvent::new(code, KeyModifiers::NONE)), Step::Typing);
        }
        line
    }

    fn control(line: &mut CodeLine, c: char) -> Step {
        line.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL))
    }

    #[test]
    fn tab_completes_a_word_and_goes_on_to_the_next() {
        let line = typed("7k3m9xqd-aco\trop\tyard\t");
        assert_eq!(line.text(), "7k3m9xqd-acorn-rope-yard");
        assert!(Code::parse(line.text()).is_ok());
        assert_eq!(typed("7k3m9xqd ACO\t").text(), "7k3m9xqd acorn-", "in any case, after a space too");
    }

    #[test]
    fn tab_offers_what_it_cannot_choose_between() {
        let line = typed("7k3m9xqd-ac\t");
        assert_eq!(line.text(), "7k3m9xqd-ac");
        assert_eq!(line.offered(), Code::completions("ac").collect::<Vec<_>>());
        assert!(line.offered().contains(&"acorn"));
        assert!(typed("7k3m9xqd-ac\to").offered().is_empty(), "the offer ends with the next key");
        assert!(typed("7k3m9xqd-a\t").offered().is_empty(), "too many");
    }

    #[test]
    fn the_name_of_a_room_is_left_alone() {
        assert_eq!(typed("lob\t").text(), "lob");
        assert_eq!(typed("7k3m9xqd-acorn-rope-yard-aco\t").text(), "7k3m9xqd-acorn-rope-yard-aco");
        assert_eq!(typed("7k3m9xqd-zzz\t").text(), "7k3m9xqd-zzz");
    }

    #[test]
    fn the_keys_of_a_shell_edit_and_end_the_line() {
        let mut line = typed("one-two");
        assert_eq!((control(&mut line, 'w'), line.text()), (Step::Typing, "one"));
        assert_eq!((control(&mut line, 'h'), line.text()), (Step::Typing, "on"));
        assert_eq!((control(&mut line, 'd'), line.text()), (Step::Typing, "on"));
        assert_eq!((control(&mut line, 'u'), line.text()), (Step::Typing, ""));
        assert_eq!(control(&mut line, 'd'), Step::Ended);
        assert_eq!(control(&mut line, 'c'), Step::Interrupted);
        assert_eq!(line.key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE)), Step::Done);
    }

    proptest! {
        #[test]
        fn no_input_grows_the_line_beyond_its_limit_or_into_control_characters(
            pasted in proptest::collection::vec("\\PC{0,40}|.{0,40}", 0..12), tabs in 0usize..3,
        ) {
            let mut line = CodeLine::default();
            for text in pasted {
                line.insert(&text);
                for _ in 0..tabs {
                    line.key(KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE));
                }
            }
            // A completed word may go beyond by its rest.
            prop_assert!(line.text().len() <= LINE_BYTES_MAX + 6);
            prop_assert!(!line.text().chars().any(char::is_control));
        }
    }
}
