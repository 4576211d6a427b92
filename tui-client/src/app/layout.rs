//! Where things are on the screen: pure geometry, the same for scrolling and for drawing.

use ratatui::layout::Rect;

/// Columns below which nothing but a hint is shown.
pub const COLUMNS_MIN: u16 = 40;
/// Rows below which nothing but a hint is shown.
pub const ROWS_MIN: u16 = 10;
/// Columns from which on the roster has a pane of its own: with fewer, a text would have less than 27 beside it.
pub const ROSTER_COLUMNS_MIN: u16 = 70;
/// Rows from which on the roster has a pane of its own.
pub const ROSTER_ROWS_MIN: u16 = 15;
/// Columns of that pane, with the line at its left.
pub const ROSTER_COLUMNS: u16 = 28;
/// What precedes the input.
pub const PROMPT: &str = "> ";

/// The parts of the screen, from top to bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Areas {
    /// Room, name, peers, connection.
    pub title: Rect,
    /// What was said.
    pub transcript: Rect,
    /// Who is here, where there is room for it.
    pub roster: Option<Rect>,
    /// Who writes, what is unread, what failed.
    pub status: Rect,
    /// The input, with its prompt.
    pub composer: Rect,
    /// What keys do now.
    pub keys: Rect,
}

impl Areas {
    /// Where an overlay is drawn, with its frame: over transcript and roster.
    pub fn overlay(&self) -> Rect {
        self.roster.map_or(self.transcript, |roster| self.transcript.union(roster))
    }
}

/// Columns for text in an overlay, inside its frame and one column of padding.
pub fn overlay_columns(overlay: Rect) -> usize {
    usize::from(overlay.width).saturating_sub(4)
}

/// Whether the roster has a pane of its own at this size.
pub fn has_roster_pane(columns: u16, rows: u16) -> bool {
    columns >= ROSTER_COLUMNS_MIN && rows >= ROSTER_ROWS_MIN
}

/// Columns for the input beside its prompt.
pub fn composer_columns(columns: u16) -> usize {
    usize::from(columns).saturating_sub(PROMPT.len())
}

/// Divides a screen; `None` when it is too small. The input takes up to a third of it.
pub fn areas(columns: u16, rows: u16, composer_rows: usize, roster_shown: bool) -> Option<Areas> {
    if columns < COLUMNS_MIN || rows < ROWS_MIN {
        return None;
    }
    let composer_rows = u16::try_from(composer_rows).unwrap_or(u16::MAX).clamp(1, rows / 3);
    let transcript_rows = rows - composer_rows - 3;
    let with_roster = roster_shown && has_roster_pane(columns, rows);
    let transcript_columns = if with_roster { columns - ROSTER_COLUMNS } else { columns };
    let row = |y, height| Rect::new(0, y, columns, height);
    Some(Areas {
        title: row(0, 1),
        transcript: Rect::new(0, 1, transcript_columns, transcript_rows),
        roster: with_roster.then(|| Rect::new(transcript_columns, 1, ROSTER_COLUMNS, transcript_rows)),
        status: row(1 + transcript_rows, 1),
        composer: row(2 + transcript_rows, composer_rows),
        keys: row(2 + transcript_rows + composer_rows, 1),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_cover_the_screen_and_do_not_overlap(
            columns in 0u16..300, rows in 0u16..100, composer in 0usize..200, roster: bool,
        ) {
            let Some(areas) = areas(columns, rows, composer, roster) else {
                prop_assert!(columns < COLUMNS_MIN || rows < ROWS_MIN);
                return Ok(());
            };
            let parts = [Some(areas.title), Some(areas.transcript), areas.roster, Some(areas.status),
                Some(areas.composer), Some(areas.keys)];
            let covered: u32 = parts.iter().flatten().map(|part| part.area()).sum();
            prop_assert_eq!(covered, u32::from(columns) * u32::from(rows));
            prop_assert!(areas.transcript.height >= 3 && areas.transcript.width >= 32);
        }
    }
}
