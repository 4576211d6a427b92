//! What can go wrong at the library's edge. Each message says what to do about it.

use std::time::Duration;

/// Why a room could not be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The server url does not parse.
    #[error("{url:?} is no server url: write http://HOST:PORT or https://HOST:PORT")]
    InvalidServer {
        /// As given.
        url: String,
    },
    /// No connection to the server.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// The server.
        url: String,
        /// What the network said or is wrong with its certificate, and what to do.
        reason: String,
    },
    /// The server did not answer in time.
    #[error("{url} did not answer within {} s", timeout.as_secs())]
    Timeout {
        /// The server.
        url: String,
        /// [`crate::Config::join_timeout`].
        timeout: Duration,
    },
    /// The token would travel in clear. Nothing was sent.
    #[error(transparent)]
    SecretInClear(#[from] crate::SecretInClear),
    /// The token could not be had.
    #[error("cannot get the token: {reason}")]
    NoToken {
        /// Where it was to come from, in its words.
        reason: String,
    },
    /// The server does not let us in without a token, or with this one.
    #[error("not let in: {message}")]
    NotPermitted {
        /// Which rule, for programs: as `Rejected.reason` of the contract; empty from an earlier server.
        reason: String,
        /// From the server, already escaped.
        message: String,
    },
    /// The server refused.
    #[error("the server refused: {message}")]
    Refused {
        /// The code of the contract's `Rejected`.
        code: patchcord_proto::v1::signal_response::rejected::Code,
        /// From the server, already escaped.
        message: String,
        /// Whether trying again can help.
        retryable: bool,
    },
    /// The server does not speak the contract, or ended the stream.
    #[error("{url} ended the stream: {reason}")]
    StreamEnded {
        /// The server.
        url: String,
        /// From the server, already escaped.
        reason: String,
    },
    /// The WebRTC engine or the operating system refused.
    #[error("cannot prepare WebRTC: {0}")]
    Engine(String),
}

/// Why a text was not taken. One that was taken is followed by [`crate::Event::Receipt`]s.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SendError {
    /// Nobody else is in the room, or nobody but those who are refused.
    #[error("nobody else is here")]
    NobodyHere,
    /// That peer is not in the room.
    #[error("that peer is not in the room")]
    NoSuchPeer,
    /// The text is empty.
    #[error("an empty text cannot be sent")]
    Empty,
    /// The text is longer than a frame holds.
    #[error("the text is {bytes} bytes long; {max} is the limit: send it in parts")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// [`crate::Config::queued_texts_max`] texts wait already, for that peer or for everybody.
    #[error("too many texts wait for {peer_id}: try again when some are delivered")]
    QueueFull {
        /// Whose queue is full.
        peer_id: crate::PeerId,
    },
    /// The room has ended.
    #[error("the room has ended")]
    Ended,
}

/// Why rooms could not be looked into.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The url does not parse.
    #[error("{url:?} is no server url: write http://HOST:PORT or https://HOST:PORT")]
    InvalidServer {
        /// As given.
        url: String,
    },
    /// No connection.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// The server.
        url: String,
        /// What the network said or is wrong with its certificate, and what to do.
        reason: String,
    },
    /// The key would travel in clear. Nothing was sent.
    #[error(transparent)]
    SecretInClear(#[from] crate::SecretInClear),
    /// What was given as the key cannot be sent.
    #[error("the key is no key: it holds characters that cannot be sent")]
    InvalidKey,
    /// The server lets in only those who show more.
    #[error("not let in: {message}")]
    NotPermitted {
        /// From the server, already escaped.
        message: String,
    },
    /// The server refused or broke off.
    #[error("the server refused: {0}")]
    Refused(String),
}
