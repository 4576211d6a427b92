//! Sealed rooms as a user meets them: which room is meant, where its code comes from, how others are let in. A code
//! reaches nothing but the peer library and the screen; a text that could be a mistyped one is never sent as a name.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, stdin},
    path::{Path, PathBuf},
};

use clap::Args;
use patchcord_peer::Code;

use crate::{
    exit::{Exit, Failure},
    host::{Hosting, shell_word},
};

pub mod code_line;
pub mod guesses;
mod prompt;
pub mod qr;

/// A code is shorter; a file that holds more is none.
const CODE_BYTES_MAX: u64 = 1024;

const LOCATOR_CHARS: usize = 8;
const WORDS_PER_CODE: usize = 3;

const HELP_HEADING: &str = "Sealed room";

/// Which room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Whoever knows its name can join.
    Open(String),
    /// Whoever knows its code can join; the server cannot.
    Sealed(Code),
}

/// Where the code of a sealed room comes from.
#[derive(Args, Debug, Default)]
pub struct CodeArgs {
    /// Make a code and join its sealed room. The code is shown; whoever types it joins.
    #[arg(long, conflicts_with_all = ["room", "code_file", "open"], help_heading = HELP_HEADING)]
    pub new: bool,
    /// The name is that of an open room, even if it looks like a code.
    #[arg(long, requires = "room", help_heading = HELP_HEADING)]
    pub open: bool,
    /// Read the code from the first line of this file; with "-" of stdin, where input goes on after it.
    #[arg(long, value_name = "FILE", conflicts_with = "room", help_heading = HELP_HEADING)]
    pub code_file: Option<PathBuf>,
    /// The code, best as the variable: arguments are visible to other users of the machine, variables are not.
    #[arg(long, env = "PATCHCORD_CODE", hide_env_values = true, value_name = "CODE")]
    #[arg(help_heading = HELP_HEADING)]
    pub code: Option<String>,
}

/// What was asked for, or why the program ends before it is known.
#[derive(Debug)]
pub enum Choice {
    /// This room; `made` if its code was made just now.
    Join {
        /// Which.
        place: Place,
        /// Nobody knows the code yet.
        made: bool,
    },
    /// The user gave up.
    End(Exit),
}

impl Place {
    /// As an argument or an answer means it.
    ///
    /// # Errors
    /// When it looks like a code and is none: the words of one must not reach the server.
    pub fn of(text: &str) -> Result<Self, Failure> {
        match Code::parse(text) {
            Ok(code) => Ok(Self::Sealed(code)),
            Err(reason) if looks_like_a_code(text) => {
                Err(Failure::Usage(format!("{reason} (to mean an open room of this name: --open)")))
            }
            Err(_) => Ok(Self::Open(text.to_owned())),
        }
    }

    /// As the server knows it.
    pub fn name(&self) -> &str {
        match self {
            Self::Open(name) => name,
            Self::Sealed(code) => code.locator(),
        }
    }
}

/// Whether somebody may have meant a code: a word of it misspelt, missing, too many or run into the next, or another
/// locator. Rather a name too many than a word on its way to the server.
pub(crate) fn looks_like_a_code(text: &str) -> bool {
    let text = text.to_lowercase();
    let mut parts = text.split(|c: char| c == '-' || c.is_whitespace()).filter(|part| !part.is_empty());
    let Some(first) = parts.next() else { return false };
    let mut words: Vec<&str> = parts.collect();
    // 19 of 20 locators have a digit, and few names begin with a word that has one.
    let digit = first.contains(|c: char| c.is_ascii_digit());
    let (locator, rest) = first.split_at_checked(LOCATOR_CHARS).unwrap_or((first, ""));
    if !rest.is_empty() && digit {
        words.insert(0, rest);
    } else if !rest.is_empty() {
        return false;
    }
    let begins = |part: &&str| (3..=5).any(|length| part.get(..length).is_some_and(is_listed));
    // No locator has the letters that could be taken for digits, but somebody may type them.
    let letter = |c: char| c.is_ascii_alphanumeric() && (digit || !"ilou".contains(c));
    let like_a_locator = locator.len() == LOCATOR_CHARS && locator.chars().all(letter);
    let whole = words.len() == WORDS_PER_CODE;
    (like_a_locator && (words.iter().any(begins) || (digit && whole)))
        || (digit && whole && words.iter().all(|word| is_listed(word)))
}

fn is_listed(word: &str) -> bool {
    Code::completions(word).next() == Some(word)
}

impl CodeArgs {
    /// Which room is meant; asks for it when nothing says so and `may_ask`.
    ///
    /// # Errors
    /// When what should be a code is none, or nothing says which room and nobody can be asked.
    pub async fn choose(&self, room: Option<&str>, may_ask: bool) -> Result<Choice, Failure> {
        let place = match (self.new, room, &self.code_file, &self.code) {
            (true, ..) => return Ok(Choice::Join { place: Place::Sealed(new_code()?), made: true }),
            (_, Some(room), ..) if self.open => Place::Open(room.to_owned()),
            (_, Some(room), ..) => Place::of(room)?,
            (.., Some(file), _) => Place::Sealed(code_from(file)?),
            (.., Some(code)) => Place::Sealed(parse("PATCHCORD_CODE", code)?),
            _ if may_ask => return prompt::ask().await,
            _ => {
                let text = "which room? give a name or a code, --new for a new sealed room, or --code-file";
                return Err(Failure::Usage(text.into()));
            }
        };
        Ok(Choice::Join { place, made: false })
    }
}

/// A code that nobody knows yet.
pub(crate) fn new_code() -> Result<Code, Failure> {
    Code::generate().map_err(|error| Failure::System { doing: "cannot make a code", reason: error.into() })
}

fn code_from(file: &Path) -> Result<Code, Failure> {
    let source = format!("--code-file {}", file.display());
    let cannot_read = |reason: std::io::Error| Failure::Usage(format!("{source}: {reason}"));
    let mut line = String::new();
    if file == Path::new("-") {
        // What comes after the line stays in stdin's own buffer, for the session.
        stdin().lock().take(CODE_BYTES_MAX).read_line(&mut line).map_err(cannot_read)?;
    } else {
        let open = File::open(file).map_err(cannot_read)?;
        BufReader::new(open.take(CODE_BYTES_MAX)).read_line(&mut line).map_err(cannot_read)?;
    }
    parse(&source, &line)
}

fn parse(source: &str, text: &str) -> Result<Code, Failure> {
    Code::parse(text).map_err(|reason| Failure::Usage(format!("{source}: {reason}")))
}

/// How others come into the sealed room that we are in.
#[derive(Clone, Debug)]
pub struct Invite {
    /// What lets them in.
    pub code: Code,
    /// Where, as they reach it.
    pub server: String,
    /// Nobody but us has the code yet: they have to be told.
    pub made: bool,
}

impl Invite {
    /// The line that takes others in, with the code in it.
    pub fn whole_command(&self) -> String {
        format!("patchcord join {} --server {}", *self.code.reveal(), shell_word(&self.server))
    }

    /// The line that asks for the code.
    pub fn join_command(&self) -> String {
        format!("patchcord join --server {}", shell_word(&self.server))
    }

    /// What is told at the start.
    pub(crate) fn notices(&self, hosting: Option<&Hosting>) -> Vec<String> {
        if !self.made {
            return Vec::new();
        }
        let code = format!("the code that they are asked for:  {}", *self.code.reveal());
        if hosting.is_some() {
            // It has told the rest.
            return vec![code];
        }
        let host = self.server.split_once("://").map_or(&self.server[..], |(_, host)| host);
        let only_here = ["127.", "localhost", "[::1]"].iter().any(|here| host.starts_with(here));
        let reach = only_here.then(|| "only this machine can reach the switchboard".to_owned());
        [format!("others join with:  {}", self.join_command()), code].into_iter().chain(reach).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<Place, String> {
        Place::of(text).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_code_however_typed_is_a_sealed_room_and_any_other_name_an_open_one() {
        for code in ["7k3m9xqd-acid-rope-yard", "7K3M9XQD Acid rope  yard", "qqqqqqqq-acid-acid-acid"] {
            assert!(matches!(place(code), Ok(Place::Sealed(_))), "{code}");
        }
        for name in [
            "lobby",
            "amber-otter-kite",
            "7k3m9xqd",
            "birthday-of-my-sister",
            "release-2-rope-yard",
            "abstract-of-my-thesis",
            "keyboards-rope",
            "7k3m9xqdabc",
            "acid-rope-yard",
            "team 7",
            "",
        ] {
            assert_eq!(place(name), Ok(Place::Open(name.into())));
        }
    }

    #[test]
    fn a_mistyped_code_is_never_taken_for_the_name_of_a_room() {
        let misspelt = place("7k3m9xqd-acid-acornn-yard").unwrap_err();
        assert!(misspelt.contains("word 2") && misspelt.contains("did you mean \"acorn\"?"), "{misspelt}");
        assert!(misspelt.contains("--open"), "{misspelt}");
        for wrong in [
            "7k3m9xqd-acid-rope",
            "7k3m9xqd-acid",
            "7k3m9xqd-acid-rope-yard-yard",
            "7k3m9xq-acid-rope-yard",
            "7k3m9xqdd-acid-rope-yard",
            "7k3m9xqd-axid-ropp-yarm",
            "qqqqqqqq-acid-rope-yarm",
            "qqqqqqqq-acidrope-yard",
            "qqqqqqqq-acidropeyard",
            "qqqqqqqq-acid",
            "7k3m9xqdacid-rope-yard",
            "7k3m9xqdacidropeyard",
            "7k3mo9qd acid rope",
        ] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_line_that_is_shown_at_the_start_asks_for_the_code() {
        let code = Code::parse("7k3m9xqd-acid-rope-yard").unwrap();
        let invite = Invite { code, server: "http://127.0.0.1:5001".into(), made: true };
        assert_eq!(
            invite.whole_command(),
            "patchcord join 7k3m9xqd-acid-rope-yard --server http://127.0.0.1:5001"
        );
        assert_eq!(
            invite.notices(None),
            [
                "others join with:  patchcord join --server http://127.0.0.1:5001",
                "the code that they are asked for:  7k3m9xqd-acid-rope-yard",
                "only this machine can reach the switchboard"
            ]
        );
        assert!(!format!("{invite:?}").contains("rope"), "it may come into a log");
        let elsewhere = Invite { server: "https://host.example:50051".into(), ..invite.clone() };
        assert_eq!(elsewhere.notices(None).len(), 2);
        assert!(Invite { made: false, ..invite }.notices(None).is_empty());
    }
}
