//! A chat that stops and comes back, told so that whoever writes meanwhile knows that it waits.

use std::time::Duration;

use patchcord_peer::{ConnectionState, Path, PeerId};

use super::{App, Level};
use crate::clock::Moment;

/// How often at most one peer's is told: on a bad line they come and go.
pub const INTERRUPTION_TOLD_INTERVAL: Duration = Duration::from_secs(60);

/// What of it was told about one peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interruption {
    told: Option<Duration>,
    end_untold: bool,
}

impl Interruption {
    /// Its end is told otherwise.
    pub fn is_over(&mut self) {
        self.end_untold = false;
    }
}

impl App {
    pub(super) fn connection_changed(
        &mut self,
        peer_id: &PeerId,
        state: ConnectionState,
        path: Option<Path>,
        now: Moment,
    ) {
        let Some(member) = self.roster.get_mut(peer_id) else { return };
        let before = std::mem::replace(&mut member.state, state);
        member.path = path;
        let interruption = &mut member.interruption;
        let due = interruption.told.is_none_or(|told| told + INTERRUPTION_TOLD_INTERVAL <= now.uptime);
        let text = match (before, state) {
            (ConnectionState::Connected, ConnectionState::Disconnected) if due => {
                *interruption = Interruption { told: Some(now.uptime), end_untold: true };
                "does not answer at the moment: what you write to it waits"
            }
            // Why is told as well.
            (_, ConnectionState::Failed | ConnectionState::Closed) => return interruption.is_over(),
            (_, ConnectionState::Connected) if member.channel_open && interruption.end_untold => {
                interruption.is_over();
                "answers again"
            }
            _ => return,
        };
        let text = format!("{} {text}", self.roster.handle(peer_id));
        self.notice(Level::Info, &text, now);
    }
}
