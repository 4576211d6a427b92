//! What stands between this machine and a chat, looked into step by step: the way to the signaling server, the
//! STUN and TURN servers it names, and the NAT. Nobody's room is disturbed: the one that is joined is made up.
//!
//! Invariant: each step ends within its limit, and all of them within [`PROBE_TIMEOUT`].

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use crate::{Config, IceServer};

mod date;
mod filtering;
mod ice;
mod ice_url;
mod line;
mod nat;
mod server;
mod session;
mod stun;
mod survey;
mod turn;

pub use filtering::Filtering;
pub use ice_url::Transport;
pub use nat::Nat;
pub use turn::Allocation;

/// All steps together.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(15);

/// The way to the server: what is left of [`PROBE_TIMEOUT`] belongs to STUN and TURN.
const SERVER_TIMEOUT: Duration = Duration::from_secs(9);

/// Findings that wait for the reader; then the next step waits.
const FINDINGS_MAX: usize = 64;

/// One thing that was looked into, in the order in which they build on each other. Steps whose ground is
/// missing are not taken: without TCP there is no finding about gRPC.
#[derive(Debug)]
#[non_exhaustive]
pub enum Finding {
    /// The server's host as addresses; one that is an address already is not looked up.
    Dns {
        /// The host of the url.
        host: String,
        /// What it stands for.
        outcome: Result<Vec<SocketAddr>, Trouble>,
    },
    /// A TCP connection to the server.
    Tcp {
        /// The address that answered first, and how soon.
        outcome: Result<(SocketAddr, Duration), Trouble>,
    },
    /// TLS with the server, for `https`.
    Tls {
        /// Whether its certificate is trusted.
        outcome: Result<(), Trouble>,
    },
    /// The health of `patchcord.v1.SignalingService` (gRPC health checking protocol).
    Grpc {
        /// How soon it said that it serves.
        outcome: Result<Duration, Trouble>,
    },
    /// This machine's clock compared with the server's, where that tells the time.
    Clock {
        /// How far ours is ahead.
        offset: Option<ClockOffset>,
        /// When the TURN credentials that the server gave end, by its clock.
        credentials_expire_at: Option<SystemTime>,
    },
    /// A join to a room that nobody else can know, a ping, and a leave.
    Signaling {
        /// What the server said.
        outcome: Result<Signaled, Trouble>,
    },
    /// A STUN server.
    Stun {
        /// As named.
        url: String,
        /// The address that it sees, and how soon.
        outcome: Result<(SocketAddr, Duration), Trouble>,
    },
    /// The NAT before this machine, for one IP version; once, as unknown, where servers were asked and none said.
    Nat {
        /// How it maps what we send.
        nat: Nat,
        /// What it lets in; known where a server has two addresses to answer from.
        filtering: Filtering,
    },
    /// A TURN server.
    Turn {
        /// As named.
        url: String,
        /// How it is reached, where the url is one that can be used.
        transport: Option<Transport>,
        /// What it relays with.
        outcome: Result<Allocation, Trouble>,
    },
}

/// How far our clock is ahead of the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// How far, at least.
    pub by: Duration,
    /// Whether ours is behind instead.
    pub behind: bool,
}

/// What the server said to a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signaled {
    /// Program and version, free of control characters.
    pub server: String,
    /// From a ping to its pong.
    pub round_trip: Duration,
    /// STUN and TURN urls that it named.
    pub ice_urls: usize,
    /// What the token permits; empty when the server asks for none.
    pub permissions: Vec<String>,
}

/// Why a step failed. Texts are free of control characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The url does not parse, or is of a kind that cannot be used.
    #[error("the url cannot be used: {0}")]
    InvalidUrl(&'static str),
    /// The name stands for no address.
    #[error("the name is not known: {0}")]
    UnknownName(String),
    /// Nobody answered in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    NoAnswer(Duration),
    /// What the network said.
    #[error("{0}")]
    Network(String),
    /// Somebody answers, but not as a server that can be trusted; with what to do.
    #[error("{0}")]
    Tls(String),
    /// Somebody answers, but not in the protocol that was meant.
    #[error("it answers, but not as {expected}: {said}")]
    OtherProtocol {
        /// What was expected.
        expected: &'static str,
        /// What came instead.
        said: String,
    },
    /// The server is there and does not serve now.
    #[error("it does not serve at the moment")]
    NotServing,
    /// The server asks for a token and got none, or does not take this one for a room of our own.
    #[error("not let in: {message}")]
    NotPermitted {
        /// Which rule, for programs: as `Rejected.reason` of the contract; empty from an earlier server.
        reason: String,
        /// In the server's words.
        message: String,
    },
    /// The token could not be had, or would travel in clear; it was not sent.
    #[error("{0}")]
    Token(String),
    /// The server refused the join.
    #[error("the server refused: {0}")]
    Refused(String),
    /// A STUN or TURN server refused (RFC 8489 section 14.8).
    #[error("error {code}{}{reason}", if reason.is_empty() { "" } else { ": " })]
    ErrorResponse {
        /// The error code.
        code: u16,
        /// In the server's words.
        reason: String,
    },
}

/// Looks into everything that `config` names; `config.room` is not joined. The findings end when all is said,
/// within [`PROBE_TIMEOUT`]; dropping the receiver ends the probe.
pub fn probe(config: Config) -> mpsc::Receiver<Finding> {
    let (findings, found) = mpsc::channel(FINDINGS_MAX);
    tokio::spawn(async move {
        let closed = findings.clone();
        tokio::select! {
            // Nobody is left to tell, or all is told.
            () = closed.closed() => {}
            _ = take_all(&config, &findings) => {}
        }
    });
    found
}

/// None once nobody reads.
async fn take_all(config: &Config, findings: &mpsc::Sender<Finding>) -> Option<()> {
    let begun = Instant::now();
    let deadline = begun + SERVER_TIMEOUT;
    // A step that is cut short has told what came before it.
    let walked = timeout_at(deadline, server::walk(config, findings)).await;
    let named: Vec<IceServer> = match walked {
        Ok(named) => named?,
        Err(_) => {
            let outcome = Err(Trouble::NoAnswer(SERVER_TIMEOUT));
            findings.send(Finding::Signaling { outcome }).await.ok()?;
            Vec::new()
        }
    };
    let servers = named.iter().chain(&config.ice_servers);
    ice::look_into(servers, config, findings).await
}
