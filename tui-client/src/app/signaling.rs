//! What is told of the signaling's comings and goings: the first of each at once, and while they go on, once a
//! minute how many there were. The title and the status line show the state as it is at every moment.

use std::time::Duration;

use patchcord_peer::{PeerId, SignalingState};

use super::{App, Level};
use crate::clock::Moment;

/// How long changes are gathered into one line.
pub const SIGNALING_FOLD_TIME: Duration = Duration::from_secs(60);

/// Changes that belong together.
#[derive(Debug)]
pub(super) struct Episode {
    /// When it is told how many there were.
    until: Duration,
    away_told: bool,
    back_told: bool,
    rejoined_told: bool,
    /// Times away that were not told.
    more: usize,
}

impl Episode {
    fn begin(now: Moment) -> Self {
        let until = now.uptime + SIGNALING_FOLD_TIME;
        Self { until, away_told: false, back_told: false, rejoined_told: false, more: 0 }
    }
}

impl App {
    pub(super) fn signaling_changed(&mut self, state: SignalingState, now: Moment) {
        match &state {
            SignalingState::Away { reason } if self.signaling == SignalingState::Connected => {
                let episode = self.episode.get_or_insert_with(|| Episode::begin(now));
                if std::mem::replace(&mut episode.away_told, true) {
                    episode.more += 1;
                } else {
                    let text = format!("signaling is away ({reason}): open chats go on, it is tried again");
                    self.notice(Level::Problem, &text, now);
                }
            }
            SignalingState::Gone { reason } => {
                self.episode = None;
                let text = format!("signaling is gone ({reason}): open chats go on, newcomers are not seen");
                self.notice(Level::Problem, &text, now);
            }
            SignalingState::Connected if self.signaling != SignalingState::Connected => {
                let told = |episode: &mut Episode| std::mem::replace(&mut episode.back_told, true);
                if !self.episode.as_mut().is_some_and(told) {
                    self.notice(Level::Info, "signaling is back", now);
                }
            }
            _ => {}
        }
        self.signaling = state;
    }

    pub(super) fn rejoined(&mut self, peer_id: PeerId, now: Moment) {
        self.roster.set_me(peer_id);
        let told = |episode: &mut Episode| std::mem::replace(&mut episode.rejoined_told, true);
        if !self.episode.as_mut().is_some_and(told) {
            self.notice(Level::Info, "the server had forgotten us: joined again", now);
        }
    }

    /// When [`App::fold_signaling`] has something to tell or to forget.
    pub(super) fn episode_until(&self) -> Option<Duration> {
        self.episode.as_ref().map(|episode| episode.until)
    }

    /// Tells what was not told, when it is time; an episode without anything new is over.
    pub(super) fn fold_signaling(&mut self, now: Moment) {
        let Some(episode) = self.episode.take_if(|episode| episode.until <= now.uptime) else { return };
        let (level, state) = match &self.signaling {
            SignalingState::Connected => (Level::Info, "is back".to_owned()),
            SignalingState::Away { reason } => (Level::Problem, format!("is away now ({reason})")),
            _ => (Level::Problem, "is away now".to_owned()),
        };
        let times = match episode.more {
            0 => return,
            1 => "once more".to_owned(),
            more => format!("{more} more times"),
        };
        self.notice(level, &format!("signaling was away {times} within a minute, and {state}"), now);
        let told = Episode { away_told: true, back_told: true, rejoined_told: true, ..Episode::begin(now) };
        self.episode = Some(told);
    }

    /// The state in the words of the network view.
    pub(super) fn signaling_line(&self) -> String {
        match &self.signaling {
            SignalingState::Connected => "switchboard: connected".into(),
            SignalingState::Away { reason } => format!("switchboard: away ({reason}), it is tried again"),
            SignalingState::Resuming => "switchboard: away, trying to come back".into(),
            SignalingState::Gone { reason } => {
                format!("switchboard: gone ({reason}), /quit and join again for newcomers")
            }
        }
    }
}
