//! What the screen will be like on this terminal.

use std::io::IsTerminal;

use super::Check;
use crate::{
    app::layout::{COLUMNS_MIN, ROWS_MIN},
    theme::Theme,
};

/// Terminals that are known not to mark pasted text (bracketed paste): each of its lines would be sent.
const NO_BRACKETED_PASTE: [&str; 4] = ["linux", "vt100", "vt220", "cons25"];

/// What is known of it.
#[derive(Clone, Debug)]
pub(super) struct Terminal {
    /// Whether stdin and stdout are one.
    is_there: bool,
    size: Option<(u16, u16)>,
    term: String,
    theme: Theme,
    is_utf8: bool,
}

impl Terminal {
    pub(super) fn of_this_process() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let is_there = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        Self {
            is_there,
            size: is_there.then(crossterm::terminal::size).and_then(Result::ok),
            term: variable("TERM").unwrap_or_default(),
            theme: Theme::detect(variable),
            is_utf8: is_utf8(variable),
        }
    }

    pub(super) fn check(&self) -> Check {
        if !self.is_there {
            return Check::ok("terminal", "none here: a chat is plain lines, or --json");
        }
        if matches!(self.term.as_str(), "" | "dumb") {
            return Check::ok(
                "terminal",
                "it can only show lines (TERM is empty or \"dumb\"): a chat is plain lines",
            );
        }
        let colours = match self.theme {
            Theme::Plain => "no colours",
            Theme::Sixteen => "16 colours",
            Theme::Indexed => "256 colours",
        };
        let size = match self.size {
            Some((columns, rows)) => format!("{columns}x{rows}"),
            None => "of unknown size".into(),
        };
        let code = if self.is_utf8 { "UTF-8" } else { "not UTF-8" };
        let message = format!("{size}, {colours}, {code}, TERM {}", self.term);
        match self.advice() {
            Some(advice) => Check::warn("terminal", message, advice),
            None => Check::ok("terminal", format!("{message}; pasted text should arrive in one piece")),
        }
    }

    fn advice(&self) -> Option<String> {
        if self.size.is_some_and(|(columns, rows)| columns < COLUMNS_MIN || rows < ROWS_MIN) {
            return Some(format!(
                "The screen needs {COLUMNS_MIN}x{ROWS_MIN}: make the window larger, or use --plain."
            ));
        }
        if !self.is_utf8 {
            return Some(
                "Names and texts beyond ASCII may look wrong: set LANG to a UTF-8 locale such as C.UTF-8."
                    .into(),
            );
        }
        let unmarked = NO_BRACKETED_PASTE.contains(&self.term.as_str());
        unmarked.then(|| {
            "Text that is pasted will be sent line by line: use a terminal with bracketed paste for that."
                .into()
        })
    }
}

/// The first of these variables that is set decides (POSIX, Internationalization Variables).
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    // There every terminal is.
    cfg!(target_os = "macos") || locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::{super::check::Status, *};

    fn terminal() -> Terminal {
        Terminal {
            is_there: true,
            size: Some((80, 24)),
            term: "xterm-256color".into(),
            theme: Theme::Indexed,
            is_utf8: true,
        }
    }

    #[test]
    fn a_usual_terminal_is_well() {
        let check = terminal().check();
        assert_eq!((check.status, check.advice), (Status::Ok, None));
        assert!(check.message.starts_with("80x24, 256 colours, UTF-8, TERM xterm-256color"));
    }

    #[test]
    fn what_the_screen_lacks_is_told() {
        let small = Terminal { size: Some((39, 24)), ..terminal() }.check();
        assert!(small.advice.unwrap().contains("40x10"));
        let ascii = Terminal { is_utf8: false, ..terminal() }.check();
        assert!(ascii.advice.unwrap().contains("UTF-8 locale"));
        let console = Terminal { term: "linux".into(), ..terminal() }.check();
        assert!(console.advice.unwrap().contains("bracketed paste"));
        let pipe = Terminal { is_there: false, ..terminal() }.check();
        assert_eq!((pipe.status, pipe.message.contains("plain lines")), (Status::Ok, true));
    }

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        let with = |set: &'static [(&str, &str)]| {
            is_utf8(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string()))
        };
        if cfg!(not(target_os = "macos")) {
            assert!(!with(&[]) && !with(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        }
        assert!(with(&[("LC_ALL", ""), ("LANG", "de_DE.UTF-8")]) && with(&[("LC_CTYPE", "C.utf8")]));
    }
}
