//! The rows of what lies over the transcript, wrapped for its width.

use super::{
    App,
    help::help_lines,
    identity::known_words,
    report::{apart_words, connection_word, path_words, report_lines},
    screen::OverlayKind,
    sealed::verified_word,
};
use crate::{safe_text::SafeText, wrap};

/// From this width on, a key and its meaning share a row.
const TWO_COLUMNS_MIN: usize = 70;
/// Columns for the keys then.
const LEFT_COLUMNS: usize = 35;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayRow {
    /// What it says.
    pub text: SafeText,
    /// Whether what follows is about it.
    pub heading: bool,
}

impl App {
    /// All rows of an overlay that is `columns` wide.
    pub fn overlay_rows(&self, kind: OverlayKind, columns: usize) -> Vec<OverlayRow> {
        match kind {
            OverlayKind::Help => help_rows(columns),
            OverlayKind::Network => self.network_rows(columns),
            OverlayKind::Roster => self.roster_rows(columns),
            OverlayKind::Code => self.code_rows(columns),
            OverlayKind::Verify => self.verify_rows(columns),
        }
    }

    /// The lines of the network view, unwrapped.
    pub fn network_lines(&self) -> Vec<SafeText> {
        let lines = self.reports.iter().flat_map(|report| report_lines(report, &self.roster));
        [self.signaling_line()].into_iter().chain(lines).map(|line| SafeText::line(&line)).collect()
    }

    fn network_rows(&self, columns: usize) -> Vec<OverlayRow> {
        let lines = self.network_lines();
        let mut rows: Vec<OverlayRow> =
            lines.iter().flat_map(|line| wrapped(line.as_str(), columns)).collect();
        if self.reports.is_empty() {
            rows.extend(wrapped("  no connections: nobody else is here", columns));
        }
        rows
    }

    fn roster_rows(&self, columns: usize) -> Vec<OverlayRow> {
        let me = self.roster.me();
        let mut rows = wrapped(&format!("{} (you)", self.roster.handle(me)), columns);
        for member in self.roster.members() {
            rows.extend(wrapped(self.roster.handle(&member.id).as_str(), columns));
            let path = member.path.map(|path| format!(" {}", path_words(&path))).unwrap_or_default();
            let away = if member.attached { "" } else { ", its signaling is away" };
            let known = known_words(member).map(|words| format!(", {words}")).unwrap_or_default();
            let verified = format!("{}{known}", verified_word(member));
            let state = format!("  {}{path}, {verified}{away}", connection_word(member.state));
            rows.extend(wrapped(&state, columns));
            rows.extend(apart_words(member).iter().flat_map(|words| wrapped(&format!("  {words}"), columns)));
        }
        rows
    }
}

fn help_rows(columns: usize) -> Vec<OverlayRow> {
    let mut rows = Vec::new();
    for (left, right) in help_lines() {
        if right.is_empty() {
            if !rows.is_empty() {
                rows.push(row("", false));
            }
            rows.push(row(left, true));
        } else if columns >= TWO_COLUMNS_MIN {
            let width = columns - LEFT_COLUMNS;
            for (index, part) in wrap::wrap(right, width).into_iter().enumerate() {
                let left = if index == 0 { left } else { "" };
                let padding = LEFT_COLUMNS.saturating_sub(wrap::width(left));
                rows.push(row(&format!("{left}{}{}", " ".repeat(padding), &right[part]), false));
            }
        } else {
            rows.extend(wrapped(left, columns));
            rows.extend(wrapped(&format!("    {right}"), columns));
        }
    }
    rows
}

/// A line and its indented continuation; one that is not indented itself is a heading.
pub(super) fn wrapped(line: &str, columns: usize) -> Vec<OverlayRow> {
    let text = line.trim_start_matches(' ');
    let indent = line.len() - text.len();
    let rows = wrap::wrap(text, columns.saturating_sub(indent).max(1)).into_iter();
    rows.map(|part| row(&format!("{}{}", " ".repeat(indent), &text[part]), indent == 0)).collect()
}

fn row(text: &str, heading: bool) -> OverlayRow {
    OverlayRow { text: SafeText::line(text), heading }
}
