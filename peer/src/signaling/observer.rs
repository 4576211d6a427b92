//! Who looks on at a session, for measurements: told the numbers that a room need not know. It changes
//! nothing, and a room has [`Unobserved`].

use patchcord_proto::v1::{SignalResponse, signal_request::Message};

use crate::PeerId;

/// Sees what a session does, as it is done; must not block.
pub trait Observer: Send + 'static {
    /// A session has begun, the first or one after the server had forgotten the last.
    fn joined(&mut self, _peer_id: &PeerId) {}
    /// The session goes on; the server carried out or rejected this request and all before it.
    fn resumed(&mut self, _last_seq: u64) {}
    /// A request has its number and will be sent until it is acknowledged.
    fn taken(&mut self, _seq: u64, _message: &Message) {}
    /// A response came, perhaps not for the first time.
    fn heard(&mut self, _response: &SignalResponse) {}
}

/// Nobody.
pub(crate) struct Unobserved;

impl Observer for Unobserved {}
