//! The text that is being written: editing by graphemes, history, and how it lies on the screen.

use ratatui_textarea::{CursorMove, Input, Key, TextArea};
use unicode_segmentation::UnicodeSegmentation;

use crate::{safe_text::SafeText, wrap};

/// Lines of history kept.
pub const HISTORY_MAX: usize = 200;
/// Bytes that can be written; more than can be sent at once, so that a long paste can be cut down by hand.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The input.
#[derive(Debug, Default)]
pub struct Composer {
    area: TextArea<'static>,
    history: Vec<String>,
    /// Which line of the history is shown, and what was being written before.
    recalled: Option<(usize, String)>,
}

/// An editing step that takes no argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A line break.
    Newline,
    /// The grapheme before the cursor goes.
    Backspace,
    /// The grapheme at the cursor goes.
    Delete,
    /// The word before the cursor goes.
    DeleteWordBack,
    /// The word at the cursor goes.
    DeleteWordForward,
    /// What follows on the line goes.
    DeleteToEnd,
    /// What precedes on the line goes.
    DeleteToStart,
    /// What went last by word or line comes back.
    Yank,
    /// The last change is taken back.
    Undo,
    /// What was taken back is done again.
    Redo,
    /// One grapheme back.
    Left,
    /// One grapheme on.
    Right,
    /// One word back.
    WordLeft,
    /// One word on.
    WordRight,
    /// To the start of the line.
    Home,
    /// To the end of the line.
    End,
}

/// How the text lies on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposerView {
    /// The rows from top to bottom; at least one.
    pub rows: Vec<SafeText>,
    /// The row and the column of the cursor.
    pub cursor: (usize, usize),
}

impl Composer {
    /// What is written.
    pub fn text(&self) -> String {
        self.area.lines().join("\n")
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.area.is_empty()
    }

    /// What is written before the cursor.
    pub fn text_before_cursor(&self) -> String {
        let (row, column) = self.cursor();
        let mut text = self.area.lines()[..row].join("\n");
        if row > 0 {
            text.push('\n');
        }
        text.extend(self.area.lines()[row].chars().take(column));
        text
    }

    /// Replaces everything; the cursor is at the end.
    pub fn set(&mut self, text: &str) {
        self.area.clear();
        self.area.insert_str(text);
    }

    /// Writes `text` at the cursor; CR LF and CR become line breaks. `false`: there is no room for it.
    pub fn insert(&mut self, text: &str) -> bool {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let written: usize = self.area.lines().iter().map(|line| line.len() + 1).sum();
        if written + text.len() > TEXT_BYTES_MAX {
            return false;
        }
        self.recalled = None;
        self.area.insert_str(text);
        true
    }

    /// Replaces the `bytes` before the cursor by `text`.
    pub fn replace_before_cursor(&mut self, bytes: usize, text: &str) {
        let before = self.text_before_cursor();
        let chars = before[before.len().saturating_sub(bytes)..].chars().count();
        for _ in 0..chars {
            self.area.delete_char();
        }
        self.area.insert_str(text);
    }

    /// Takes everything out and remembers it in the history.
    pub fn take(&mut self) -> String {
        let text = self.text();
        self.area = TextArea::default();
        self.recalled = None;
        self.remember(&text);
        text
    }

    fn remember(&mut self, text: &str) {
        if !text.trim().is_empty() && self.history.last().is_none_or(|last| last != text) {
            if self.history.len() == HISTORY_MAX {
                self.history.remove(0);
            }
            self.history.push(text.to_owned());
        }
    }

    /// Carries out an editing step.
    pub fn edit(&mut self, edit: Edit) {
        let graphemes = |text: &str| text.graphemes(true).next().map_or(1, |first| first.chars().count());
        let back = |text: &str| text.graphemes(true).next_back().map_or(1, |last| last.chars().count());
        let (before, after) = self.line_around_cursor();
        match edit {
            Edit::Left => self.repeat(back(&before), |area| area.move_cursor(CursorMove::Back)),
            Edit::Right => self.repeat(graphemes(&after), |area| area.move_cursor(CursorMove::Forward)),
            Edit::WordLeft => self.area.move_cursor(CursorMove::WordBack),
            Edit::WordRight => self.area.move_cursor(CursorMove::WordForward),
            Edit::Home => self.area.move_cursor(CursorMove::Head),
            Edit::End => self.area.move_cursor(CursorMove::End),
            Edit::Backspace => self.repeat(back(&before), |area| key(area, Key::Backspace)),
            Edit::Delete => self.repeat(graphemes(&after), |area| key(area, Key::Delete)),
            Edit::Newline => key(&mut self.area, Key::Enter),
            Edit::DeleteWordBack => drop(self.area.delete_word()),
            Edit::DeleteWordForward => drop(self.area.delete_next_word()),
            Edit::DeleteToEnd => drop(self.area.delete_line_by_end()),
            Edit::DeleteToStart => drop(self.area.delete_line_by_head()),
            Edit::Yank => drop(self.area.paste()),
            Edit::Undo => drop(self.area.undo()),
            Edit::Redo => drop(self.area.redo()),
        }
        let moved = matches!(
            edit,
            Edit::Left | Edit::Right | Edit::WordLeft | Edit::WordRight | Edit::Home | Edit::End
        );
        if !moved {
            self.recalled = None;
        }
    }

    fn repeat(&mut self, times: usize, step: impl Fn(&mut TextArea<'static>)) {
        for _ in 0..times {
            step(&mut self.area);
        }
    }

    /// One row up, or the line of the history before when there is no row above.
    pub fn up(&mut self, columns: usize) {
        if !self.move_row(columns, -1) {
            let index = match &self.recalled {
                Some((0, _)) => return,
                Some((index, _)) => index - 1,
                None if self.history.is_empty() => return,
                None => self.history.len() - 1,
            };
            self.recall(index);
        }
    }

    /// One row down, or the next line of the history when there is no row below.
    pub fn down(&mut self, columns: usize) {
        if self.move_row(columns, 1) {
            return;
        }
        match self.recalled.take() {
            Some((index, draft)) if index + 1 < self.history.len() => {
                self.recalled = Some((index, draft));
                self.recall(index + 1);
            }
            Some((_, draft)) => self.set(&draft),
            None => {}
        }
    }

    fn recall(&mut self, index: usize) {
        let draft = self.recalled.take().map_or_else(|| self.text(), |(_, draft)| draft);
        let text = self.history[index].clone();
        self.set(&text);
        self.recalled = Some((index, draft));
    }

    /// How the text lies in `columns`, of which the last is kept for the cursor.
    pub fn view(&self, columns: usize) -> ComposerView {
        let mut view = ComposerView { rows: Vec::new(), cursor: (0, 0) };
        let cursor = self.cursor();
        for (index, line) in self.area.lines().iter().enumerate() {
            let line = Line::new(line, columns);
            if index == cursor.0 {
                let (row, column) = line.position(cursor.1);
                view.cursor = (view.rows.len() + row, column);
            }
            view.rows.extend(line.rows());
        }
        view
    }

    /// Moves one row up or down and stays near the column; `false` when there is no such row.
    fn move_row(&mut self, columns: usize, by: isize) -> bool {
        let cursor = self.cursor();
        let lines = self.area.lines();
        let line = Line::new(&lines[cursor.0], columns);
        let (row, column) = line.position(cursor.1);
        let inside = row.checked_add_signed(by).filter(|target| *target < line.starts.len());
        let target = match inside {
            Some(target) => Some((cursor.0, line.nearest(target, column))),
            None => cursor.0.checked_add_signed(by).filter(|index| *index < lines.len()).map(|index| {
                let line = Line::new(&lines[index], columns);
                let row = if by < 0 { line.starts.len() - 1 } else { 0 };
                (index, line.nearest(row, column))
            }),
        };
        let Some((row, column)) = target else { return false };
        // The text is at most 64 KiB, so that both fit.
        let to = |number| u16::try_from(number).unwrap_or(u16::MAX);
        self.area.move_cursor(CursorMove::Jump(to(row), to(column)));
        true
    }

    fn cursor(&self) -> (usize, usize) {
        let cursor = self.area.cursor();
        (cursor.0, cursor.1)
    }

    fn line_around_cursor(&self) -> (String, String) {
        let (row, column) = self.cursor();
        let line = &self.area.lines()[row];
        let at = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
        (line[..at].to_owned(), line[at..].to_owned())
    }
}

fn key(area: &mut TextArea<'static>, key: Key) {
    area.input_without_shortcuts(Input { key, ctrl: false, alt: false, shift: false });
}

/// One line of the text as it is shown: every grapheme through the gate, wrapped.
struct Line {
    shown: String,
    /// For every grapheme, and the end: how many characters precede it as typed, and bytes as shown.
    stops: Vec<(usize, usize)>,
    /// Where each row begins in `shown`.
    starts: Vec<usize>,
    columns: usize,
}

impl Line {
    fn new(line: &str, columns: usize) -> Self {
        let columns = columns.saturating_sub(1).max(1);
        let mut shown = String::new();
        let mut stops = vec![(0, 0)];
        let mut chars = 0;
        for grapheme in line.graphemes(true) {
            shown.push_str(SafeText::line(grapheme).as_str());
            chars += grapheme.chars().count();
            stops.push((chars, shown.len()));
        }
        let starts = wrap::wrap(&shown, columns).into_iter().map(|row| row.start).collect();
        Self { shown, stops, starts, columns }
    }

    fn rows(&self) -> impl Iterator<Item = SafeText> + '_ {
        let ends = self.starts[1..].iter().copied().chain([self.shown.len()]);
        self.starts.iter().zip(ends).map(|(start, end)| SafeText::line(&self.shown[*start..end]))
    }

    /// The row and column of the grapheme that `chars` precede.
    fn position(&self, chars: usize) -> (usize, usize) {
        let stop = self.stops.partition_point(|(typed, _)| *typed <= chars);
        self.place(self.stops[stop.saturating_sub(1)].1)
    }

    /// The row and column of a place in `shown`.
    fn place(&self, shown: usize) -> (usize, usize) {
        let row = self.starts.partition_point(|start| *start <= shown).saturating_sub(1);
        // Spaces at the end of a row hang over its edge.
        (row, wrap::width(&self.shown[self.starts[row]..shown]).min(self.columns))
    }

    /// How many characters precede the grapheme of `row` that is nearest to `column`.
    fn nearest(&self, row: usize, column: usize) -> usize {
        let start = self.starts[row];
        let end = self.starts.get(row + 1).copied().unwrap_or(usize::MAX);
        let on_row = self.stops.iter().filter(|(_, shown)| (start..end).contains(shown));
        let nearest = on_row.min_by_key(|(_, shown)| self.place(*shown).1.abs_diff(column));
        nearest.map_or(0, |(chars, _)| *chars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Composer {
        let mut composer = Composer::default();
        assert!(composer.insert(text));
        composer
    }

    #[test]
    fn a_cursor_step_and_a_deletion_take_a_whole_grapheme() {
        let family = "👩\u{200d}👩\u{200d}👧\u{200d}👦";
        let mut composer = written(&format!("a{family}"));
        composer.edit(Edit::Left);
        assert_eq!(composer.text_before_cursor(), "a");
        composer.edit(Edit::Right);
        composer.edit(Edit::Backspace);
        assert_eq!(composer.text(), "a");
    }

    #[test]
    fn pasted_line_breaks_are_line_breaks_and_other_controls_are_shown_as_marks() {
        let composer = written("a\r\nb\rc\u{1b}d");
        assert_eq!(composer.text(), "a\nb\nc\u{1b}d", "what is sent is what was pasted");
        let view = composer.view(20);
        assert_eq!(view.rows.iter().map(SafeText::as_str).collect::<Vec<_>>(), ["a", "b", "c␛d"]);
        assert_eq!(view.cursor, (2, 3));
    }

    #[test]
    fn the_cursor_is_where_the_next_character_will_be() {
        assert_eq!(written("").view(10).cursor, (0, 0));
        assert_eq!(written("漢字").view(10).cursor, (0, 4));
        assert_eq!(written("hello world").view(8).cursor, (1, 5));
        assert_eq!(written("hello  ").view(6).cursor, (0, 5), "spaces hang at the edge");
        assert_eq!(written("a\n").view(6).cursor, (1, 0));
    }

    #[test]
    fn up_and_down_move_over_wrapped_rows_and_then_through_the_history() {
        let mut composer = written("first");
        assert_eq!(composer.take(), "first");
        composer.insert("hello world");
        composer.up(8);
        assert_eq!(composer.text_before_cursor(), "hello");
        composer.up(8);
        assert_eq!(composer.text(), "first");
        composer.up(8);
        assert_eq!(composer.text(), "first", "there is nothing older");
        composer.down(8);
        assert_eq!(composer.text(), "hello world", "the draft comes back");
    }

    #[test]
    fn the_history_is_bounded_and_keeps_no_line_twice_in_a_row() {
        let mut composer = Composer::default();
        for index in 0..HISTORY_MAX + 5 {
            for _ in 0..2 {
                composer.insert(&index.to_string());
                composer.take();
            }
        }
        assert_eq!(composer.history.len(), HISTORY_MAX);
        assert_eq!(composer.history[0], "5");
    }

    #[test]
    fn there_is_room_for_so_much_only() {
        let mut composer = written(&"x".repeat(TEXT_BYTES_MAX - 1));
        assert!(!composer.insert("x"));
        assert_eq!(composer.text().len(), TEXT_BYTES_MAX - 1);
    }

    #[test]
    fn a_change_can_be_taken_back() {
        let mut composer = written("one two");
        composer.edit(Edit::DeleteWordBack);
        assert_eq!(composer.text(), "one ");
        composer.edit(Edit::Undo);
        assert_eq!(composer.text(), "one two");
    }
}
