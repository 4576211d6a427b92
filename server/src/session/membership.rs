//! Being in a room. Others are told of its end exactly once, however the session ends.

use std::sync::Arc;

use patchcord_proto::v1::LeaveReason;

use crate::{
    metrics::Counted,
    name::RoomName,
    peer_id::PeerId,
    room::Member,
    signaling::Exchange,
    tokens::{Grant, Permission},
};

/// A membership, left by [`Membership::leave`] or at the latest when dropped.
pub struct Membership {
    /// What is shared by all sessions.
    pub exchange: Arc<Exchange>,
    /// Where.
    pub room: RoomName,
    /// Who.
    pub peer_id: PeerId,
    grant: Option<Arc<Grant>>,
    left: bool,
    _counted: Counted,
}

impl Membership {
    /// The peer has just been taken in by the store.
    pub fn new(exchange: Arc<Exchange>, room: RoomName, member: &Member) -> Self {
        let counted = Counted::new(&exchange.metrics.sessions);
        exchange.metrics.joins.inc();
        let (peer_id, grant) = (member.peer_id, member.grant.clone());
        Self { exchange, room, peer_id, grant, left: false, _counted: counted }
    }

    /// Whether it may do this, as it could when it joined.
    pub fn may(&self, permission: Permission) -> bool {
        self.grant.as_ref().is_none_or(|grant| grant.permissions.has(permission))
    }

    /// Leaves, and tells the others why.
    pub async fn leave(mut self, reason: LeaveReason) {
        // An operator may have taken the peer out already.
        self.exchange.store.leave(&self.room, self.peer_id, reason).await;
        self.left = true;
        self.exchange.metrics.count_leave(reason);
        let (peer_id, room, reason) = (self.peer_id, &self.room, reason.as_str_name());
        tracing::info!(%peer_id, ?room, reason, "left");
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        // The session's task was dropped or panicked: the others are told all the same.
        let (exchange, room, peer_id) = (Arc::clone(&self.exchange), self.room.clone(), self.peer_id);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let tasks = exchange.tasks.clone();
            let leaving = tasks.track_future(async move {
                exchange.store.leave(&room, peer_id, LeaveReason::Disconnected).await;
                exchange.metrics.count_leave(LeaveReason::Disconnected);
            });
            runtime.spawn(leaving);
        }
    }
}
