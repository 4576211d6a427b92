//! One peer: the task that owns the connection, the negotiation and the chat session with it.
//!
//! Invariant: a link never waits for its peer without also listening to its room, so no peer can hold up
//! another; it waits for the user only to hand over what has arrived.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::Instant,
};

use crate::{
    ConnectionReport, ConnectionState, DeliveryState, IceServer, LeaveReason, MessageId, Path, Peer, PeerId,
    ShortString, SignalingState,
    chat::{Chat, OutgoingFrame, OutgoingText},
    connection::{Connection, ConnectionEvent, EngineError, Fingerprint},
    negotiation::{Candidate, DescriptionKind, Negotiation},
    rate::TokenBucket,
    timeline::Timeline,
};

mod chatting;
mod connecting;
mod events;
mod failing;
mod gating;
mod generation;
mod handle;
mod not_relayed;
mod recovering;
mod recovery;
mod returning;
mod sealing;
mod verifying;
mod watching;

pub(crate) use events::EventSender;
use generation::Generation;
pub(crate) use handle::{LinkContext, LinkHandle};
use not_relayed::Retries;
use recovery::Recovery;
pub(crate) use sealing::SealContext;
use sealing::Sealing;
use verifying::Standing;

/// For the acknowledgement of our goodbye, and for the peer to close after we acknowledged its own.
const BYE_TIMEOUT: Duration = Duration::from_secs(2);

/// Between two looks at the path of an open connection.
const PATH_INTERVAL: Duration = Duration::from_secs(5);

/// What the room tells a link.
pub(crate) enum Command {
    Connect,
    /// The peer is to begin.
    Expect,
    Description {
        kind: DescriptionKind,
        sdp: String,
    },
    Candidate(Candidate),
    /// Of a sealed room.
    Sealed(Bytes),
    Send(OutgoingText),
    Typing(bool),
    DisplayName(String),
    /// The user has compared this with the peer's.
    Compared(ShortString),
    /// The program may have learnt something about the peer.
    JudgeAgain,
    /// Whether the user does not want to be connected.
    Refuse(bool),
    Report(oneshot::Sender<ConnectionReport>),
    /// Whether anything reaches the server.
    Signaling(SignalingState),
    /// New ICE servers, for the next ICE generation.
    IceServers(Vec<IceServer>),
    /// The server says what the peer is now.
    PeerUpdated(Peer),
    /// The peer has left, by the server's word or its own.
    PeerLeft(LeaveReason),
    /// The server knows us by another id now, and lets us begin anew with whoever is not connected.
    Rejoined {
        own_id: PeerId,
    },
    /// The peer is back, and the server knows it by this id now.
    PeerReturned {
        server_id: PeerId,
    },
    /// Something that either side said through the server was lost.
    Renegotiate,
    /// The server did not pass on something to the peer; again after this long at the earliest.
    NotRelayed {
        retry_after: Duration,
    },
    /// Deliver what is queued, say goodbye, end.
    Leave,
}

/// What a link tells its room.
pub(crate) enum Notice {
    /// To be relayed to the peer.
    Description { kind: DescriptionKind, sdp: String },
    /// To be relayed to the peer.
    Candidate(Candidate),
    /// To be relayed to the peer.
    Sealed(Bytes),
    /// The peer said goodbye and its channel is closed.
    SaidBye,
    /// Whether the channel is open.
    Open(bool),
    /// This host has other addresses, or the peer's packets stopped: the server may be out of reach as well.
    NetworkMayHaveChanged,
    /// The peer says that the server knows it by this id now.
    Claim { server_id: PeerId },
    /// The link is over, with these texts not delivered; nothing follows.
    Ended { undelivered: Vec<MessageId> },
}

/// A connection from its first step until it is closed.
struct Attempt {
    connection: Connection,
    begun: Instant,
    opened_in: Option<Duration>,
    next_path: Instant,
    /// The engine has given it up.
    dead: bool,
    generation: Generation,
    /// Username fragments of the peer's in this ICE generation; none before they are known.
    remote_fragments: Vec<String>,
    /// TURN servers that no stream reaches, and why.
    dead_relays: BTreeMap<String, String>,
    /// That the addresses of this host are others than those it was made on was told to the room.
    move_told: bool,
}

struct Link {
    /// As the user knows the peer.
    peer_id: PeerId,
    peer: Peer,
    /// The same as the user was told. Told from here alone, so that a new name comes before the texts written under it.
    told: Peer,
    /// As the server knows us and the peer: whose is smaller is polite.
    own_id: PeerId,
    server_id: PeerId,
    polite: bool,
    context: LinkContext,
    events: EventSender,
    chat: Chat,
    negotiation: Negotiation,
    /// In a sealed room.
    sealing: Option<Sealing>,
    standing: Standing,
    /// The user does not want to be connected.
    refused: bool,
    /// The user was told that the peer wants a sealed room.
    told_of_code: bool,
    attempt: Option<Attempt>,
    /// Kept from one connection to the next that replaces it.
    mesh_place: Option<OwnedSemaphorePermit>,
    /// An open chat has lost its connection and is to get it back.
    recovery: Option<Recovery>,
    /// How often a path without a relay was tried for once more.
    direct_tries: u32,
    /// The identity of the peer's connection that we replaced: what it offers there is outdated.
    abandoned: Option<String>,
    /// What the server did not pass on to the peer is said again.
    retries: Retries,
    signaling: SignalingState,
    timeline: Timeline,
    state: ConnectionState,
    state_since: Instant,
    path: Option<Path>,
    remote_identity: Option<String>,
    /// The certificate that its last description named.
    named: Option<Fingerprint>,
    /// Since the user last wished for a connection.
    violations: u32,
    /// What the peer may still make us handle.
    offers: TokenBucket,
    candidates: TokenBucket,
    sealed_payloads: TokenBucket,
    idle_frames: TokenBucket,
    control_frames: TokenBucket,
    undelivered: Arc<AtomicUsize>,
    leaving: bool,
    peer_gone: bool,
    peer_said_bye: bool,
    /// Pulled from the chat session and not yet handed to the channel.
    outgoing: Option<OutgoingFrame>,
    /// When the connection is closed whatever happens: not open in time, or goodbye not answered.
    deadline: Option<Instant>,
}

enum Step {
    Command(Option<Command>),
    Connection(ConnectionEvent),
    Writable(Result<(), EngineError>),
    Path,
    Deadline,
    Recover,
    Retry,
}

impl Link {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            if self.outgoing.is_none() && !self.is_stalled() {
                self.outgoing = self.chat.next_frame();
            }
            self.pace_recovery();
            match self.next_step(&mut commands).await {
                Step::Command(None) => break,
                Step::Command(Some(command)) => self.command(command).await,
                Step::Connection(event) => self.connection_event(event).await,
                Step::Writable(Ok(())) => self.send_frame().await,
                Step::Writable(Err(_)) => self.unwritable().await,
                Step::Path => self.look_at_path().await,
                Step::Deadline => self.deadline_passed().await,
                Step::Recover => self.recover().await,
                Step::Retry => self.retry().await,
            }
            self.keep_to_trust().await;
            if self.is_over() {
                break;
            }
        }
        self.end(commands).await;
    }

    /// Waits for what happens next. The channel is read before it is written, so that one receipt answers
    /// many texts, unless that receipt is overdue.
    async fn next_step(&mut self, commands: &mut mpsc::Receiver<Command>) -> Step {
        let (deadline, recovery_due, retry_due) = (self.deadline, self.recovery_due(), self.retry_due());
        let stalled = self.is_stalled();
        let Some(attempt) = &mut self.attempt else {
            return tokio::select! {
                command = commands.recv() => Step::Command(command),
                () = sleep_until(recovery_due) => Step::Recover,
                () = sleep_until(retry_due) => Step::Retry,
                () = sleep_until(deadline) => Step::Deadline,
            };
        };
        let channel = attempt.connection.channel();
        let outgoing = self.outgoing.is_some() && !stalled;
        let busy = self.chat.is_full() || (outgoing && self.chat.receipt_is_urgent());
        let read_channel = !busy;
        let next_path = attempt.opened_in.map(|_| attempt.next_path);
        tokio::select! {
            biased;
            command = commands.recv() => Step::Command(command),
            event = attempt.connection.next_event(read_channel) => Step::Connection(event),
            result = channel.writable(), if outgoing && !attempt.dead => Step::Writable(result),
            () = sleep_until(recovery_due) => Step::Recover,
            () = sleep_until(retry_due) => Step::Retry,
            () = sleep_until(next_path) => Step::Path,
            () = sleep_until(deadline) => Step::Deadline,
        }
    }

    /// Packets of an open chat do not flow: what is written now may never arrive, and waits where it can be told of.
    fn is_stalled(&self) -> bool {
        self.chat.is_open() && self.state == ConnectionState::Disconnected
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Connect => self.connect().await,
            Command::Expect if self.context.manual => {}
            // It waits for nothing; the peer may not know.
            Command::Expect => drop(self.lacks_relay().await),
            Command::Description { .. } | Command::Candidate(_) if !self.takes_clear().await => {}
            Command::Description { kind, sdp } => self.remote_description(kind, sdp).await,
            Command::Candidate(candidate) => self.remote_candidate(candidate).await,
            Command::Sealed(_) if self.refused => {}
            Command::Sealed(payload) => self.sealed(payload).await,
            Command::Send(text) if self.refused => self.fail(vec![text.message_id]).await,
            Command::Send(text) => {
                self.receipts(vec![text.message_id], DeliveryState::Queued).await;
                self.chat.queue(text);
            }
            Command::Typing(active) => self.chat.set_typing(active),
            Command::DisplayName(name) => {
                self.context.identity.display_name.clone_from(&name);
                self.chat.set_display_name(name);
            }
            Command::Compared(string) => self.compared(string),
            Command::JudgeAgain => self.judge_again().await,
            Command::Refuse(refused) => self.refuse(refused).await,
            Command::Report(reply) => {
                // The asker may have gone.
                let _ = reply.send(self.report());
            }
            Command::Leave => {
                self.leaving = true;
                self.chat.say_goodbye();
            }
            Command::Signaling(state) => self.signaling = state,
            Command::IceServers(ice_servers) => self.context.connection.ice_servers = ice_servers,
            Command::PeerUpdated(peer) => self.update_by_server(peer).await,
            Command::PeerLeft(reason) => self.peer_left(reason).await,
            Command::Rejoined { own_id } => self.rejoined(own_id).await,
            Command::PeerReturned { server_id } => self.peer_returned(server_id).await,
            Command::Renegotiate => self.renegotiate().await,
            Command::NotRelayed { retry_after } => self.not_relayed(retry_after).await,
        }
    }

    async fn peer_left(&mut self, reason: LeaveReason) {
        self.peer_gone = true;
        match reason {
            LeaveReason::Removed | LeaveReason::RoomClosed => self.close(ConnectionState::Closed).await,
            _ if !self.chat.is_open() => self.close(ConnectionState::Closed).await,
            // It has said goodbye, or is about to; what it sent before may still be on its way.
            LeaveReason::Left => self.deadline = Some(Instant::now() + BYE_TIMEOUT),
            // It lost its signaling, which says nothing about the channel.
            _ => self.update(Peer { attached: false, ..self.peer.clone() }).await,
        }
    }

    fn is_over(&self) -> bool {
        if self.peer_gone && self.attempt.is_none() {
            return true;
        }
        // Nothing will be said to it.
        if self.leaving && (self.refused || self.chat.is_open() && self.chat.is_held()) {
            return true;
        }
        if !self.leaving || self.chat.is_open() {
            return false;
        }
        // The peer, being the newcomer, may be about to offer; nobody offers under a manual policy.
        let may_open = self.attempt.is_some()
            || self.recovery.is_some()
            || self.retries.due().is_some()
            || (self.state == ConnectionState::New && !self.context.manual);
        self.chat.undelivered().len() == 0 || !may_open
    }

    async fn notify(&self, notice: Notice) {
        // The room may be over.
        let _ = self.context.notices.send((self.peer_id.clone(), notice)).await;
    }

    async fn end(mut self, mut commands: mpsc::Receiver<Command>) {
        self.close(ConnectionState::Closed).await;
        // What was taken while the connection closed is accounted for too.
        commands.close();
        while let Ok(command) = commands.try_recv() {
            if let Command::Send(text) = command {
                self.chat.queue(text);
            }
        }
        let undelivered: Vec<_> = self.chat.undelivered().collect();
        self.undelivered.store(0, Relaxed);
        self.receipts(undelivered.clone(), DeliveryState::Failed).await;
        self.notify(Notice::Ended { undelivered }).await;
    }

    fn report(&self) -> ConnectionReport {
        ConnectionReport {
            peer_id: self.peer_id.clone(),
            state: self.state,
            since: self.state_since.elapsed(),
            path: self.path,
            verified: self.is_verified(),
            opened_in: self.attempt.as_ref().and_then(|attempt| attempt.opened_in),
            local_candidates: self.negotiation.local_candidates(),
            remote_candidates: self.negotiation.remote_candidates(),
            undelivered: self.chat.undelivered().len(),
            timeline: self.timeline.entries(),
            advice: self.timeline.advice(),
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
