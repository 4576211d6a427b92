//! One stream of a peer: what it asks, and its share of its connection until it is dropped.

use std::net::SocketAddr;

use patchcord_proto::v1::SignalRequest;
use tonic::Streaming;

use crate::{listener::StreamPermit, metrics::Counted, signaling::BodyEnd};

/// A stream, open or not.
pub struct Stream {
    /// Where it comes from.
    pub address: SocketAddr,
    /// What the peer asks.
    pub requests: Streaming<SignalRequest>,
    /// How the requests ended, once they have.
    pub body_end: BodyEnd,
    /// What it takes up: one that ended and is not read still counts.
    pub share: Share,
}

/// A stream's share of its connection and of what is counted.
pub struct Share {
    _permit: StreamPermit,
    _counted: Counted,
}

impl Share {
    /// One of what a connection permits, and counted among all streams.
    pub fn new(permit: StreamPermit, counted: Counted) -> Self {
        Self { _permit: permit, _counted: counted }
    }
}
