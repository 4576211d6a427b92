//! Help, network view or roster, in a frame over the transcript.

use super::Canvas;
use crate::{
    app::{App, screen::OverlayKind},
    theme::Theme,
};

pub fn draw(app: &App, theme: Theme, kind: OverlayKind, scroll: usize, canvas: &mut Canvas<'_>) {
    let (columns, rows) = (canvas.columns(), canvas.rows());
    let title = match kind {
        OverlayKind::Help => " Help ",
        OverlayKind::Network => " Network ",
        OverlayKind::Roster => " Peers ",
        OverlayKind::Code => " Code ",
        OverlayKind::Verify => " Verify ",
    };
    frame(canvas, theme);
    canvas.put(0, 2, title, theme.heading());
    let page = rows.saturating_sub(2);
    let lines = app.overlay_rows(kind, columns.saturating_sub(4));
    // The pane may have grown since it was scrolled.
    let scroll = scroll.min(lines.len().saturating_sub(page));
    for (at, line) in lines.iter().skip(scroll).take(page).enumerate() {
        let style = if line.heading { theme.heading() } else { ratatui::style::Style::new() };
        canvas.put(at + 1, 2, &line.text, style);
    }
    if kind == OverlayKind::Code {
        super::qr::draw(app, theme, canvas);
    }
    if scroll + page < lines.len() {
        canvas.put_right(rows.saturating_sub(1), 0, " more ↓ ─┘", theme.alert());
    }
}

fn frame(canvas: &mut Canvas<'_>, theme: Theme) {
    let style = theme.aside();
    let (right, bottom) = (canvas.columns().saturating_sub(1), canvas.rows().saturating_sub(1));
    for row in [0, bottom] {
        canvas.fill(row, 1, right, "─", style);
    }
    for row in 1..bottom {
        canvas.put(row, 0, "│", style);
        canvas.put(row, right, "│", style);
    }
    for (row, column, corner) in [(0, 0, "┌"), (0, right, "┐"), (bottom, 0, "└"), (bottom, right, "┘")]
    {
        canvas.put(row, column, corner, style);
    }
}
