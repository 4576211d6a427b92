//! The roster's pane: each peer with the state of its connection in words.

use patchcord_peer::ConnectionState;

use super::Canvas;
use crate::{
    app::{
        App, connection_word, other_name, path_words,
        roster::{Member, Verification},
        verified_word,
    },
    safe_text::SafeText,
    theme::Theme,
    wrap,
};

/// The line at the left and a space.
const LEFT: usize = 2;
/// The sign before a name and a space.
const SIGN: usize = 2;

pub fn draw(app: &App, theme: Theme, canvas: &mut Canvas<'_>) {
    for row in 0..canvas.rows() {
        canvas.put(row, 0, "│", theme.aside());
    }
    let roster = app.roster();
    let columns = canvas.columns().saturating_sub(LEFT + SIGN);
    let me =
        SafeText::line(&format!("{} (you)", wrap::truncate(roster.my_name(), columns.saturating_sub(6))));
    canvas.put(0, LEFT + SIGN, &me, theme.own_nick());
    let mut row = 1;
    for (index, member) in roster.members().iter().enumerate() {
        let known = other_name(member).map(|name| SafeText::line(&format!("verified as {name}")));
        let apart = match (member.refused, member.held) {
            (true, _) => Some("refused: /connect"),
            (false, true) => Some("blocked: /verify"),
            (false, false) => None,
        };
        let more: Vec<_> = known.into_iter().chain(apart.map(SafeText::line)).collect();
        let needed = 2 + usize::from(!member.attached) + more.len();
        let left = roster.members().len() - index;
        let reserve = usize::from(left > 1);
        if row + needed + reserve > canvas.rows() {
            let more = SafeText::line(&format!("and {left} more: /who"));
            canvas.put(row, LEFT, &more, theme.aside());
            return;
        }
        let (sign, style) = sign(member, theme);
        canvas.put(row, LEFT, sign, style);
        let (word, style) = verified(member, theme);
        let handle = wrap::truncate(&roster.handle(&member.id), columns.saturating_sub(word.len() + 1));
        let end = canvas.put(row, LEFT + SIGN, &handle, theme.nick(&member.id));
        canvas.put_right(row, end + 1, word, style);
        canvas.put(row + 1, LEFT + SIGN, &wrap::truncate(&state(member), columns), theme.aside());
        for (at, line) in more.iter().enumerate() {
            let style = if member.held && !member.refused { theme.alert() } else { theme.aside() };
            canvas.put(row + 2 + at, LEFT + SIGN, &wrap::truncate(line, columns), style);
        }
        if !member.attached {
            canvas.put(row + 2 + more.len(), LEFT + SIGN, "its signaling is away", theme.aside());
        }
        row += needed;
    }
}

fn state(member: &Member) -> SafeText {
    let path = member.path.map(|path| format!(" {}", path_words(&path))).unwrap_or_default();
    SafeText::line(&format!("{}{path}", connection_word(member.state)))
}

fn verified(member: &Member, theme: Theme) -> (&'static str, ratatui::style::Style) {
    let style = match member.verification {
        Verification::Verified => theme.good(),
        Verification::Unverified => theme.aside(),
        Verification::Changed => theme.alert(),
    };
    (verified_word(member), style)
}

fn sign(member: &Member, theme: Theme) -> (&'static str, ratatui::style::Style) {
    match member.state {
        ConnectionState::Connected => ("●", theme.good()),
        ConnectionState::Connecting | ConnectionState::Disconnected => ("◐", theme.alert()),
        ConnectionState::New | ConnectionState::Closed => ("○", theme.aside()),
        ConnectionState::Failed => ("✗", theme.problem()),
    }
}
