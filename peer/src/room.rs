//! A joined room, as its user holds it. Everything is asked of the one task that owns the room.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use patchcord_proto::limits::{CHAT_TEXT_BYTES_MAX, DISPLAY_NAME_BYTES_MAX};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, ConnectPolicy, ConnectionState, EndReason, Event, JoinError, MessageId, Path, Peer, PeerId,
    SendError, ShortString, TextKind, TimelineEntry,
    chat::{Introduction, OutgoingText, SessionIds},
    connection::{Certificate, ConnectionConfig},
    link::{LinkContext, SealContext},
    mesh::{Ask, Mesh},
    seal::Guesses,
    signaling::Signaling,
};

/// Events that wait for the user; then the room waits.
const EVENTS_MAX: usize = 1024;

/// What links have told and the room has not read; then the links wait.
const NOTICES_MAX: usize = 256;

/// For one link to report.
const REPORT_TIMEOUT: Duration = Duration::from_millis(500);

/// Asks of the handles that the room has not read; then the askers wait.
const ASKS_MAX: usize = 64;

/// A handle to a joined room. Clones are handles to the same room; it is left when the last one drops,
/// but only [`Room::leave`] delivers first what is queued.
#[derive(Clone, Debug)]
pub struct Room {
    info: Arc<RoomInfo>,
    asks: mpsc::Sender<Ask>,
    next_message: Arc<AtomicU64>,
    leaving: CancellationToken,
    departure: watch::Receiver<Option<Departure>>,
}

/// What the server said when the room was joined.
#[derive(Clone, Debug)]
pub struct RoomInfo {
    /// Our own id.
    pub peer_id: PeerId,
    /// The room's name.
    pub room: String,
    /// Our own display name at that time.
    pub display_name: String,
    /// Who was there already, in the order of joining.
    pub peers: Vec<Peer>,
    /// Program and version of the server, free of control characters.
    pub server: String,
    /// What our token permits, such as "send"; empty when the server asks for none.
    pub permissions: Vec<String>,
}

impl RoomInfo {
    /// Whether we may connect to others.
    pub fn may_send(&self) -> bool {
        self.permissions.is_empty() || self.permissions.iter().any(|name| name == "send")
    }
}

/// For whom a text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Everybody who is in the room now and was not refused.
    Everybody,
    /// One peer.
    Peer(PeerId),
}

/// One connection, for a network view.
#[derive(Clone, Debug)]
pub struct ConnectionReport {
    /// With whom.
    pub peer_id: PeerId,
    /// Now.
    pub state: ConnectionState,
    /// Since it last changed.
    pub since: Duration,
    /// What it runs over, once known.
    pub path: Option<Path>,
    /// Whether it is known who the peer is: it proved that it knows the code of a sealed room, [`Room::compared`] told, or the
    /// program judged it [`Judgement::Known`](crate::Judgement::Known); and it is not held.
    pub verified: bool,
    /// From its first step to the open channel, once open.
    pub opened_in: Option<Duration>,
    /// Candidates of our own that were sent.
    pub local_candidates: usize,
    /// Candidates that came from the peer and were taken.
    pub remote_candidates: usize,
    /// Texts that are not yet delivered.
    pub undelivered: usize,
    /// What happened to it, oldest first; the last 32 steps.
    pub timeline: Vec<TimelineEntry>,
    /// When it has failed: why and what to do, in one sentence.
    pub advice: Option<String>,
}

/// How a room ended, the same for all its handles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Departure {
    /// Texts that the end of the room kept from being delivered, and to whom: [`Config::leave_timeout`] was too
    /// short, or we were removed. Every other text was delivered, or had failed before.
    pub undelivered: Vec<(MessageId, PeerId)>,
    /// Why the room is over: an operator may have removed us while we were leaving, or before.
    pub reason: EndReason,
}

impl Room {
    /// Joins `config.room` and waits until the server says who is there.
    ///
    /// # Errors
    /// When the server cannot be reached, does not answer in time, or refuses.
    pub async fn join(mut config: Config) -> Result<(Self, mpsc::Receiver<Event>), JoinError> {
        let (signaling, joined, responses) = Signaling::join(&config).await?;
        let info = Arc::new(RoomInfo {
            peer_id: joined.peer_id.clone(),
            room: config.room.clone(),
            display_name: config.display_name.clone(),
            peers: joined.peers.clone(),
            server: joined.server,
            permissions: joined.permissions,
        });
        if !info.may_send() {
            // The server would refuse each offer.
            config.connect_policy = ConnectPolicy::Manual;
        }
        let (event_tx, events) = mpsc::channel(EVENTS_MAX);
        let (notice_tx, notices) = mpsc::channel(NOTICES_MAX);
        let (asks, ask_rx) = mpsc::channel(ASKS_MAX);
        let context = LinkContext {
            identity: Introduction {
                session_ids: session_ids()?,
                room: config.room.as_str().into(),
                display_name: config.display_name.clone(),
                user_agent: config.user_agent.clone(),
                secret: config.identity.clone(),
            },
            connection: ConnectionConfig {
                certificate: Certificate::generate().map_err(|error| JoinError::Engine(error.to_string()))?,
                ice_servers: joined.ice_servers.iter().chain(&config.ice_servers).cloned().collect(),
                ca_certificate: config.ca_certificate.clone(),
                ice_transport_policy: config.ice_transport_policy,
                ip_policy: config.ip_policy,
                // By the code.
                verified: config.seal.is_some(),
                local_addresses: config.local_addresses.clone(),
            },
            seal: config.seal.as_ref().map(|seal| SealContext {
                code: seal.code.clone(),
                guesses: Arc::new(Mutex::new(Guesses::with_used(seal.guesses_used))),
            }),
            judge: config.judge.clone(),
            connect_timeout: config.connect_timeout,
            candidates_max: config.candidates_per_peer_max,
            mesh: Arc::new(Semaphore::new(
                config.mesh_peers_max.saturating_sub(1).min(Semaphore::MAX_PERMITS),
            )),
            mesh_peers_max: config.mesh_peers_max,
            events: event_tx,
            notices: notice_tx,
            leaving: CancellationToken::new(),
            over: CancellationToken::new(),
            manual: config.connect_policy == ConnectPolicy::Manual,
        };
        let leaving = context.leaving.clone();
        let (departure_tx, departure) = watch::channel(None);
        let mesh = Mesh::new(joined.peer_id, config, context, signaling, departure_tx);
        tokio::spawn(mesh.run(joined.peers, ask_rx, notices, responses));
        Ok((Self { info, asks, next_message: Arc::new(AtomicU64::new(1)), leaving, departure }, events))
    }

    /// What the server said when the room was joined.
    pub fn info(&self) -> &RoomInfo {
        &self.info
    }

    /// Takes a text for delivery; [`Event::Receipt`]s tell how far it is.
    ///
    /// # Errors
    /// When it cannot be taken; then nothing was queued for anybody.
    pub async fn send(
        &self,
        to: Recipients,
        kind: TextKind,
        text: impl Into<String>,
    ) -> Result<MessageId, SendError> {
        let text = text.into();
        check_length(&text, CHAT_TEXT_BYTES_MAX)?;
        let text = OutgoingText {
            message_id: MessageId(self.next_message.fetch_add(1, Relaxed)),
            text: text.into(),
            kind,
            direct: matches!(to, Recipients::Peer(_)),
            sent_at: SystemTime::now(),
        };
        self.ask(|reply| Ask::Send { to, text, reply }).await?
    }

    /// Begins to connect with a peer: the explicit "start chat" of [`ConnectPolicy::Manual`], and a new
    /// attempt after a failure. Does nothing for a connection that is open or opening.
    ///
    /// # Errors
    /// [`SendError::NoSuchPeer`] when the peer is not in the room, [`SendError::Ended`] when the room is over.
    pub async fn connect(&self, peer_id: PeerId) -> Result<(), SendError> {
        self.ask(|reply| Ask::Connect { peer_id, reply }).await?
    }

    /// Our user has compared the short string with the peer's, and they are the same: the peer is verified for as long as it
    /// shows the certificate that it shows now. Does nothing for a string that is not the one of the open channel; say it
    /// again for each that comes unchanged.
    ///
    /// # Errors
    /// [`SendError::NoSuchPeer`] when the peer is not in the room, [`SendError::Ended`] when the room is over.
    pub async fn compared(&self, peer_id: PeerId, string: ShortString) -> Result<(), SendError> {
        self.ask(|reply| Ask::Compared { peer_id, string, reply }).await?
    }

    /// Asks [`Config::judge`] again about a peer, as its user has decided something: [`Event::Identity`] tells the outcome,
    /// and the texts of a peer that is no longer held follow.
    ///
    /// # Errors
    /// [`SendError::NoSuchPeer`] when the peer is not in the room, [`SendError::Ended`] when the room is over.
    pub async fn judge_again(&self, peer_id: PeerId) -> Result<(), SendError> {
        self.ask(|reply| Ask::JudgeAgain { peer_id, reply }).await?
    }

    /// Ends the connection with a peer, and takes no other with it until [`Room::connect`]. Texts for it that were not
    /// sent have failed, and so has what is said to it alone meanwhile; what is for everybody is not for it.
    ///
    /// # Errors
    /// [`SendError::NoSuchPeer`] when the peer is not in the room, [`SendError::Ended`] when the room is over.
    pub async fn refuse(&self, peer_id: PeerId) -> Result<(), SendError> {
        self.ask(|reply| Ask::Refuse { peer_id, reply }).await?
    }

    /// Changes how we are shown; [`Event::PeerUpdated`] tells the others.
    ///
    /// # Errors
    /// [`SendError::Empty`] or [`SendError::TooLong`] for a name outside the limits, [`SendError::Ended`].
    pub async fn set_display_name(&self, display_name: impl Into<String>) -> Result<(), SendError> {
        let display_name = display_name.into();
        check_length(&display_name, DISPLAY_NAME_BYTES_MAX)?;
        self.asks.send(Ask::DisplayName(display_name)).await.map_err(|_| SendError::Ended)
    }

    /// Tells the others that we write, or stopped; they believe it for 6 seconds. Say it at every key: they are
    /// told once in 3 seconds at most. A text for everybody ends it. Dropped when the room is busy.
    pub fn set_typing(&self, active: bool) {
        let _ = self.asks.try_send(Ask::Typing(active));
    }

    /// The connections as they are now, in the order of the peers' joining; none when the room is over.
    pub async fn connections(&self) -> Vec<ConnectionReport> {
        let mut reports = Vec::new();
        for report in self.ask(Ask::Connections).await.unwrap_or_default() {
            // A link that has just ended has nothing to report, and one that waits for the user to take events
            // cannot.
            if let Ok(Ok(report)) = tokio::time::timeout(REPORT_TIMEOUT, report).await {
                reports.push(report);
            }
        }
        reports
    }

    /// Delivers what is queued, says goodbye on every channel and to the server, and ends the room. Keep
    /// reading events meanwhile, or drop the receiver: receipts that nobody takes are waited for a little.
    /// However many handles leave, and even if the room was over before, each is given the one [`Departure`].
    pub async fn leave(mut self) -> Departure {
        // Before the room reads it: links may be waiting for a user that has stopped reading.
        self.leaving.cancel();
        // A room that is being left reads no more asks, and one that is over drops them.
        let _ = self.asks.send(Ask::Leave).await;
        let departure = self.departure.wait_for(Option::is_some).await;
        departure.ok().and_then(|departure| departure.clone()).unwrap_or_default()
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, SendError> {
        let (reply_tx, reply) = oneshot::channel();
        self.asks.send(ask(reply_tx)).await.map_err(|_| SendError::Ended)?;
        reply.await.map_err(|_| SendError::Ended)
    }
}

fn check_length(text: &str, max: usize) -> Result<(), SendError> {
    match text.len() {
        0 => Err(SendError::Empty),
        bytes if bytes > max => Err(SendError::TooLong { bytes, max }),
        _ => Ok(()),
    }
}

fn session_ids() -> Result<SessionIds, JoinError> {
    let mut ours = [0; 8];
    getrandom::fill(&mut ours).map_err(|error| JoinError::Engine(format!("no random numbers: {error}")))?;
    Ok(SessionIds::new(ours))
}
