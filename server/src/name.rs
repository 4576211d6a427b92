//! Names that people choose, for rooms and for themselves. One rule for what may be in them: nothing
//! that a terminal, a log or a reader could be fooled with.

use std::{fmt, sync::Arc};

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The rule, as clients are told it.
pub const PRINTABLE_RULE: &str = "printable UTF-8: no control, format, invisible, line separator or \
                                  unassigned characters, no white space at either end";

/// Whether `text` keeps [`PRINTABLE_RULE`].
pub fn is_printable(text: &str) -> bool {
    text.trim().len() == text.len() && text.chars().all(is_printable_character)
}

fn is_printable_character(character: char) -> bool {
    // Plain ASCII is nearly everything; the tables are for the rest.
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    !matches!(
        character.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::Surrogate
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::Unassigned
    ) && !is_invisible_letter(character)
}

/// Letters and marks that show nothing (Default_Ignorable_Code_Point) without being format characters.
/// The variation selectors U+FE00 to U+FE0F are not among them: emoji need them.
fn is_invisible_letter(character: char) -> bool {
    matches!(
        character,
        '\u{034f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{3164}'
            | '\u{ffa0}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}

/// A room's name; compared byte by byte.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// Takes `text` if it has 1 to `bytes_max` bytes and is printable.
    pub fn parse(text: &str, bytes_max: usize) -> Option<Self> {
        is_name(text, bytes_max).then(|| Self(text.into()))
    }

    /// As it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for RoomName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a peer wants to be called; not unique.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DisplayName(Arc<str>);

impl DisplayName {
    /// Takes `text` if it has 1 to `bytes_max` bytes and is printable.
    pub fn parse(text: &str, bytes_max: usize) -> Option<Self> {
        is_name(text, bytes_max).then(|| Self(text.into()))
    }

    /// As it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DisplayName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

fn is_name(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && is_printable(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_people_and_rooms_pass() {
        for text in ["lobby", "a", "Zoë", "東京", "مرحبا", "a b", "❤\u{fe0f}", "e\u{301}", "👋🏽", "x/../y"]
        {
            assert!(RoomName::parse(text, 128).is_some(), "{text:?}");
        }
    }

    #[test]
    fn what_fools_a_reader_does_not_pass() {
        let bad = [
            "",
            " a",
            "a ",
            "\u{a0}a",
            "a\n",
            "a\tb",
            "\u{1b}[2J",
            "\u{7f}",
            "\u{9b}31m",
            "a\u{200b}b",
            "a\u{200d}b",
            "\u{202e}b",
            "\u{2066}b",
            "\u{feff}a",
            "a\u{2028}b",
            "a\u{2029}b",
            "\u{fdd0}",
            "\u{ffff}",
            "\u{10ffff}",
            "\u{e0001}",
            "\u{e0041}",
            "\u{3164}",
            "\u{115f}",
            "a\u{ad}b",
            "\u{0}",
            "\u{e0100}",
            "\u{2065}",
        ];
        for text in bad {
            assert!(DisplayName::parse(text, 64).is_none(), "{text:?}");
        }
    }

    #[test]
    fn length_is_counted_in_bytes() {
        assert!(RoomName::parse(&"é".repeat(64), 128).is_some());
        assert!(RoomName::parse(&format!("{}x", "é".repeat(64)), 128).is_none());
    }

    proptest! {
        #[test]
        fn no_control_character_ever_passes(text: String) {
            if let Some(name) = RoomName::parse(&text, 128) {
                prop_assert!(!name.as_str().chars().any(char::is_control));
                prop_assert!((1..=128).contains(&name.as_str().len()));
                prop_assert_eq!(name.as_str(), text);
            }
        }
    }
}
