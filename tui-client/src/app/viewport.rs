//! Which part of the transcript is in view. It is tied to an entry, not to a row, so that neither a resize
//! nor what comes in moves what is being read; its cost does not depend on the transcript's length.

use super::{
    EntryId,
    block::{Blocks, Row},
};

/// What is at the top, or that the newest entry is at the bottom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Viewport {
    /// The newest entry is in view and stays so.
    #[default]
    Newest,
    /// A place in the transcript is at the top and stays there.
    At {
        /// The entry at the top.
        entry: EntryId,
        /// The byte of its text with which the first row begins; `None` for the lines above it.
        byte: Option<usize>,
    },
}

/// An index of the transcript and a row of its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of the entry.
    pub index: usize,
    /// Of its rows.
    pub row: usize,
}

impl Viewport {
    /// The place at the top of a pane of `rows` rows.
    pub fn top(self, blocks: &Blocks<'_>, rows: usize) -> Place {
        match self {
            Self::Newest => up(blocks, Place { index: blocks.transcript.len(), row: 0 }, rows),
            Self::At { entry, byte } => {
                let Some(index) = blocks.transcript.index(entry) else { return Place { index: 0, row: 0 } };
                let begins_before = |row: &Row| match (row, byte) {
                    (Row::Text { bytes, .. }, Some(byte)) => bytes.start <= byte,
                    (_, byte) => byte.is_some(),
                };
                let row = blocks.rows(index).iter().rposition(begins_before).unwrap_or(0);
                Place { index, row }
            }
        }
    }

    /// The view `by` rows further down, or up when it is negative, in a pane of `rows` rows.
    pub fn scrolled(self, blocks: &Blocks<'_>, rows: usize, by: isize) -> Self {
        let top = self.top(blocks, rows);
        let moved =
            if by < 0 { up(blocks, top, by.unsigned_abs()) } else { down(blocks, top, by.unsigned_abs()) };
        Self::from_place(blocks, rows, moved)
    }

    /// The view with the entry at `index` at the top, as far as the newest entry allows.
    pub fn from_place(blocks: &Blocks<'_>, rows: usize, place: Place) -> Self {
        let end = down(blocks, place, rows);
        if end.index >= blocks.transcript.len() {
            return Self::Newest;
        }
        let byte = match blocks.rows(place.index).get(place.row) {
            Some(Row::Text { bytes, .. }) => Some(bytes.start).filter(|_| place.row > 0),
            _ => None,
        };
        blocks.transcript.at(place.index).map_or(Self::Newest, |entry| Self::At { entry: entry.id, byte })
    }
}

/// `by` rows before `place`, or the very first row.
fn up(blocks: &Blocks<'_>, mut place: Place, mut by: usize) -> Place {
    while by > place.row {
        let Some(index) = place.index.checked_sub(1) else { return Place { index: 0, row: 0 } };
        by -= place.row;
        place = Place { index, row: blocks.rows(index).len() };
    }
    place.row -= by;
    place
}

/// `by` rows after `place`, or the end, which is row 0 of the index after the last.
fn down(blocks: &Blocks<'_>, mut place: Place, by: usize) -> Place {
    place.row += by;
    while place.index < blocks.transcript.len() {
        let rows = blocks.rows(place.index).len();
        if place.row < rows {
            return place;
        }
        place = Place { index: place.index + 1, row: place.row - rows };
    }
    Place { index: blocks.transcript.len(), row: 0 }
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, tz::TimeZone};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        app::{
            Transcript,
            block::Columns,
            transcript::{Body, Level},
        },
        safe_text::SafeText,
    };

    fn transcript(texts: &[String]) -> Transcript {
        let mut transcript = Transcript::default();
        for text in texts {
            let body = Body::Notice { level: Level::Info, text: SafeText::message(text) };
            transcript.push(Timestamp::UNIX_EPOCH, body);
        }
        transcript
    }

    fn blocks(transcript: &Transcript, columns: u16) -> Blocks<'_> {
        static UTC: TimeZone = TimeZone::UTC;
        Blocks { transcript, time_zone: &UTC, unread: None, columns: Columns::of(columns) }
    }

    fn visible(view: Viewport, blocks: &Blocks<'_>, rows: usize) -> Vec<(usize, Row)> {
        let top = view.top(blocks, rows);
        (top.index..blocks.transcript.len())
            .flat_map(|index| blocks.rows(index).into_iter().map(move |row| (index, row)))
            .skip(top.row)
            .take(rows)
            .collect()
    }

    fn all(blocks: &Blocks<'_>) -> Vec<(usize, Row)> {
        visible(Viewport::At { entry: EntryId(0), byte: None }, blocks, usize::MAX)
    }

    proptest! {
        #[test]
        fn scrolling_shows_every_row_in_order(
            texts in prop::collection::vec("[a-z ]{0,90}", 1..12), columns in 34u16..60, rows in 3usize..9,
        ) {
            let transcript = transcript(&texts);
            let blocks = blocks(&transcript, columns);
            let all = all(&blocks);
            let mut view = Viewport::Newest;
            let mut bottom = all.len();
            prop_assert_eq!(visible(view, &blocks, rows), &all[bottom.saturating_sub(rows)..bottom]);
            while bottom > rows {
                view = view.scrolled(&blocks, rows, -2);
                bottom = (bottom - 2).max(rows);
                prop_assert_eq!(visible(view, &blocks, rows), &all[bottom - rows..bottom]);
            }
            while bottom < all.len() {
                view = view.scrolled(&blocks, rows, 2);
                bottom = (bottom + 2).min(all.len());
                prop_assert_eq!(visible(view, &blocks, rows), &all[bottom - rows..bottom]);
            }
            prop_assert_eq!(view, Viewport::Newest);
        }

        #[test]
        fn a_resize_and_back_changes_nothing_and_keeps_the_entry(
            texts in prop::collection::vec("[a-z ]{0,90}", 20..30), up in 1isize..20, wider in 34u16..120,
        ) {
            let transcript = transcript(&texts);
            let (narrow, wide) = (blocks(&transcript, 40), blocks(&transcript, wider));
            let view = Viewport::Newest.scrolled(&narrow, 5, -up);
            let top = view.top(&narrow, 5);
            prop_assert_eq!(view.top(&wide, 5).index, top.index);
            prop_assert_eq!(view.top(&narrow, 5), top);
        }
    }

    #[test]
    fn a_short_transcript_stays_at_the_newest() {
        let transcript = transcript(&["one".into(), "two".into()]);
        let blocks = blocks(&transcript, 40);
        assert_eq!(Viewport::Newest.scrolled(&blocks, 10, -9), Viewport::Newest);
        assert_eq!(Viewport::Newest.top(&blocks, 10), Place { index: 0, row: 0 });
    }

    #[test]
    fn a_view_of_a_dropped_entry_goes_to_the_oldest_kept() {
        let transcript = transcript(&["one".into()]);
        let view = Viewport::At { entry: EntryId(99), byte: None };
        assert_eq!(view.top(&blocks(&transcript, 40), 1), Place { index: 0, row: 0 });
    }
}
