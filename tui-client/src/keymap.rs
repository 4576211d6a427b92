//! Which key does what: the keys of readline, and the same table for the help overlay.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::app::composer::Edit;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write a character.
    Insert(char),
    /// Change the input or move in it.
    Edit(Edit),
    /// Send the input.
    Submit,
    /// A row up, or back in the history.
    Up,
    /// A row down, or on in the history.
    Down,
    /// Complete the word; again: the next candidate.
    Complete,
    /// The candidate before.
    CompleteBack,
    /// A page towards older entries.
    PageUp,
    /// A page towards newer entries.
    PageDown,
    /// The oldest entry.
    Oldest,
    /// The newest entry.
    Newest,
    /// The first unread entry.
    FirstUnread,
    /// The help, or away with it.
    Help,
    /// The network view, or away with it.
    Network,
    /// The roster, or away with it.
    Roster,
    /// The code of the room, or away with it.
    Code,
    /// The strings to compare, or away with them.
    Verify,
    /// Draw every cell anew.
    Repaint,
    /// Close what lies over the transcript.
    Close,
    /// Clear the input; on an empty one, twice: quit.
    Interrupt,
    /// Leave and quit.
    Quit,
    /// Quit on an empty input, else delete at the cursor.
    EndOfInput,
    /// Back to the shell, for now.
    Suspend,
}

/// The keys as the help shows them, with what they do.
pub const HELP: &[(&str, &str)] = &[
    ("Enter", "send"),
    ("Ctrl-J, Alt-Enter, Shift-Enter", "new line (Shift-Enter where the terminal can tell it)"),
    ("Up, Down", "move; on the first or last line: history"),
    ("Tab, Shift-Tab", "complete commands and names; again: the next one"),
    ("PgUp, PgDn", "scroll the transcript"),
    ("Ctrl-Home, Ctrl-End", "oldest, newest message"),
    ("Alt-U", "first unread message"),
    ("Ctrl-N", "network view"),
    ("Ctrl-P", "roster"),
    ("F1", "this help"),
    ("F2", "the code of a sealed room"),
    ("F3", "words to compare with each peer"),
    ("Esc", "close what lies over the transcript"),
    ("Ctrl-C", "clear the input; twice on an empty input: quit"),
    ("Ctrl-D", "quit when the input is empty, else delete"),
    ("Ctrl-Q", "quit"),
    ("Ctrl-Z", "suspend; fg in the shell brings it back"),
    ("Ctrl-L", "redraw the screen"),
    ("Ctrl-A, Ctrl-E, Home, End", "start, end of the line"),
    ("Ctrl-Left, Ctrl-Right, Alt-B, Alt-F", "word back, word on"),
    ("Ctrl-W, Alt-D", "delete the word before, at the cursor"),
    ("Ctrl-U, Ctrl-K", "delete to the start, end of the line"),
    ("Ctrl-Y", "put back what was deleted"),
    ("Ctrl-_, Alt-_", "undo, redo"),
];

/// What `key` asks for; `None` for a release and for a key that means nothing.
pub fn action(key: KeyEvent) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    // What a desktop does with its own keys is not ours; some terminals report them too.
    if key.modifiers.intersects(KeyModifiers::SUPER | KeyModifiers::HYPER | KeyModifiers::META) {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    // AltGr arrives as Ctrl and Alt together on some systems: then it is a character like any other.
    match (control, alt) {
        (true, true) if matches!(key.code, KeyCode::Char(_)) => plain(key),
        (true, _) => with_control(key.code),
        (_, true) => with_alt(key.code),
        _ => plain(key),
    }
}

fn plain(key: KeyEvent) -> Option<Action> {
    Some(match key.code {
        KeyCode::Char(c) => Action::Insert(c),
        KeyCode::Enter if key.modifiers.contains(KeyModifiers::SHIFT) => Action::Edit(Edit::Newline),
        KeyCode::Enter => Action::Submit,
        KeyCode::Backspace => Action::Edit(Edit::Backspace),
        KeyCode::Delete => Action::Edit(Edit::Delete),
        KeyCode::Left => Action::Edit(Edit::Left),
        KeyCode::Right => Action::Edit(Edit::Right),
        KeyCode::Home => Action::Edit(Edit::Home),
        KeyCode::End => Action::Edit(Edit::End),
        KeyCode::Up => Action::Up,
        KeyCode::Down => Action::Down,
        KeyCode::Tab if key.modifiers.contains(KeyModifiers::SHIFT) => Action::CompleteBack,
        KeyCode::Tab => Action::Complete,
        KeyCode::BackTab => Action::CompleteBack,
        KeyCode::PageUp => Action::PageUp,
        KeyCode::PageDown => Action::PageDown,
        KeyCode::F(1) => Action::Help,
        KeyCode::F(2) => Action::Code,
        KeyCode::F(3) => Action::Verify,
        KeyCode::Esc => Action::Close,
        _ => return None,
    })
}

fn with_control(code: KeyCode) -> Option<Action> {
    Some(match code {
        KeyCode::Char(c) => return control_character(c.to_ascii_lowercase()),
        KeyCode::Home => Action::Oldest,
        KeyCode::End => Action::Newest,
        KeyCode::Left => Action::Edit(Edit::WordLeft),
        KeyCode::Right => Action::Edit(Edit::WordRight),
        KeyCode::Backspace => Action::Edit(Edit::DeleteWordBack),
        KeyCode::Delete => Action::Edit(Edit::DeleteWordForward),
        KeyCode::Enter => Action::Edit(Edit::Newline),
        _ => return None,
    })
}

fn control_character(c: char) -> Option<Action> {
    Some(match c {
        'a' => Action::Edit(Edit::Home),
        'b' => Action::Edit(Edit::Left),
        'c' => Action::Interrupt,
        'd' => Action::EndOfInput,
        'e' => Action::Edit(Edit::End),
        'f' => Action::Edit(Edit::Right),
        'h' => Action::Edit(Edit::Backspace),
        'j' => Action::Edit(Edit::Newline),
        'k' => Action::Edit(Edit::DeleteToEnd),
        'l' => Action::Repaint,
        'm' => Action::Submit,
        'n' => Action::Network,
        'p' => Action::Roster,
        'q' => Action::Quit,
        'u' => Action::Edit(Edit::DeleteToStart),
        'w' => Action::Edit(Edit::DeleteWordBack),
        'y' => Action::Edit(Edit::Yank),
        'z' => Action::Suspend,
        // Terminals send Ctrl-_ and Ctrl-/ as the code that is also Ctrl-7.
        '_' | '/' | '7' => Action::Edit(Edit::Undo),
        _ => return None,
    })
}

fn with_alt(code: KeyCode) -> Option<Action> {
    Some(match code {
        KeyCode::Enter => Action::Edit(Edit::Newline),
        KeyCode::Backspace => Action::Edit(Edit::DeleteWordBack),
        KeyCode::Left => Action::Edit(Edit::WordLeft),
        KeyCode::Right => Action::Edit(Edit::WordRight),
        KeyCode::Char(c) => match c.to_ascii_lowercase() {
            'b' => Action::Edit(Edit::WordLeft),
            'd' => Action::Edit(Edit::DeleteWordForward),
            'f' => Action::Edit(Edit::WordRight),
            'u' => Action::FirstUnread,
            '_' => Action::Edit(Edit::Redo),
            _ => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(code: KeyCode, modifiers: KeyModifiers) -> Option<Action> {
        action(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn every_way_to_write_a_line_break_is_one() {
        for (code, modifiers) in [
            (KeyCode::Char('j'), KeyModifiers::CONTROL),
            (KeyCode::Enter, KeyModifiers::ALT),
            (KeyCode::Enter, KeyModifiers::SHIFT),
        ] {
            assert_eq!(pressed(code, modifiers), Some(Action::Edit(Edit::Newline)));
        }
        assert_eq!(pressed(KeyCode::Enter, KeyModifiers::NONE), Some(Action::Submit));
    }

    #[test]
    fn a_released_key_does_nothing_and_a_repeated_one_repeats() {
        let mut key = KeyEvent::new(KeyCode::Char('x'), KeyModifiers::NONE);
        key.kind = KeyEventKind::Release;
        assert_eq!(action(key), None);
        key.kind = KeyEventKind::Repeat;
        assert_eq!(action(key), Some(Action::Insert('x')));
    }

    #[test]
    fn alt_gr_writes_a_character() {
        let alt_gr = KeyModifiers::CONTROL | KeyModifiers::ALT;
        assert_eq!(pressed(KeyCode::Char('@'), alt_gr), Some(Action::Insert('@')));
        assert_eq!(pressed(KeyCode::Char('c'), KeyModifiers::SUPER), None, "that key is the desktop's");
    }

    #[test]
    fn capital_letters_mean_the_same_with_control() {
        assert_eq!(pressed(KeyCode::Char('C'), KeyModifiers::CONTROL), Some(Action::Interrupt));
        assert_eq!(pressed(KeyCode::Char('Z'), KeyModifiers::SHIFT), Some(Action::Insert('Z')));
    }
}
