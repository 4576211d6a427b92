//! The rows that one entry takes on a screen: the lines above it, and its wrapped text.

use std::{borrow::Cow, ops::Range};

use jiff::{civil::Date, tz::TimeZone};
use patchcord_peer::TextKind;

use super::{Body, Entry, EntryId, Transcript};
use crate::{safe_text::SafeText, wrap};

/// Columns of the time and the space after it.
pub const TIME_COLUMNS: usize = 6;
/// Columns of the mark before a notice and the space after it.
pub const NOTICE_COLUMNS: usize = 2;
/// Panes from this width on have room for delivery counts.
const MEDIUM: usize = 50;
/// Panes from this width on have room for longer names.
const WIDE: usize = 75;

/// One row of a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// The line over the first entry of a day.
    Day(Date),
    /// The line over the first unread entry.
    Unread,
    /// A part of the entry's text, as [`shown_text`] has it; `first` is the one with time and name.
    Text {
        /// Which bytes.
        bytes: Range<usize>,
        /// Whether it is the first.
        first: bool,
        /// Whether it is the last.
        last: bool,
    },
}

/// The columns of a pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Of the pane.
    pub all: usize,
    /// For names.
    pub name: usize,
    /// For delivery marks, with the space before them.
    pub mark: usize,
}

impl Columns {
    /// How a pane of that width is divided.
    pub fn of(pane: u16) -> Self {
        let all = usize::from(pane);
        match all {
            WIDE.. => Self { all, name: 14, mark: 7 },
            MEDIUM.. => Self { all, name: 10, mark: 7 },
            _ => Self { all, name: 8, mark: 4 },
        }
    }

    /// Where the text of an entry begins, and how wide it is.
    pub fn text(&self, body: &Body) -> (usize, usize) {
        let (start, end) = match body {
            Body::Notice { .. } => (TIME_COLUMNS + NOTICE_COLUMNS, self.all),
            Body::Said(said) if said.delivery.is_some() => {
                (TIME_COLUMNS + self.name + 1, self.all - self.mark)
            }
            Body::Said(_) => (TIME_COLUMNS + self.name + 1, self.all),
        };
        (start, end.saturating_sub(start).max(1))
    }
}

/// The text of an entry as it is shown beside the name.
pub fn shown_text(body: &Body) -> Cow<'_, SafeText> {
    let said = match body {
        Body::Notice { text, .. } => return Cow::Borrowed(text),
        Body::Said(said) => said,
    };
    let direct = match (&said.direct, &said.peer_id) {
        (Some(to), None) => format!("(to {to} alone) "),
        (Some(_), Some(_)) => "(to you alone) ".into(),
        (None, _) => String::new(),
    };
    match said.kind {
        TextKind::Plain if direct.is_empty() => Cow::Borrowed(&said.text),
        TextKind::Plain => Cow::Owned(SafeText::message(&format!("{direct}{}", said.text))),
        TextKind::Action => Cow::Owned(SafeText::message(&format!("{direct}{} {}", said.name, said.text))),
    }
}

/// What the rows of an entry depend on beside the entry.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    /// The entries.
    pub transcript: &'a Transcript,
    /// Whose days.
    pub time_zone: &'a TimeZone,
    /// Over which entry the unread line is.
    pub unread: Option<EntryId>,
    /// The pane.
    pub columns: Columns,
}

impl Blocks<'_> {
    /// The rows of the entry at `index`, from top to bottom; none when there is no such entry.
    pub fn rows(&self, index: usize) -> Vec<Row> {
        let Some(entry) = self.transcript.at(index) else { return Vec::new() };
        let mut rows = Vec::new();
        let day = self.day(entry);
        let before = index.checked_sub(1).and_then(|before| self.transcript.at(before));
        if before.is_none_or(|before| self.day(before) != day) {
            rows.push(Row::Day(day));
        }
        if self.unread == Some(entry.id) {
            rows.push(Row::Unread);
        }
        let (_, width) = self.columns.text(&entry.body);
        let texts = wrap::wrap(shown_text(&entry.body).as_str(), width);
        let last = texts.len() - 1;
        let text = |(at, bytes)| Row::Text { bytes, first: at == 0, last: at == last };
        rows.extend(texts.into_iter().enumerate().map(text));
        rows
    }

    fn day(&self, entry: &Entry) -> Date {
        self.time_zone.to_datetime(entry.at).date()
    }
}
