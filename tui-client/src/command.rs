//! What a typed line means: a text to send or a slash command. An unknown command is an error with the
//! nearest known one, and is never sent as chat.

use crate::safe_text::SafeText;

/// A line as the user meant it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// To be sent to everybody, never blank.
    Text(String),
    /// To be carried out.
    Command(Command),
}

/// A slash command with its arguments, trimmed. Names of peers are resolved by the roster, not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `/help [COMMAND]`: all commands, or one of them.
    Help(Option<Name>),
    /// `/connect [PEER]`: begin to connect with one peer, or with all that are not connected.
    Connect(Option<String>),
    /// `/msg PEER TEXT`: to one peer alone. Both are in one string, as names may hold spaces.
    Msg(String),
    /// `/me ACT`: to everybody, as an action.
    Me(String),
    /// `/nick NAME`: change one's display name.
    Nick(String),
    /// `/who`: the peers of the room.
    Who,
    /// `/net`: the connections.
    Net,
    /// `/code`: the code of a sealed room.
    Code,
    /// `/verify [PEER [yes]]`: the words that both sides can compare, and that they were found the same.
    Verify(Option<String>),
    /// `/refuse PEER`: disconnect a peer, and take no connection with it.
    Refuse(String),
    /// `/leave`: leave the room when all is delivered; the transcript stays.
    Leave,
    /// `/quit`: leave the room when all is delivered, and end the program.
    Quit,
}

/// The name of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// `/help`
    Help,
    /// `/connect`
    Connect,
    /// `/msg`
    Msg,
    /// `/me`
    Me,
    /// `/nick`
    Nick,
    /// `/who`
    Who,
    /// `/net`
    Net,
    /// `/code`
    Code,
    /// `/verify`
    Verify,
    /// `/refuse`
    Refuse,
    /// `/leave`
    Leave,
    /// `/quit`
    Quit,
}

impl Name {
    /// Every command, in the order of the help.
    pub const ALL: [Self; 12] = [
        Self::Help,
        Self::Connect,
        Self::Msg,
        Self::Me,
        Self::Nick,
        Self::Who,
        Self::Net,
        Self::Code,
        Self::Verify,
        Self::Refuse,
        Self::Leave,
        Self::Quit,
    ];

    /// As typed, without the slash.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Help => "help",
            Self::Connect => "connect",
            Self::Msg => "msg",
            Self::Me => "me",
            Self::Nick => "nick",
            Self::Who => "who",
            Self::Net => "net",
            Self::Code => "code",
            Self::Verify => "verify",
            Self::Refuse => "refuse",
            Self::Leave => "leave",
            Self::Quit => "quit",
        }
    }

    /// The command with its arguments.
    pub fn usage(self) -> &'static str {
        match self {
            Self::Help => "/help [COMMAND]",
            Self::Connect => "/connect [PEER]",
            Self::Msg => "/msg PEER TEXT",
            Self::Me => "/me ACT",
            Self::Nick => "/nick NAME",
            Self::Who => "/who",
            Self::Net => "/net",
            Self::Code => "/code",
            Self::Verify => "/verify [PEER [yes]]",
            Self::Refuse => "/refuse PEER",
            Self::Leave => "/leave",
            Self::Quit => "/quit",
        }
    }

    /// What it does.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Help => "show keys and commands, or one command",
            Self::Connect => "start the chat with a peer, or with all that are not connected",
            Self::Msg => "write to one peer alone",
            Self::Me => "say what you do: /me waves",
            Self::Nick => "change your display name",
            Self::Who => "list who is here",
            Self::Net => "show the connections",
            Self::Code => "show the code for others to join",
            Self::Verify => "compare words; yes remembers the peer",
            Self::Refuse => "disconnect a peer until you /connect it",
            Self::Leave => "deliver what is queued and leave the room; the transcript stays",
            Self::Quit => "deliver what is queued, leave and end the program",
        }
    }
}

/// Why a line is no input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No text and no command.
    #[error("there is nothing to send")]
    Blank,
    /// No such command.
    #[error("there is no command /{name}{} (// sends a slash)",
        nearest.map(|nearest| format!(": did you mean /{}?", nearest.as_str())).unwrap_or_default())]
    Unknown {
        /// As typed.
        name: SafeText,
        /// The command that is most like it, if one is.
        nearest: Option<Name>,
    },
    /// The command needs an argument.
    #[error("write {}", name.usage())]
    ArgumentMissing {
        /// The command.
        name: Name,
    },
    /// The command takes no argument.
    #[error("/{} takes nothing after it: write {}", name.as_str(), name.usage())]
    ArgumentUnexpected {
        /// The command.
        name: Name,
    },
}

impl Command {
    /// Takes a line, or several of one message, apart. `//text` is the text `/text`.
    ///
    /// # Errors
    /// When the line is blank or a command that does not exist or is incomplete.
    pub fn parse(line: &str) -> Result<Input, CommandError> {
        if line.trim().is_empty() {
            return Err(CommandError::Blank);
        }
        let Some(rest) = line.strip_prefix('/') else {
            return Ok(Input::Text(line.trim_end().to_owned()));
        };
        if rest.starts_with('/') {
            return Ok(Input::Text(rest.trim_end().to_owned()));
        }
        let (word, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let name = find(word)
            .ok_or_else(|| CommandError::Unknown { name: SafeText::line(word), nearest: nearest(word) })?;
        command(name, argument.trim()).map(Input::Command)
    }
}

fn find(word: &str) -> Option<Name> {
    Name::ALL.into_iter().find(|name| name.as_str().eq_ignore_ascii_case(word))
}

fn command(name: Name, argument: &str) -> Result<Command, CommandError> {
    let required = || {
        let missing = CommandError::ArgumentMissing { name };
        if argument.is_empty() { Err(missing) } else { Ok(argument.to_owned()) }
    };
    let none = |command| {
        let unexpected = CommandError::ArgumentUnexpected { name };
        if argument.is_empty() { Ok(command) } else { Err(unexpected) }
    };
    let optional = || Some(argument.to_owned()).filter(|argument| !argument.is_empty());
    match name {
        Name::Help if argument.is_empty() => Ok(Command::Help(None)),
        Name::Help => {
            let word = argument.trim_start_matches('/');
            let unknown = || CommandError::Unknown { name: SafeText::line(word), nearest: nearest(word) };
            find(word).map(|about| Command::Help(Some(about))).ok_or_else(unknown)
        }
        Name::Connect => Ok(Command::Connect(optional())),
        Name::Verify => Ok(Command::Verify(optional())),
        Name::Refuse => required().map(Command::Refuse),
        Name::Code => none(Command::Code),
        Name::Msg if !argument.contains(char::is_whitespace) => Err(CommandError::ArgumentMissing { name }),
        Name::Msg => Ok(Command::Msg(argument.to_owned())),
        Name::Me => required().map(Command::Me),
        Name::Nick => required().map(Command::Nick),
        Name::Who => none(Command::Who),
        Name::Net => none(Command::Net),
        Name::Leave => none(Command::Leave),
        Name::Quit => none(Command::Quit),
    }
}

/// The command that one or two slips of the finger turn `word` into, or that it is the beginning of.
fn nearest(word: &str) -> Option<Name> {
    // Commands are short: nothing longer is a misspelling of one, and the distance is quadratic.
    if word.is_empty() || word.chars().count() > 12 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let by_beginning = Name::ALL.into_iter().find(|name| name.as_str().starts_with(&word));
    let allowed = |name: &Name| if name.as_str().len() <= 3 { 1 } else { 2 };
    by_beginning.or_else(|| {
        Name::ALL
            .into_iter()
            .map(|name| (distance(&word, name.as_str()), name))
            .filter(|(distance, name)| *distance <= allowed(name))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, name)| name)
    })
}

/// The optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in table.iter_mut().enumerate() {
        row[0] = i;
    }
    table[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let substituted = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(table[i - 2][j - 2] + 1);
            }
            table[i][j] = best;
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn suggestion(line: &str) -> Option<Name> {
        match Command::parse(line) {
            Err(CommandError::Unknown { nearest, .. }) => nearest,
            other => panic!("{line:?} parsed as {other:?}"),
        }
    }

    #[test]
    fn a_line_is_a_text_and_a_slash_makes_it_a_command() {
        assert_eq!(Command::parse("hello "), Ok(Input::Text("hello".into())));
        assert_eq!(Command::parse("  a\n  b"), Ok(Input::Text("  a\n  b".into())));
        assert_eq!(Command::parse("//usr/bin"), Ok(Input::Text("/usr/bin".into())));
        assert_eq!(
            Command::parse("/me  waves\ntwice "),
            Ok(Input::Command(Command::Me("waves\ntwice".into())))
        );
        assert_eq!(Command::parse("/QUIT"), Ok(Input::Command(Command::Quit)));
        assert_eq!(Command::parse("/connect"), Ok(Input::Command(Command::Connect(None))));
        assert_eq!(Command::parse("/help /msg"), Ok(Input::Command(Command::Help(Some(Name::Msg)))));
        assert_eq!(
            Command::parse("/msg Ana Maria hi"),
            Ok(Input::Command(Command::Msg("Ana Maria hi".into())))
        );
        assert_eq!(Command::parse(" \n "), Err(CommandError::Blank));
    }

    #[test]
    fn an_unknown_command_names_the_nearest_one() {
        assert_eq!(suggestion("/qiut"), Some(Name::Quit));
        assert_eq!(suggestion("/conect ana"), Some(Name::Connect));
        assert_eq!(suggestion("/mgs ana hi"), Some(Name::Msg));
        assert_eq!(suggestion("/le"), Some(Name::Leave));
        assert_eq!(suggestion("/usr/bin/env"), None);
        assert_eq!(suggestion("/"), None);
        let error = Command::parse("/qiut").unwrap_err().to_string();
        assert_eq!(error, "there is no command /qiut: did you mean /quit? (// sends a slash)");
    }

    #[test]
    fn incomplete_commands_say_how_they_are_written() {
        assert_eq!(Command::parse("/msg ana").unwrap_err().to_string(), "write /msg PEER TEXT");
        assert_eq!(Command::parse("/nick ").unwrap_err().to_string(), "write /nick NAME");
        assert_eq!(
            Command::parse("/who ana").unwrap_err().to_string(),
            "/who takes nothing after it: write /who"
        );
    }

    #[test]
    fn every_command_is_found_by_its_name() {
        for name in Name::ALL {
            assert_eq!(find(name.as_str()), Some(name));
            assert!(name.usage().starts_with(&format!("/{}", name.as_str())));
        }
    }

    proptest! {
        #[test]
        fn a_line_that_begins_with_one_slash_is_never_a_text(rest in "[^/]\\PC{0,20}") {
            let parsed = Command::parse(&format!("/{rest}"));
            prop_assert!(!matches!(parsed, Ok(Input::Text(_))));
        }
    }
}
