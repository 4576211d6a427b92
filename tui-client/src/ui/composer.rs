//! The input with its prompt. The cursor that blinks is the terminal's own.

use ratatui::layout::Position;

use super::Canvas;
use crate::{
    app::{App, Phase, layout},
    theme::Theme,
};

/// Draws the input and returns where the cursor belongs.
pub fn draw(app: &App, theme: Theme, canvas: &mut Canvas<'_>) -> Position {
    let view = app.composer().view(layout::composer_columns(app.screen().columns));
    let (row, column) = view.cursor;
    // The row of the cursor is always in view.
    let first = (row + 1).saturating_sub(canvas.rows()).min(row);
    let start = layout::PROMPT.len();
    canvas.put(0, 0, layout::PROMPT, theme.heading());
    for (at, text) in view.rows.iter().skip(first).take(canvas.rows()).enumerate() {
        canvas.put(at, start, text, ratatui::style::Style::new());
    }
    if app.composer().is_empty() {
        let placeholder = match app.phase() {
            Phase::Ended(_) => "/quit ends the program",
            Phase::Joined | Phase::Leaving { .. } => "write a message, or /help",
        };
        canvas.put(0, start, placeholder, theme.aside());
    }
    canvas.position(row - first, start + column).unwrap_or_default()
}
