//! Whether two names could be taken for one by somebody who reads them: letters of another script that look alike, other case,
//! other width, other spaces.

use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

use crate::safe_text::SafeText;

/// What is left of a name when all that a reader may overlook is taken out of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Likeness {
    /// As written: tells a capital I from nothing that looks like it.
    as_written: String,
    /// In small letters first: an i is not an l, whatever its capital looks like.
    in_small: String,
}

impl Likeness {
    pub(super) fn of(name: &SafeText) -> Self {
        let words: Vec<&str> = name.as_str().split_whitespace().collect();
        let name: String = words.join(" ").nfkc().collect();
        Self { as_written: skeleton_of(&name), in_small: skeleton_of(&name.to_lowercase()) }
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        let ours = [&self.as_written, &self.in_small];
        ours.contains(&&other.as_written) || ours.contains(&&other.in_small)
    }
}

/// UTS #39 section 4; in small letters, as it makes capitals of some.
fn skeleton_of(name: &str) -> String {
    skeleton(name).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alike(one: &str, other: &str) -> bool {
        Likeness::of(&SafeText::line(one)).is_like(&Likeness::of(&SafeText::line(other)))
    }

    #[test]
    fn names_that_read_alike_are_alike() {
        for (one, other) in [
            ("bo", "bo"),
            ("bo", "BO"),
            ("bo", " bo "),
            ("Ana Maria", "Ana\u{a0} Maria"),
            ("paul", "pau1"),
            ("paul", "pauI"),
            ("bo", "b0"),
            ("scope", "\u{455}\u{441}\u{43e}\u{440}\u{435}"),
            ("bo", "\u{ff42}\u{ff4f}"),
            ("dorn", "dom"),
            ("café", "cafe\u{301}"),
        ] {
            assert!(alike(one, other), "{one:?} {other:?}");
        }
        for (one, other) in [("bo", "bob"), ("bo", "b"), ("ana", "anna"), ("bo", "bö"), ("paul", "paula")] {
            assert!(!alike(one, other), "{one:?} {other:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_like_itself_in_any_case(name in any::<String>()) {
            prop_assert!(alike(&name, &name));
            let ascii: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
            prop_assert!(alike(&ascii, &ascii.to_lowercase()));
            prop_assert!(alike(&ascii, &ascii.to_uppercase()) || ascii.contains(['I', 'i']));
        }
    }
}
