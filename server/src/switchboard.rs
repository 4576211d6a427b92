//! The open streams of this node: who is reached through which outbox. It knows no rooms; whether
//! something may be delivered is decided before it comes here. Locks are short and never held over an
//! await.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::RwLock;
use patchcord_proto::v1::{LeaveReason, signal_response::go_away::Action};
use tonic::Status;

use crate::{
    config::RECONNECT_SPREAD,
    frame::{Frame, go_away},
    metrics::Metrics,
    outbox::{Ending, NotTaken, Outbox},
    peer_id::PeerId,
    random,
};

/// Why a peer is told to go by an operator.
#[derive(Clone, Debug)]
pub struct Dismissal {
    /// Removed, or the room closed.
    pub reason: LeaveReason,
    /// For the peer; may be empty.
    pub message: String,
}

/// The server is shutting down: no stream opens any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draining;

#[derive(Default)]
struct Lines {
    outboxes: HashMap<PeerId, Arc<Outbox>>,
    draining: bool,
}

/// The streams of this node.
pub struct Switchboard {
    lines: RwLock<Lines>,
    metrics: Arc<Metrics>,
}

/// A stream's place on the switchboard, until dropped.
pub struct Line {
    switchboard: Arc<Switchboard>,
    peer_id: PeerId,
}

impl Switchboard {
    /// One without streams.
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { lines: RwLock::default(), metrics })
    }

    /// Makes a stream reachable under a new id.
    pub fn connect(self: &Arc<Self>, outbox: Arc<Outbox>) -> Result<(PeerId, Line), Draining> {
        let mut lines = self.lines.write();
        if lines.draining {
            return Err(Draining);
        }
        let mut peer_id = PeerId::random();
        while lines.outboxes.contains_key(&peer_id) {
            peer_id = PeerId::random();
        }
        lines.outboxes.insert(peer_id, outbox);
        Ok((peer_id, Line { switchboard: Arc::clone(self), peer_id }))
    }

    /// Hands over what another peer sends.
    pub fn deliver_relayed(&self, to: PeerId, frame: Frame) -> Result<(), NotTaken> {
        let outbox = self.lines.read().outboxes.get(&to).cloned().ok_or(NotTaken::Ended)?;
        outbox.push_relayed(frame).inspect_err(|reason| {
            if *reason == NotTaken::Full {
                self.metrics.outbox_overflows.inc();
            }
        })
    }

    /// Hands everybody named what must not be lost.
    pub fn deliver(&self, to: impl Iterator<Item = PeerId>, frame: &Frame) {
        let lines = self.lines.read();
        for outbox in to.filter_map(|peer_id| lines.outboxes.get(&peer_id)) {
            outbox.push(frame.clone());
        }
    }

    /// Ends a peer's stream by an operator's will.
    pub fn dismiss(&self, peer_id: PeerId, dismissal: &Dismissal) {
        let Some(outbox) = self.lines.read().outboxes.get(&peer_id).cloned() else { return };
        let Dismissal { reason, message } = dismissal;
        let status = Status::aborted(match reason {
            LeaveReason::RoomClosed => "an operator closed the room",
            _ => "an operator removed the peer",
        });
        let last = go_away(*reason, Action::Stop, Duration::ZERO, message);
        outbox.end(Ending { reason: *reason, status: Some(status) }, Some(last));
    }

    /// Ends all streams and lets none open again; peers are told to come back, each at its own time.
    pub fn drain(&self) {
        let mut lines = self.lines.write();
        lines.draining = true;
        let mut outboxes: Vec<_> =
            lines.outboxes.iter().map(|(peer_id, outbox)| (*peer_id, Arc::clone(outbox))).collect();
        drop(lines);
        // In an order that depends on nothing but the peers.
        outboxes.sort_unstable_by_key(|(peer_id, _)| *peer_id);
        for (_, outbox) in outboxes {
            let reason = LeaveReason::ServerShutdown;
            let message = "the server is shutting down";
            let last = go_away(reason, Action::Rejoin, random_up_to(RECONNECT_SPREAD), message);
            outbox.end(Ending { reason, status: Some(Status::unavailable(message)) }, Some(last));
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.switchboard.lines.write().outboxes.remove(&self.peer_id);
    }
}

fn random_up_to(longest: Duration) -> Duration {
    longest.mul_f64(f64::from(random::u32()) / f64::from(u32::MAX))
}
