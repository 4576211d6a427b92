//! Text that somebody else wrote. It cannot be printed by accident: there is no `Display`, and `Debug`
//! tells its length only.

use std::fmt;

/// Text from another person or from the server: it may hold control, escape, bidirectional and
/// zero-width characters. Choose what to do with it by name.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Untrusted(String);

impl Untrusted {
    /// Marks `text` as somebody else's.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as it came. Never write it to a terminal, a log or a path.
    pub fn as_raw(&self) -> &str {
        &self.0
    }

    /// The text with every character that is not plainly printable written as an escape.
    pub fn escaped(&self) -> String {
        self.0.escape_debug().to_string()
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Untrusted({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_text() {
        assert_eq!(format!("{:?}", Untrusted::new("\u{1b}[31m")), "Untrusted(5 bytes)");
    }

    #[test]
    fn escaped_holds_no_control_or_bidi_character() {
        let escaped = Untrusted::new("a\u{1b}[2J\u{202e}b\n").escaped();
        assert!(escaped.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{escaped}");
    }
}
