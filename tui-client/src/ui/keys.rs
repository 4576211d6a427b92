//! The key bar: what can be done now, the most needed first; what does not fit is left out whole.

use super::Canvas;
use crate::{
    app::{App, Phase},
    theme::Theme,
};

const WRITING: &[(&str, &str)] = &[
    ("Enter", "send"),
    ("F1", "help"),
    ("^Q", "quit"),
    ("^J", "newline"),
    ("Tab", "complete"),
    ("PgUp", "scroll"),
    ("^N", "network"),
    ("^P", "peers"),
];
const READING: &[(&str, &str)] = &[("Esc", "close"), ("↑↓ PgUp PgDn", "scroll"), ("^Q", "quit")];
const ENDED: &[(&str, &str)] = &[("^Q", "quit"), ("PgUp", "scroll"), ("F1", "help")];

pub fn draw(app: &App, theme: Theme, canvas: &mut Canvas<'_>) {
    let keys = match (app.screen().overlay, app.phase()) {
        (Some(_), _) => READING,
        (None, Phase::Ended(_)) => ENDED,
        (None, _) => WRITING,
    };
    let mut column = 1;
    for (key, does) in keys {
        let end = column + crate::wrap::width(key) + 1 + does.len();
        if end > canvas.columns() {
            return;
        }
        let after = canvas.put(0, column, *key, theme.heading());
        canvas.put(0, after + 1, *does, theme.aside());
        column = end + 2;
    }
}
