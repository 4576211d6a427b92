//! The room's events, with a look at what stands in the way of a connection that does not come about: which STUN and
//! TURN servers cannot be used is told by name, and before the library gives up.
//!
//! Invariant: the room's events pass in their order and nothing is held back; there is one look at a time.

use std::{collections::HashSet, time::Duration};

use patchcord_peer::{
    Config, ConnectionState, Event, IceTransportPolicy, PeerId, ProblemCode,
    probe::{Finding, probe},
};
use tokio::{
    sync::mpsc::{self, error::TryRecvError},
    time::{Instant, sleep_until},
};

mod conclusion;

use conclusion::conclusion;

/// How long a connection may take without anybody asking why.
const PATIENCE: Duration = Duration::from_secs(3);

/// From one look to the next: what was told is known.
const REST: Duration = Duration::from_secs(60);

/// What one look may find; more is not kept.
const FINDINGS_MAX: usize = 64;

type Look = Box<dyn Fn() -> mpsc::Receiver<Finding> + Send>;

/// Where a session takes its events from.
pub struct Lookout {
    events: mpsc::Receiver<Event>,
    look: Look,
    relay_only: bool,
    /// No connection with them yet.
    waiting: HashSet<PeerId>,
    due: Option<Instant>,
    looking: Option<(mpsc::Receiver<Finding>, Vec<Finding>)>,
    /// A connection was given up meanwhile: the outcome is told whoever waits.
    given_up: bool,
    rest_until: Option<Instant>,
}

impl std::fmt::Debug for Lookout {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lookout").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Lookout {
    /// Passes `events` of the room that was joined with `config` on.
    pub fn new(events: mpsc::Receiver<Event>, config: Config) -> Self {
        let relay_only = config.ice_transport_policy == IceTransportPolicy::Relay;
        Self::with(events, relay_only, Box::new(move || probe(config.clone())))
    }

    fn with(events: mpsc::Receiver<Event>, relay_only: bool, look: Look) -> Self {
        Self {
            events,
            look,
            relay_only,
            waiting: HashSet::new(),
            due: None,
            looking: None,
            given_up: false,
            rest_until: None,
        }
    }

    /// The next event of the room, or what was found out. Cancel-safe; none when the room tells nothing any more.
    pub async fn recv(&mut self) -> Option<Event> {
        loop {
            let due = self.due.filter(|_| self.looking.is_none());
            tokio::select! {
                // What has happened decides whether there is anything left to look into.
                biased;
                event = self.events.recv() => {
                    event.iter().for_each(|event| self.see(event));
                    return event;
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.due = None;
                    self.looking = Some(((self.look)(), Vec::new()));
                }
                finding = next_finding(&mut self.looking) => match (finding, &mut self.looking) {
                    (Some(finding), Some((_, found))) if found.len() < FINDINGS_MAX => found.push(finding),
                    (Some(_), _) => {}
                    (None, _) => if let Some(event) = self.conclude() {
                        return Some(event);
                    },
                },
            }
        }
    }

    /// An event of the room that is at hand.
    ///
    /// # Errors
    /// When there is none, or the room tells nothing any more.
    pub fn try_recv(&mut self) -> Result<Event, TryRecvError> {
        let event = self.events.try_recv()?;
        self.see(&event);
        Ok(event)
    }

    fn see(&mut self, event: &Event) {
        match event {
            Event::Connection { peer_id, state: ConnectionState::Connecting, .. } => {
                self.wait_for(peer_id);
            }
            Event::Connection { peer_id, .. }
            | Event::ChannelOpen { peer_id, .. }
            | Event::PeerLeft { peer_id, .. } => {
                self.waiting.remove(peer_id);
                if self.waiting.is_empty() && !self.given_up {
                    self.calm_down();
                }
            }
            Event::Problem { code: ProblemCode::ConnectTimeout | ProblemCode::ConnectionFailed, .. } => {
                self.be_due(Duration::ZERO);
                self.given_up = self.due.is_some() || self.looking.is_some();
            }
            Event::Ended(_) => self.calm_down(),
            _ => {}
        }
    }

    fn wait_for(&mut self, peer_id: &PeerId) {
        if self.waiting.insert(peer_id.clone()) {
            self.be_due(PATIENCE);
        }
    }

    fn be_due(&mut self, after: Duration) {
        let now = Instant::now();
        if self.looking.is_none() && self.rest_until.is_none_or(|until| until <= now) {
            self.due = Some(self.due.map_or(now + after, |due| due.min(now + after)));
        }
    }

    fn calm_down(&mut self) {
        (self.due, self.looking, self.given_up) = (None, None, false);
    }

    fn conclude(&mut self) -> Option<Event> {
        let (_, found) = self.looking.take()?;
        let peer_id = match (self.waiting.len(), self.waiting.iter().next()) {
            (1, Some(peer_id)) if !self.given_up => Some(peer_id.clone()),
            _ => None,
        };
        self.calm_down();
        self.rest_until = Some(Instant::now() + REST);
        let message = conclusion(&found, self.relay_only)?;
        Some(Event::Problem { code: ProblemCode::IceServer, peer_id, message })
    }
}

/// Never, without a look.
async fn next_finding(looking: &mut Option<(mpsc::Receiver<Finding>, Vec<Finding>)>) -> Option<Finding> {
    match looking {
        Some((findings, _)) => findings.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
