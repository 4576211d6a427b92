//! The screen: reads the app and draws it, and changes nothing. Every text goes through `Canvas`, which takes
//! nothing that has not passed the gate.

use ratatui::{Frame, layout::Rect, style::Style};

use crate::{
    app::{App, screen::Overlay},
    theme::Theme,
};

mod canvas;
mod composer;
mod keys;
mod overlay;
mod qr;
mod roster;
mod status;
mod title;
mod transcript;

use canvas::Canvas;

/// Draws the whole screen.
pub fn draw(app: &App, theme: Theme, frame: &mut Frame<'_>) {
    let Some(areas) = app.areas() else { return too_small(frame) };
    let overlay = app.screen().overlay;
    title::draw(app, theme, &mut canvas(frame, areas.title));
    match overlay {
        Some(Overlay { kind, scroll }) => {
            overlay::draw(app, theme, kind, scroll, &mut canvas(frame, areas.overlay()));
        }
        None => {
            transcript::draw(app, theme, &app.blocks(&areas), &mut canvas(frame, areas.transcript));
            if let Some(area) = areas.roster {
                roster::draw(app, theme, &mut canvas(frame, area));
            }
        }
    }
    status::draw(app, theme, &mut canvas(frame, areas.status));
    let cursor = composer::draw(app, theme, &mut canvas(frame, areas.composer));
    keys::draw(app, theme, &mut canvas(frame, areas.keys));
    // Input methods and screen readers follow the real cursor; under an overlay nothing can be written.
    if overlay.is_none() {
        frame.set_cursor_position(cursor);
    }
}

fn canvas<'a>(frame: &'a mut Frame<'_>, area: Rect) -> Canvas<'a> {
    Canvas::new(frame.buffer_mut(), area)
}

fn too_small(frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut canvas = canvas(frame, area);
    let rows = ["terminal too small:", "40x10 is needed", "(the chat goes on)"];
    for (row, text) in (0..).zip(rows) {
        canvas.put(row, 0, text, Style::new());
    }
}
