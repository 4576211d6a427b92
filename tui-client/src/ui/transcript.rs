//! The transcript: only the rows that are in view are laid out, however long it is.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use patchcord_peer::{DeliveryState, TextKind};

use super::Canvas;
use crate::{
    app::{
        App, Body, Delivery, Entry, Level, Said,
        block::{Blocks, NOTICE_COLUMNS, Row, TIME_COLUMNS, shown_text},
    },
    safe_text::SafeText,
    theme::Theme,
    wrap,
};

pub fn draw(app: &App, theme: Theme, blocks: &Blocks<'_>, canvas: &mut Canvas<'_>) {
    let top = app.screen().viewport.top(blocks, canvas.rows());
    let visible = (top.index..blocks.transcript.len())
        .flat_map(|index| blocks.rows(index).into_iter().map(move |row| (index, row)))
        .skip(top.row)
        .take(canvas.rows());
    for (at, (index, row)) in visible.enumerate() {
        let Some(entry) = blocks.transcript.at(index) else { return };
        match row {
            Row::Day(day) => rule(canvas, at, &day_words(day), theme.aside()),
            Row::Unread => {
                let text = SafeText::line(&format!("{} new", app.screen().unread.max(1)));
                let text = if app.screen().unread == 0 { SafeText::line("new") } else { text };
                rule(canvas, at, &text, theme.alert());
            }
            Row::Text { bytes, first, last } => {
                let (start, _) = blocks.columns.text(&entry.body);
                if first {
                    head(app, theme, entry, blocks.columns.name, at, canvas);
                }
                let text = shown_text(&entry.body);
                canvas.put(at, start, text.part(bytes), text_style(theme, &entry.body));
                if let (true, Body::Said(Said { delivery: Some(delivery), .. })) = (last, &entry.body) {
                    let (mark, style) = mark(delivery, blocks.columns.mark, theme);
                    canvas.put_right(at, 0, &mark, style);
                }
            }
        }
    }
}

/// A line across the pane with a word in it.
fn rule(canvas: &mut Canvas<'_>, row: usize, text: &SafeText, style: ratatui::style::Style) {
    canvas.fill(row, 0, 2, "─", style);
    let end = canvas.put(row, 3, text, style);
    canvas.fill(row, end + 1, canvas.columns(), "─", style);
}

fn day_words(day: Date) -> SafeText {
    SafeText::line(&day.strftime("%A, %-d %B %Y").to_string())
}

/// Time and name, on the first row of an entry.
fn head(app: &App, theme: Theme, entry: &Entry, name_columns: usize, row: usize, canvas: &mut Canvas<'_>) {
    canvas.put(row, 0, &clock_words(entry.at, app.time_zone()), theme.aside());
    match &entry.body {
        Body::Notice { level: Level::Info, .. } => canvas.put(row, TIME_COLUMNS, "·", theme.aside()),
        Body::Notice { level: Level::Problem, .. } => canvas.put(row, TIME_COLUMNS, "!", theme.problem()),
        Body::Said(Said { kind: TextKind::Action, .. }) => {
            canvas.put(row, TIME_COLUMNS + name_columns - 1, "*", theme.aside())
        }
        Body::Said(said) => {
            let style = said.peer_id.as_ref().map_or(theme.own_nick(), |id| theme.nick(id));
            canvas.put(row, TIME_COLUMNS, &wrap::truncate(&said.name, name_columns), style)
        }
    };
    const { assert!(NOTICE_COLUMNS == 2, "a sign and a space") };
}

fn text_style(theme: Theme, body: &Body) -> ratatui::style::Style {
    match body {
        Body::Notice { level: Level::Info, .. } => theme.aside(),
        Body::Notice { level: Level::Problem, .. } => theme.problem(),
        Body::Said(_) => ratatui::style::Style::new(),
    }
}

fn clock_words(at: Timestamp, time_zone: &TimeZone) -> SafeText {
    let time = time_zone.to_datetime(at);
    SafeText::line(&format!("{:02}:{:02}", time.hour(), time.minute()))
}

/// The sign for how far a text is, with the count of receivers where there are several and room for it.
fn mark(delivery: &Delivery, columns: usize, theme: Theme) -> (SafeText, ratatui::style::Style) {
    let (sign, style) = match delivery.state() {
        DeliveryState::Queued => ("…", theme.aside()),
        DeliveryState::Sent => ("✓", theme.aside()),
        DeliveryState::Delivered => ("✓✓", theme.good()),
        DeliveryState::Failed => ("✗", theme.problem()),
    };
    let (delivered, of) = (delivery.delivered(), delivery.receivers());
    let count = format!("{delivered}/{of}");
    let both = format!("{sign} {count}");
    let text = match (of, delivery.state()) {
        (..=1, _) => sign.to_owned(),
        _ if wrap::width(&both) < columns => both,
        // The count tells more than the sign, except that it went wrong or right for all.
        (_, DeliveryState::Queued | DeliveryState::Sent) if delivered > 0 && count.len() < columns => count,
        _ => sign.to_owned(),
    };
    (SafeText::line(&text), style)
}
