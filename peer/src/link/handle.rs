//! The room's end of a link, and what it starts with.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Command, EventSender, Link, Notice, Retries, SealContext, Sealing, Standing};
use crate::{
    ConnectionState, Event, Judge, Peer, PeerId, SignalingState,
    chat::{Chat, Introduction},
    connection::ConnectionConfig,
    negotiation::Negotiation,
    rate::TokenBucket,
    seal::Terms,
    timeline::Timeline,
};

/// Commands that wait for a link. A peer that floods us with signaling fills it and is cut off.
const COMMANDS_MAX: usize = 2048;

/// Offers make us open sockets and gather: a peer may make a few at once, then one a second.
pub(super) const OFFERS_BURST: u32 = 8;
const OFFER_INTERVAL: Duration = Duration::from_secs(1);

/// A peer may name a few ICE generations' full of candidates at once, then one a second, over all its connections.
const CANDIDATES_BURST: u32 = 256;
const CANDIDATE_INTERVAL: Duration = Duration::from_secs(1);

/// Each is an answer or a problem, from whoever knows the locator. What the buckets above allow, sealed, and the exchanges
/// before it fit into one burst: one payload that is ignored ends an exchange.
pub(super) const SEALED_BURST: u32 = OFFERS_BURST + CANDIDATES_BURST + 64;
const SEALED_INTERVAL: Duration = Duration::from_millis(250);

/// Frames that bring nothing: an honest peer repeats what was lost with a channel, and what it acknowledges.
const IDLE_FRAMES_BURST: u32 = 4096;
const IDLE_FRAME_INTERVAL: Duration = Duration::from_millis(20);

/// Each change of name and each typing makes an event: honest peers stay far below.
const CONTROL_FRAMES_BURST: u32 = 32;
const CONTROL_FRAME_INTERVAL: Duration = Duration::from_millis(250);

/// What every link of a room shares.
#[derive(Clone)]
pub(crate) struct LinkContext {
    pub identity: Introduction,
    pub connection: ConnectionConfig,
    /// In a sealed room.
    pub seal: Option<SealContext>,
    /// What the program makes of peers.
    pub judge: Option<Judge>,
    pub connect_timeout: Duration,
    pub candidates_max: usize,
    pub mesh: Arc<Semaphore>,
    pub mesh_peers_max: usize,
    pub events: mpsc::Sender<Event>,
    pub notices: mpsc::Sender<(PeerId, Notice)>,
    /// Cancelled when the user may no longer be reading events.
    pub leaving: CancellationToken,
    /// Cancelled when the user has been told the end.
    pub over: CancellationToken,
    pub manual: bool,
}

impl LinkContext {
    /// What we bind to an exchange.
    pub(super) fn terms(&self) -> Terms {
        Terms {
            fingerprint: self.connection.certificate.fingerprint(),
            identity_key: self.identity.secret.as_ref().map(|secret| secret.key().to_bytes()),
            capabilities: Vec::new(),
        }
    }
}

/// The room's end of a link. The task ends when it is dropped.
pub(crate) struct LinkHandle {
    pub commands: mpsc::Sender<Command>,
    /// Texts taken and neither delivered nor failed.
    pub undelivered: Arc<AtomicUsize>,
}

impl LinkHandle {
    pub(crate) fn spawn(own_id: &PeerId, peer: Peer, context: LinkContext) -> Self {
        let (commands, command_rx) = mpsc::channel(COMMANDS_MAX);
        let link = Link::new(own_id, peer, context);
        let undelivered = link.undelivered.clone();
        tokio::spawn(link.run(command_rx));
        Self { commands, undelivered }
    }

    /// Ends the link without dropping the handle.
    pub(crate) fn let_go(&mut self) {
        self.commands = mpsc::channel(1).0;
    }
}

impl Link {
    pub(super) fn new(own_id: &PeerId, peer: Peer, context: LinkContext) -> Self {
        let polite = *own_id < peer.id;
        let sealing = context.seal.as_ref().map(|seal| Sealing::new(seal, own_id, &peer.id, context.terms()));
        Self {
            events: EventSender::new(context.events.clone(), context.leaving.clone(), context.over.clone()),
            chat: Chat::new(context.identity.clone()),
            negotiation: Negotiation::new(polite, context.candidates_max),
            sealing,
            standing: Standing::default(),
            refused: false,
            told_of_code: false,
            attempt: None,
            mesh_place: None,
            recovery: None,
            direct_tries: 0,
            abandoned: None,
            retries: Retries::default(),
            signaling: SignalingState::Connected,
            timeline: Timeline::default(),
            state: ConnectionState::New,
            state_since: Instant::now(),
            path: None,
            remote_identity: None,
            named: None,
            violations: 0,
            candidates: TokenBucket::new(CANDIDATES_BURST, CANDIDATE_INTERVAL, Instant::now()),
            sealed_payloads: TokenBucket::new(SEALED_BURST, SEALED_INTERVAL, Instant::now()),
            idle_frames: TokenBucket::new(IDLE_FRAMES_BURST, IDLE_FRAME_INTERVAL, Instant::now()),
            offers: TokenBucket::new(OFFERS_BURST, OFFER_INTERVAL, Instant::now()),
            control_frames: TokenBucket::new(CONTROL_FRAMES_BURST, CONTROL_FRAME_INTERVAL, Instant::now()),
            undelivered: Arc::default(),
            leaving: false,
            peer_gone: false,
            peer_said_bye: false,
            outgoing: None,
            deadline: None,
            polite,
            own_id: own_id.clone(),
            server_id: peer.id.clone(),
            peer_id: peer.id.clone(),
            told: peer.clone(),
            peer,
            context,
        }
    }
}
