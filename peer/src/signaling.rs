//! The session with the server, as a room sees it: requests go in, events come out, whatever happens to
//! the streams it runs over. Protobuf and gRPC end here.

mod back_off;
mod ledger;
mod observer;
mod session;
mod stream;
mod suspicion;
mod wire;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use patchcord_proto::v1::{signal_request as request, signal_response as response};
use tokio::sync::{Notify, mpsc};

use crate::{
    Config, IceServer, JoinError, LeaveReason, Peer, PeerId,
    endpoint::why_closed,
    negotiation::{Candidate, DescriptionKind},
};
use ledger::Ledger;
use session::Session;
use stream::{Opening, Server};

pub use observer::Observer;
pub(crate) use observer::Unobserved;
pub use stream::Connect;
pub(crate) use stream::over_the_network;
pub(crate) use wire::{describe, leave_reason};

/// Requests that wait for the session, which takes them at once unless it is stuck.
const REQUESTS_MAX: usize = 256;

/// Responses that wait for the room; beyond, the stream is not read and the server's outbox fills.
const RESPONSES_MAX: usize = 64;

/// What the server answered to our join.
#[derive(Debug)]
pub(crate) struct Joined {
    pub peer_id: PeerId,
    pub peers: Vec<Peer>,
    pub ice_servers: Vec<IceServer>,
    pub server: String,
    /// What a token permits; empty when the server asks for none.
    pub permissions: Vec<String>,
    /// Empty when the server does not resume sessions.
    pub resume_token: Bytes,
}

#[derive(Debug)]
pub(crate) enum SignalingEvent {
    PeerJoined(Peer),
    PeerUpdated(Peer),
    PeerLeft {
        peer_id: PeerId,
        reason: LeaveReason,
    },
    Description {
        from: PeerId,
        kind: DescriptionKind,
        sdp: String,
    },
    Candidate {
        from: PeerId,
        candidate: Candidate,
    },
    Sealed {
        from: PeerId,
        payload: Bytes,
    },
    Rejected {
        code: response::rejected::Code,
        message: String,
        /// Who did not get what was for it, and the least to wait before it is said again.
        again: Option<(PeerId, Duration)>,
    },
    IceServers(Vec<IceServer>),
    /// The stream is lost; the session may be. The reason is free of control characters.
    Away {
        reason: String,
    },
    /// An attempt to come back has begun.
    Resuming,
    /// The session goes on. Unless `complete`, the roster is now `peers` and something was lost between us
    /// and those `affected`.
    Resumed {
        complete: bool,
        peers: Vec<Peer>,
        affected: BTreeSet<PeerId>,
    },
    /// The server had forgotten us, and we joined again under another id.
    Rejoined(Joined),
    /// Requests for these peers were not taken, because the server did not carry out earlier ones.
    Lost(BTreeSet<PeerId>),
    /// We were removed and must stay away.
    Removed {
        message: String,
    },
    /// The session is over and will not come back; nothing follows. The reason is free of control characters.
    Ended {
        reason: String,
    },
}

/// The room's end of the session, which ends when this is dropped.
#[derive(Clone)]
pub(crate) struct Signaling {
    requests: mpsc::Sender<request::Message>,
    doubts: Arc<Notify>,
}

impl Signaling {
    /// Opens a stream and joins `config.room`.
    pub(crate) async fn join(
        config: &Config,
    ) -> Result<(Self, Joined, mpsc::Receiver<SignalingEvent>), JoinError> {
        match Self::join_with(config, Unobserved, over_the_network()).await {
            Err(JoinError::StreamEnded { url, reason }) => Err(why_ended(config, url, reason).await),
            joined => joined,
        }
    }

    /// As [`Signaling::join`], with somebody who looks on, over connections made so.
    pub(crate) async fn join_with(
        config: &Config,
        observer: impl Observer,
        connect: Connect,
    ) -> Result<(Self, Joined, mpsc::Receiver<SignalingEvent>), JoinError> {
        let opening = Self::open(config, Box::new(observer), connect);
        tokio::time::timeout(config.join_timeout, opening).await.unwrap_or_else(|_| {
            Err(JoinError::Timeout { url: config.server.clone(), timeout: config.join_timeout })
        })
    }

    async fn open(
        config: &Config,
        mut observer: Box<dyn Observer>,
        connect: Connect,
    ) -> Result<(Self, Joined, mpsc::Receiver<SignalingEvent>), JoinError> {
        let join = request::Join {
            room: config.room.clone(),
            display_name: config.name_for_server().to_owned(),
            user_agent: config.user_agent.clone(),
            // The newest at each join.
            access_token: String::new(),
        };
        let server = Server {
            url: config.server.clone(),
            ca_certificate: config.ca_certificate.clone(),
            access_token: config.access_token.clone(),
            client_certificate: config.client_certificate.clone(),
            connect,
        };
        let (stream, opening) =
            stream::open(server.clone(), None, join.clone()).await.map_err(|failure| failure.error)?;
        let (seq, joined) = match opening {
            Opening::Joined { seq, joined } => (seq, wire::parse_joined(joined)),
            Opening::Resumed(_) => (0, None),
        };
        let joined = joined.ok_or_else(|| stream::speaks_otherwise(&server.url))?;
        observer.joined(&joined.peer_id);
        let (requests, request_rx) = mpsc::channel(REQUESTS_MAX);
        let (event_tx, events) = mpsc::channel(RESPONSES_MAX);
        let doubts = Arc::<Notify>::default();
        let session = Session {
            server,
            join,
            resume_token: joined.resume_token.clone(),
            ledger: Ledger::joined(seq),
            requests: request_rx,
            events: event_tx,
            doubts: doubts.clone(),
            leaving: false,
            return_after: None,
            owes_ack: false,
            observer,
        };
        tokio::spawn(session.run(stream));
        Ok((Self { requests, doubts }, joined, events))
    }

    /// Takes a request without waiting; says no when the session is over or stuck.
    pub(crate) fn try_send(&self, message: request::Message) -> bool {
        self.requests.try_send(message).is_ok()
    }

    /// Something makes us doubt that the stream is still there: it is tried, and replaced if nothing comes back.
    pub(crate) fn doubt(&self) {
        self.doubts.notify_one();
    }
}

/// A stream that ended before it began may have been cut off by TLS, which gRPC does not tell.
async fn why_ended(config: &Config, url: String, reason: String) -> JoinError {
    match why_closed(&url, config.ca_certificate.as_ref(), config.client_certificate.as_ref()).await {
        Some(reason) => JoinError::Unreachable { url, reason },
        None => JoinError::StreamEnded { url, reason },
    }
}

#[cfg(test)]
mod tests;
