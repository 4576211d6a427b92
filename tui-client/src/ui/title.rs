//! The title line: where we are, who we are, and how the connections are.

use patchcord_peer::{ConnectionState, EndReason, SignalingState};

use super::Canvas;
use crate::{
    app::{App, Phase, connection_word, path_words},
    safe_text::SafeText,
    theme::Theme,
    wrap,
};

const HELP: &str = "F1 help ";
/// Columns that the name of the room or our own may take.
const NAME_COLUMNS: usize = 20;

/// What can be left out where there is no room for it, the first first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    AllIsWell,
    Count,
    Me,
    Connections,
    Trouble,
    Room,
}

pub fn draw(app: &App, theme: Theme, canvas: &mut Canvas<'_>) {
    let room = wrap::truncate(app.room(), NAME_COLUMNS);
    let me = wrap::truncate(app.roster().my_name(), NAME_COLUMNS);
    let sealed = if app.invite().is_some() { " sealed" } else { "" };
    let mut parts = vec![(Weight::Room, format!("#{room}{sealed}")), (Weight::Me, me.to_string())];
    parts.extend(peers(app));
    parts.push(signaling(app));
    let title = fitted(parts, canvas.columns());
    let end = canvas.put(0, 0, &title, theme.title());
    canvas.style_row(0, theme.title());
    canvas.put_right(0, end + 2, HELP, theme.title());
}

/// As much as there is room for; what has to be cut ends in a mark.
fn fitted(mut parts: Vec<(Weight, String)>, columns: usize) -> SafeText {
    loop {
        let texts: Vec<&str> = parts.iter().map(|(_, text)| text.as_str()).collect();
        let title = SafeText::line(&format!(" {}", texts.join(" · ")));
        let lightest = (0..parts.len()).min_by_key(|index| parts[*index].0);
        match lightest.filter(|_| wrap::width(title.as_str()) > columns && parts.len() > 1) {
            Some(index) => drop(parts.remove(index)),
            None => return wrap::truncate(&title, columns),
        }
    }
}

fn peers(app: &App) -> Vec<(Weight, String)> {
    match app.roster().members() {
        [] => vec![(Weight::Count, "alone".into())],
        [member] => {
            let path = member.path.map(|path| format!(" {}", path_words(&path))).unwrap_or_default();
            let state = format!("{}{path}", connection_word(member.state));
            vec![(Weight::Count, "1 peer".into()), (Weight::Connections, state)]
        }
        members => {
            let connected =
                members.iter().filter(|member| member.state == ConnectionState::Connected).count();
            let state = format!("{connected} connected");
            vec![(Weight::Count, format!("{} peers", members.len())), (Weight::Connections, state)]
        }
    }
}

fn signaling(app: &App) -> (Weight, String) {
    let (weight, word) = match (app.phase(), app.signaling()) {
        (Phase::Leaving { .. }, _) => (Weight::Trouble, "leaving"),
        (Phase::Ended(_), _) if app.has_room_failed() => (Weight::Trouble, "failed"),
        (Phase::Ended(EndReason::Left), _) => (Weight::Trouble, "left"),
        (Phase::Ended(_), _) => (Weight::Trouble, "removed"),
        (Phase::Joined, SignalingState::Connected) => (Weight::AllIsWell, "signaling ok"),
        (Phase::Joined, SignalingState::Away { .. }) => (Weight::Trouble, "signaling away"),
        (Phase::Joined, SignalingState::Resuming) => (Weight::Trouble, "resuming"),
        (Phase::Joined, SignalingState::Gone { .. }) => (Weight::Trouble, "signaling gone"),
    };
    (weight, word.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_whole_and_trouble_last() {
        let parts = || {
            let parts = [(Weight::Room, "#lobby"), (Weight::Me, "ana"), (Weight::Count, "2 peers")];
            let more = [(Weight::Connections, "1 connected"), (Weight::Trouble, "signaling away")];
            parts.into_iter().chain(more).map(|(weight, text)| (weight, text.to_owned())).collect()
        };
        let title = |columns| fitted(parts(), columns).to_string();
        assert_eq!(title(80), " #lobby · ana · 2 peers · 1 connected · signaling away");
        assert_eq!(title(45), " #lobby · ana · 1 connected · signaling away");
        assert_eq!(title(40), " #lobby · 1 connected · signaling away");
        assert_eq!(title(30), " #lobby · signaling away");
        assert_eq!(title(6), " #lob…");
    }
}
