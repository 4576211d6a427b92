//! JSON text that is plainly printable, whatever it tells of: a terminal that shows it cannot be attacked.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

/// `value` as JSON on one line, with every character that is not plainly printable as `\uXXXX`: C0, DEL, C1,
/// bidirectional and zero-width characters, lone combining marks, private use and unassigned ones.
pub(super) fn to_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::with_capacity(128);
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, Printable);
    value
        .serialize(&mut serializer)
        .expect("strings, numbers and named fields always serialize, and a Vec takes all");
    line.push(b'\n');
    line
}

struct Printable;

impl Formatter for Printable {
    /// Fragments come without quotes, backslashes and C0 characters: serde_json escapes those itself.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain_from = 0;
        for (at, character) in fragment.char_indices() {
            if is_printable(character) {
                continue;
            }
            writer.write_all(&fragment.as_bytes()[plain_from..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain_from = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain_from..])
    }
}

fn is_printable(character: char) -> bool {
    // The standard library's own table of what Debug shows as it is; it also escapes the apostrophe.
    character == '\'' || character.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(text: &str) -> String {
        String::from_utf8(to_line(&text)).unwrap()
    }

    #[test]
    fn hostile_characters_are_written_as_escapes() {
        assert_eq!(line("\u{1b}[2J"), "\"\\u001b[2J\"\n");
        assert_eq!(line("\u{9b}31m\u{7f}"), "\"\\u009b31m\\u007f\"\n");
        assert_eq!(line("a\u{202e}b\u{200b}c\u{2028}"), "\"a\\u202eb\\u200bc\\u2028\"\n");
        assert_eq!(line("\u{e0041}"), "\"\\udb40\\udc41\"\n");
    }

    #[test]
    fn plain_text_of_any_script_stays_readable() {
        assert_eq!(line("it's Grüße, 你好, Привет 🙂"), "\"it's Grüße, 你好, Привет 🙂\"\n");
    }

    proptest! {
        #[test]
        fn every_text_comes_back_and_none_reaches_a_terminal(text in any::<String>()) {
            let encoded = line(&text);
            let shown = encoded.strip_suffix('\n').unwrap();
            prop_assert!(shown.chars().all(|c| is_printable(c) || c == '"' || c == '\\'), "{shown:?}");
            prop_assert_eq!(serde_json::from_str::<String>(shown).unwrap(), text);
        }
    }
}
