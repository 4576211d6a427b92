//! What stands on the status line for a moment, and how much room there is for it. What does not fit is told in
//! the transcript as well: nothing that somebody must read is only there in part.

use super::{App, HINT_TIME, Level, Surface, viewport::Viewport};
use crate::{clock::Moment, safe_text::SafeText, wrap};

/// Columns of the line before and after a text on it.
const AROUND: usize = 5;

impl App {
    /// Tells the user why a command was not carried out.
    pub(super) fn hint_at(&mut self, text: &str, now: Moment) {
        let hint = SafeText::line(text);
        if self.surface == Surface::Lines {
            return self.notice(Level::Problem, text, now);
        }
        self.hint = Some((hint, now.uptime + HINT_TIME));
        if !self.hint_fits(self.status_columns()) {
            self.notice(Level::Problem, text, now);
        }
    }

    fn hint_fits(&self, columns: usize) -> bool {
        self.hint.as_ref().is_none_or(|(hint, _)| wrap::width(hint.as_str()) <= columns)
    }

    /// Columns for a text on the status line.
    pub fn status_columns(&self) -> usize {
        let pill = self.pill().map_or(0, |pill| wrap::width(pill.as_str()) + 1);
        usize::from(self.screen.columns).saturating_sub(AROUND + pill)
    }

    /// What is not in view at the bottom, for the end of the status line. A hint that needs the room has it.
    pub fn pill(&self) -> Option<SafeText> {
        let scrolled = self.screen.viewport != Viewport::Newest;
        let pill = match (scrolled, self.screen.unread) {
            (_, unread @ 1..) => SafeText::line(&format!(" {unread} new ↓ ")),
            (true, 0) => SafeText::line(" Ctrl-End newest ↓ "),
            (false, 0) => return None,
        };
        let room = usize::from(self.screen.columns).saturating_sub(AROUND + wrap::width(pill.as_str()) + 1);
        self.hint_fits(room).then_some(pill)
    }
}
