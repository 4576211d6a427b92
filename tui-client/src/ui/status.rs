//! The line between transcript and input: what went wrong, who writes, how far the last text is, what is
//! unread.

use patchcord_peer::{DeliveryState, SignalingState};

use super::Canvas;
use crate::{
    app::{App, Delivery, Phase},
    safe_text::SafeText,
    theme::Theme,
    wrap,
};

/// Names shown of those who write.
const WRITERS_MAX: usize = 3;

pub fn draw(app: &App, theme: Theme, canvas: &mut Canvas<'_>) {
    canvas.fill(0, 0, canvas.columns(), "─", theme.aside());
    let (text, style) = match (app.hint(), candidates(app)) {
        (Some(hint), _) => (hint.clone(), theme.alert()),
        (None, Some(candidates)) => (candidates, theme.heading()),
        (None, None) => (fitted(&words(app), app.status_columns()), style(app, theme)),
    };
    if !text.as_str().is_empty() {
        let text = SafeText::line(&format!(" {} ", wrap::truncate(&text, app.status_columns())));
        canvas.put(0, 1, &text, style);
    }
    if let Some(pill) = app.pill() {
        canvas.put_right(0, 0, &pill, theme.alert());
    }
}

/// As many of `words` as there is room for, the first of them first.
fn fitted(words: &[String], columns: usize) -> SafeText {
    let beginnings = (1..=words.len()).rev().map(|count| SafeText::line(&words[..count].join(" · ")));
    let mut beginnings = beginnings.filter(|text| wrap::width(text.as_str()) <= columns);
    beginnings.next().unwrap_or_else(|| SafeText::line(words.first().map_or("", String::as_str)))
}

/// What Tab goes round through, when there is a choice.
fn candidates(app: &App) -> Option<SafeText> {
    let candidates = app.completion()?.candidates();
    let names: Vec<&str> = candidates.iter().map(|name| name.trim_end_matches([' ', ':'])).collect();
    (names.len() > 1).then(|| SafeText::line(&format!("Tab: {}", names.join("  "))))
}

fn style(app: &App, theme: Theme) -> ratatui::style::Style {
    let away = *app.signaling() != SignalingState::Connected && *app.phase() == Phase::Joined;
    if away { theme.problem() } else { theme.aside() }
}

fn words(app: &App) -> Vec<String> {
    let mut words = Vec::new();
    match (app.phase(), app.signaling()) {
        (Phase::Leaving { .. }, _) => {
            words.push("leaving: Ctrl-Q quits at once".into());
        }
        (Phase::Ended(_), _) => words.push("out of the room: Ctrl-Q quits".into()),
        (Phase::Joined, SignalingState::Away { .. }) => {
            words.extend(["signaling is away", "open chats go on"].map(String::from));
        }
        (Phase::Joined, SignalingState::Resuming) => {
            words.extend(["signaling: trying to come back", "open chats go on"].map(String::from));
        }
        (Phase::Joined, SignalingState::Gone { .. }) => {
            let parts = ["signaling is gone", "open chats go on", "/quit and join again for more"];
            words.extend(parts.map(String::from));
        }
        (Phase::Joined, SignalingState::Connected) => {}
    }
    words.extend(writers(app));
    let last = app.transcript().last_own().and_then(|said| said.delivery.as_ref());
    words.extend(last.map(|delivery| delivery_words(delivery, waits_for_a_decision(delivery, app))));
    words
}

fn writers(app: &App) -> Option<String> {
    let roster = app.roster();
    let names: Vec<String> = roster
        .members()
        .iter()
        .filter(|member| member.typing_until.is_some())
        .map(|member| roster.handle(&member.id).to_string())
        .collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("{one} is writing…")),
        few if few.len() <= WRITERS_MAX => Some(format!("{} are writing…", few.join(", "))),
        many => Some(format!("{} are writing…", many.len())),
    }
}

/// Whether one of its receivers is blocked.
fn waits_for_a_decision(delivery: &Delivery, app: &App) -> bool {
    delivery
        .pending()
        .any(|peer_id| app.roster().get(peer_id).is_some_and(|member| member.held && !member.refused))
}

/// How far the last text of our own is, in words.
fn delivery_words(delivery: &Delivery, undecided: bool) -> String {
    let (delivered, of) = (delivery.delivered(), delivery.receivers());
    let all = of <= 1;
    match delivery.state() {
        DeliveryState::Delivered => "delivered".into(),
        DeliveryState::Failed if all || delivered == 0 => "not delivered".into(),
        DeliveryState::Failed => format!("delivered to {delivered} of {of} only"),
        DeliveryState::Queued if delivered == 0 && undecided => {
            "queued: waits for your decision, /verify or /refuse".into()
        }
        DeliveryState::Queued if delivered == 0 => "queued: waits for a connection".into(),
        DeliveryState::Sent if all || delivered == 0 => "sent".into(),
        _ => format!("delivered to {delivered} of {of}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_after_the_first_words_is_left_out_whole() {
        let words = ["signaling is away", "bo is writing…", "sent"].map(str::to_owned);
        let fitted = |columns| fitted(&words, columns).to_string();
        assert_eq!(fitted(80), "signaling is away · bo is writing… · sent");
        assert_eq!(fitted(40), "signaling is away · bo is writing…");
        assert_eq!(fitted(20), "signaling is away");
        assert_eq!(fitted(5), "signaling is away", "cut, with a mark, by who draws it");
    }
}
