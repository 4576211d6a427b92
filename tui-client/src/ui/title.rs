//! The title line: where we are, who we are, and how the connections are.

use patchcord_peer::{ConnectionState, EndReason, SignalingState};

use super::Canvas;
use crate::{
    app::{App, Phase, connection_word, layout, path_words},
    safe_text::SafeText,
    theme::Theme,
    wrap,
};

const HELP: &str = "F1 help ";
/// Columns that the name of the room or our own may take.
const NAME_COLUMNS: usize = 20;

pub fn draw(app: &App, theme: Theme, canvas: &mut Canvas<'_>) {
    let room = wrap::truncate(app.room(), NAME_COLUMNS);
    let me = wrap::truncate(app.roster().my_name(), NAME_COLUMNS);
    let mut parts = vec![format!(" #{room}"), me.to_string()];
    parts.extend(peers(app, canvas.columns() >= layout::ROSTER_COLUMNS_MIN.into()));
    parts.push(signaling(app).into());
    let end = canvas.put(0, 0, &SafeText::line(&parts.join(" · ")), theme.title());
    canvas.style_row(0, theme.title());
    canvas.put_right(0, end + 2, HELP, theme.title());
}

fn peers(app: &App, counted: bool) -> Vec<String> {
    let members = app.roster().members();
    match members {
        [] => vec!["alone".into()],
        [member] => {
            let path = member.path.map(|path| format!(" {}", path_words(&path))).unwrap_or_default();
            let state = format!("{}{path}", connection_word(member.state));
            if counted { vec!["1 peer".into(), state] } else { vec![state] }
        }
        _ => {
            let connected =
                members.iter().filter(|member| member.state == ConnectionState::Connected).count();
            vec![format!("{} peers", members.len()), format!("{connected} connected")]
        }
    }
}

fn signaling(app: &App) -> &'static str {
    match (app.phase(), app.signaling()) {
        (Phase::Leaving { .. }, _) => "leaving",
        (Phase::Ended(EndReason::Left), _) => "left",
        (Phase::Ended(_), _) => "removed",
        (Phase::Joined, SignalingState::Connected) => "signaling ok",
        (Phase::Joined, SignalingState::Away { .. }) => "signaling away",
    }
}
