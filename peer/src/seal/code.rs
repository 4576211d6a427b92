//! The code of a sealed room: a locator, by which the server knows the room, and words, which it never hears.
//!
//! Invariant: locator and words are drawn independently, and nothing but [`Code::reveal`] shows the words.

use std::fmt;

use zeroize::Zeroizing;

/// The EFF's short list (CC BY 3.0 US, Electronic Frontier Foundation), without its one word that has a hyphen.
const WORDS: &str = include_str!("words.txt");

const WORDS_PER_CODE: usize = 3;

/// Crockford's base 32, of which no two letters look alike.
const LOCATOR_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 40 bits.
const LOCATOR_CHARS: usize = 8;

/// Longer input is no code.
const INPUT_BYTES_MAX: usize = 256;

/// What opens a sealed room: `locator-word-word-word`.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    locator: String,
    /// Joined by hyphens.
    words: Zeroizing<String>,
}

/// Why a text is no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCode {
    /// Not four parts.
    #[error("a code looks like 7k3m9xqd-acid-rope-yard: a locator and three words; this has {parts} parts")]
    Parts {
        /// How many it has.
        parts: usize,
    },
    /// The first part is no locator.
    #[error("a code begins with a locator of 8 letters and digits, as in 7k3m9xqd-acid-rope-yard")]
    Locator,
    /// A part is not on the list of words.
    #[error("word {number} of the code is not one of its list{}", .nearest.map(|word| format!("; did you mean \"{word}\"?")).unwrap_or_default())]
    Word {
        /// Which, from 1.
        number: usize,
        /// The word of the list that is most like it, when one is.
        nearest: Option<&'static str>,
    },
}

impl Code {
    /// A new one: 40 bits of locator, 31 bits of words.
    ///
    /// # Errors
    /// When the operating system gives no random bits.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let locator =
            (0..LOCATOR_CHARS).map(|_| Ok(char::from(LOCATOR_ALPHABET[below(LOCATOR_ALPHABET.len())?])));
        let locator = locator.collect::<Result<_, _>>()?;
        let list: Vec<&str> = list().collect();
        let mut words = Zeroizing::new(String::new());
        for number in 0..WORDS_PER_CODE {
            if number > 0 {
                words.push('-');
            }
            words.push_str(list[below(list.len())?]);
        }
        Ok(Self { locator, words })
    }

    /// Reads one as a person types it: in any case, with hyphens or spaces, `o` for 0 and `i` or `l` for 1.
    ///
    /// # Errors
    /// What is wrong with it, and with a misspelt word the nearest.
    pub fn parse(input: &str) -> Result<Self, InvalidCode> {
        if input.len() > INPUT_BYTES_MAX {
            return Err(InvalidCode::Parts { parts: usize::MAX });
        }
        let input = Zeroizing::new(input.to_lowercase());
        let parts: Vec<&str> = input
            .split(|char: char| char == '-' || char.is_whitespace())
            .filter(|part| !part.is_empty())
            .collect();
        let [locator, words @ ..] = &parts[..] else { return Err(InvalidCode::Parts { parts: 0 }) };
        let locator = parse_locator(locator).ok_or(InvalidCode::Locator)?;
        if words.len() != WORDS_PER_CODE {
            return Err(InvalidCode::Parts { parts: parts.len() });
        }
        for (number, word) in (1..).zip(words) {
            if !list().any(|listed| listed == *word) {
                return Err(InvalidCode::Word { number, nearest: nearest(word) });
            }
        }
        Ok(Self { locator, words: Zeroizing::new(words.join("-")) })
    }

    /// The room, for the server.
    pub fn locator(&self) -> &str {
        &self.locator
    }

    /// The whole code, to be shown to whoever may hear it.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}-{}", self.locator, *self.words))
    }

    /// The words that a code may go on with after `prefix`, in order.
    pub fn completions(prefix: &str) -> impl Iterator<Item = &'static str> {
        let prefix = prefix.to_lowercase();
        list().filter(move |word| word.starts_with(&prefix))
    }

    /// The password of the exchange.
    pub(crate) fn words(&self) -> &[u8] {
        self.words.as_bytes()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("locator", &self.locator).finish_non_exhaustive()
    }
}

/// The word of this number, below 1,024.
pub(crate) fn word(number: usize) -> &'static str {
    list().nth(number).expect("the list has more than 1,024 words")
}

fn list() -> impl Iterator<Item = &'static str> {
    WORDS.lines()
}

fn parse_locator(input: &str) -> Option<String> {
    let meant = |char: char| match char {
        'o' => '0',
        'i' | 'l' => '1',
        other => other,
    };
    let locator: String = input.chars().map(meant).collect();
    let fits = locator.len() == LOCATOR_CHARS && locator.bytes().all(|byte| LOCATOR_ALPHABET.contains(&byte));
    fits.then_some(locator)
}

/// A number below `count`, each as likely: what would make some likelier is drawn again.
fn below(count: usize) -> Result<usize, getrandom::Error> {
    let count = count as u64;
    let fair = u64::MAX - u64::MAX % count;
    loop {
        let drawn = getrandom::u64()?;
        if drawn < fair {
            return Ok((drawn % count) as usize);
        }
    }
}

/// The only word within two edits that no other is as near to.
fn nearest(input: &str) -> Option<&'static str> {
    let mut near: Vec<_> = list()
        .map(|word| (strsim::damerau_levenshtein(input, word), word))
        .filter(|(edits, _)| *edits <= 2)
        .collect();
    near.sort_unstable();
    match near[..] {
        [(_, word)] => Some(word),
        [(first, word), (second, _), ..] if first < second => Some(word),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_back_however_it_is_typed() {
        for _ in 0..1000 {
            let code = Code::generate().unwrap();
            let shown = code.reveal();
            assert_eq!(Code::parse(&shown).unwrap(), code);
            assert_eq!(Code::parse(&shown.to_uppercase().replace('-', "  ")).unwrap(), code);
            assert_eq!(
                Code::parse(&format!(" {} ", shown.replacen('0', "O", 8).replacen('1', "l", 1))).is_ok(),
                {
                    // The words have those letters too, and a word is not mended.
                    !shown[LOCATOR_CHARS..].contains(['0', '1'])
                }
            );
        }
    }

    #[test]
    fn every_word_of_the_list_can_come_and_each_is_told_from_the_rest() {
        let list: Vec<_> = list().collect();
        assert_eq!(list.len(), 1295);
        assert!(list.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
        assert!(list.is_sorted_by(|one, next| one < next));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20_000 {
            seen.insert(below(list.len()).unwrap());
        }
        assert!(seen.len() > 1290, "{} of 1295 in 20,000 draws", seen.len());
    }

    #[test]
    fn what_is_wrong_with_a_code_is_said() {
        assert_eq!(Code::parse(""), Err(InvalidCode::Parts { parts: 0 }));
        assert_eq!(Code::parse("lobby"), Err(InvalidCode::Locator));
        assert_eq!(Code::parse("7k3m9xqd-acid-acorn"), Err(InvalidCode::Parts { parts: 3 }));
        assert_eq!(Code::parse("7k3m9xqu-acid-acorn-acre"), Err(InvalidCode::Locator));
        let misspelt = Code::parse("7k3m9xqd-acid-acornn-acre");
        assert_eq!(misspelt, Err(InvalidCode::Word { number: 2, nearest: Some("acorn") }));
        assert_eq!(
            Code::parse("7k3m9xqd-acid-acorn-xxxxxxxx").unwrap_err().to_string(),
            "word 3 of the code is not one of its list"
        );
        assert!(Code::parse(&"a-".repeat(200)).is_err());
    }

    #[test]
    fn words_are_completed_and_not_shown_by_accident() {
        assert_eq!(Code::completions("aco").collect::<Vec<_>>(), ["acorn"]);
        assert!(Code::completions("AC").count() > 1);
        let code = Code::parse("7k3m9xqd-acid-acorn-acre").unwrap();
        assert!(!format!("{code:?}").contains("acorn"));
    }
}
