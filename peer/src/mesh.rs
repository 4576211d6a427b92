//! The one task that owns a room: its roster, its links and its signaling stream.
//!
//! Invariant: it never waits for a link or for the server, only for the user to take events.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    Config, ConnectPolicy, ConnectionReport, Departure, EndReason, Event, IceServer, LeaveReason, MessageId,
    Peer, PeerId, Recipients, SendError, ShortString, SignalingState,
    chat::OutgoingText,
    link::{Command, EventSender, LinkContext, LinkHandle, Notice},
    signaling::{Signaling, SignalingEvent},
};

mod asks;
mod leaving;
mod notices;
mod rejected;
mod returning;
mod typing;

use leaving::{Leaving, next_of_leaving};
use returning::Stranger;
use typing::Typing;

/// Peers of one room; more than any server of ours admits.
const MEMBERS_MAX: usize = 256;

/// For links to close their connections when the room is over.
const LINKS_END_TIMEOUT: Duration = Duration::from_secs(2);

/// What a handle asks of its room.
pub(crate) enum Ask {
    Send { to: Recipients, text: OutgoingText, reply: oneshot::Sender<Result<MessageId, SendError>> },
    Connect { peer_id: PeerId, reply: oneshot::Sender<Result<(), SendError>> },
    DisplayName(String),
    Typing(bool),
    Compared { peer_id: PeerId, string: ShortString, reply: oneshot::Sender<Result<(), SendError>> },
    JudgeAgain { peer_id: PeerId, reply: oneshot::Sender<Result<(), SendError>> },
    Refuse { peer_id: PeerId, reply: oneshot::Sender<Result<(), SendError>> },
    Connections(oneshot::Sender<Vec<oneshot::Receiver<ConnectionReport>>>),
    Leave,
}

struct Member {
    /// The id that the server knows it by now; the key is the one under which the user met it.
    server_id: PeerId,
    /// The id that it says it came back under, before the server has named it.
    claims: Option<PeerId>,
    /// Its channel is open.
    open: bool,
    /// Our user does not want it: what is for everybody is not for it.
    refused: bool,
    link: LinkHandle,
    /// For the order of joining.
    order: u64,
    /// Said by the server; the link decides when it is over.
    left: Option<LeaveReason>,
    /// Said by the peer, after which its channel closed.
    said_bye: bool,
}

pub(crate) struct Mesh {
    own_id: PeerId,
    config: Config,
    context: LinkContext,
    events: EventSender,
    signaling: Option<Signaling>,
    /// The stream to the server is lost.
    away: bool,
    members: BTreeMap<PeerId, Member>,
    /// From the ids of the server to those of `members`.
    by_server_id: BTreeMap<PeerId, PeerId>,
    strangers: Vec<Stranger>,
    /// For the links of newcomers that the user is about to be told of.
    first_commands: BTreeMap<PeerId, Command>,
    /// When strangers are taken for new.
    settle_at: Option<Instant>,
    joined_count: u64,
    typing: Typing,
    leaving: Option<Leaving>,
    /// Texts that the end of the room keeps from being delivered.
    undelivered: Vec<(MessageId, PeerId)>,
    /// The user knows that our token does not permit what we send.
    not_permitted_told: bool,
    /// Told once, when the room is over.
    departure: watch::Sender<Option<Departure>>,
    /// For the user to take; while any are here, nothing that makes more is read.
    pending: VecDeque<Event>,
}

enum Step {
    Ask(Option<Ask>),
    Notice(PeerId, Notice),
    Signaling(SignalingEvent),
    LeaveDeadline,
    Settle,
    /// While leaving: every link has delivered or given up.
    AllEnded,
}

impl Mesh {
    pub(crate) fn new(
        own_id: PeerId,
        config: Config,
        context: LinkContext,
        signaling: Signaling,
        departure: watch::Sender<Option<Departure>>,
    ) -> Self {
        Self {
            own_id,
            config,
            events: EventSender::new(context.events.clone(), context.leaving.clone(), context.over.clone()),
            context,
            signaling: Some(signaling),
            away: false,
            members: BTreeMap::new(),
            by_server_id: BTreeMap::new(),
            strangers: Vec::new(),
            first_commands: BTreeMap::new(),
            settle_at: None,
            joined_count: 0,
            typing: Typing::default(),
            leaving: None,
            undelivered: Vec::new(),
            not_permitted_told: false,
            departure,
            pending: VecDeque::new(),
        }
    }

    /// Lives as long as the room. `peers` were there before us.
    pub(crate) async fn run(
        mut self,
        peers: Vec<Peer>,
        mut asks: mpsc::Receiver<Ask>,
        mut notices: mpsc::Receiver<(PeerId, Notice)>,
        mut responses: mpsc::Receiver<SignalingEvent>,
    ) {
        for peer in peers {
            let peer_id = peer.id.clone();
            if !self.add(peer) {
                continue;
            }
            if self.config.connect_policy == ConnectPolicy::Newcomer {
                self.command(&peer_id, Command::Connect);
            }
        }
        let events = self.context.events.clone();
        loop {
            let free = self.pending.is_empty();
            // A user that leaves need not read: what links say then makes next to nothing more to tell.
            let hear_links = free || self.leaving.is_some();
            let step = tokio::select! {
                // Our own user first, so that nobody can keep it waiting. Notices before responses, so that what
                // a peer's link has said is known before the server's word on it.
                biased;
                step = next_of_leaving(self.leaving.as_ref(), self.members.is_empty()) => step,
                ask = asks.recv(), if self.leaving.is_none() => Step::Ask(ask),
                permit = events.reserve(), if !free => {
                    match permit {
                        Ok(permit) => {
                            if let Some(event) = self.pending.pop_front() {
                                permit.send(event.clone());
                                self.told(event);
                            }
                        }
                        // The user has dropped its receiver.
                        Err(_) => std::mem::take(&mut self.pending).into_iter().for_each(|event| self.told(event)),
                    }
                    continue;
                }
                Some((peer_id, notice)) = notices.recv(), if hear_links => Step::Notice(peer_id, notice),
                Some(event) = responses.recv(), if free && self.signaling.is_some() => Step::Signaling(event),
                () = sleep_until(self.settle_at), if free => Step::Settle,
            };
            if let Some(reason) = self.step(step, &mut responses).await {
                self.context.leaving.cancel();
                self.end_links(&mut notices).await;
                let undelivered = std::mem::take(&mut self.undelivered);
                self.departure.send_replace(Some(Departure { undelivered, reason: reason.clone() }));
                for event in self.pending.drain(..) {
                    self.events.send(event).await;
                }
                self.events.send(Event::Ended(reason)).await;
                self.context.over.cancel();
                return;
            }
        }
    }

    /// Lets go of all links and hears them out, so that none tells the user anything after the end.
    async fn end_links(&mut self, notices: &mut mpsc::Receiver<(PeerId, Notice)>) {
        let mut ending: BTreeSet<_> = std::mem::take(&mut self.members).into_keys().collect();
        let all_ended = async {
            while !ending.is_empty() {
                if let Some((peer_id, Notice::Ended { undelivered })) = notices.recv().await {
                    self.undelivered.extend(undelivered.into_iter().map(|id| (id, peer_id.clone())));
                    ending.remove(&peer_id);
                }
            }
        };
        let _ = tokio::time::timeout(LINKS_END_TIMEOUT, all_ended).await;
    }

    /// Does what a step asks for; says why the room is over, if it is.
    async fn step(
        &mut self,
        step: Step,
        responses: &mut mpsc::Receiver<SignalingEvent>,
    ) -> Option<EndReason> {
        match step {
            // The last handle is gone: nobody waits for a delivery.
            Step::Ask(None) => return Some(EndReason::Left),
            Step::Ask(Some(Ask::Leave)) => self.leave(),
            Step::Ask(Some(ask)) => self.ask(ask),
            Step::Notice(peer_id, notice) => self.notice(peer_id, notice),
            Step::Signaling(SignalingEvent::Removed { message }) => {
                return Some(EndReason::Removed { message });
            }
            Step::Signaling(event) => self.signaling_event(event),
            Step::Settle => self.settle(),
            Step::LeaveDeadline => {
                if self.leave_deadline_passed() {
                    return Some(self.say_leave(responses).await);
                }
            }
            Step::AllEnded => return Some(self.say_leave(responses).await),
        }
        None
    }

    /// A newcomer is a member once the user has been told of it, so that nothing about it comes before.
    fn told(&mut self, event: Event) {
        if let Event::PeerJoined(peer) = event {
            let peer_id = peer.id.clone();
            let first = self.first_commands.remove(&peer_id).unwrap_or(Command::Expect);
            if self.add(peer) {
                self.command(&peer_id, first);
            }
        }
    }

    /// No, when the server names a peer twice, or ourselves, or more than a room can have, or we are leaving.
    fn admits(&self, peer: &Peer) -> bool {
        let known = peer.id == self.own_id || self.members.contains_key(&peer.id);
        !known && self.members.len() < MEMBERS_MAX && self.leaving.is_none()
    }

    /// Takes in a peer, if it is admitted.
    fn add(&mut self, peer: Peer) -> bool {
        if !self.admits(&peer) {
            return false;
        }
        let (peer_id, server_id) = (peer.id.clone(), peer.id.clone());
        let link = LinkHandle::spawn(&self.own_id, peer, self.context.clone());
        let (order, claims) = (self.joined_count, None);
        let (open, refused) = (false, false);
        let member = Member { server_id, claims, open, refused, link, order, left: None, said_bye: false };
        self.joined_count += 1;
        self.by_server_id.insert(peer_id.clone(), peer_id.clone());
        self.members.insert(peer_id, member);
        true
    }

    /// Gives a link something to do. A link that is too far behind is cut off: its peer floods us.
    fn command(&mut self, peer_id: &PeerId, command: Command) {
        let Some(member) = self.members.get_mut(peer_id) else { return };
        if member.link.commands.try_send(command).is_err() {
            tracing::warn!(%peer_id, "a link cannot keep up and is cut off");
            member.link.let_go();
        }
    }

    fn command_all(&mut self, command: impl Fn() -> Command) {
        let peer_ids: Vec<_> = self.members.keys().cloned().collect();
        for peer_id in peer_ids {
            self.command(&peer_id, command());
        }
    }

    fn signaling_event(&mut self, event: SignalingEvent) {
        match event {
            SignalingEvent::PeerJoined(peer) => self.meet(peer, false),
            SignalingEvent::PeerUpdated(peer) => self.update(peer),
            SignalingEvent::PeerLeft { peer_id, reason } => {
                self.forget_stranger(&peer_id);
                if let Some(peer_id) = self.by_server_id.remove(&peer_id) {
                    self.let_leave(&peer_id, reason);
                }
            }
            SignalingEvent::Description { from, kind, sdp } => {
                let command = Command::Description { kind, sdp };
                if let Some(command) = self.admit_stranger(&from, command) {
                    self.command_server_id(&from, command);
                }
            }
            SignalingEvent::Candidate { from, candidate } => {
                self.command_server_id(&from, Command::Candidate(candidate));
            }
            SignalingEvent::Sealed { from, payload } => {
                if let Some(command) = self.admit_stranger(&from, Command::Sealed(payload)) {
                    self.command_server_id(&from, command);
                }
            }
            SignalingEvent::IceServers(ice_servers) => self.set_ice_servers(&ice_servers),
            SignalingEvent::Rejected { again: Some((server_id, retry_after)), .. } => {
                self.command_server_id(&server_id, Command::NotRelayed { retry_after });
            }
            SignalingEvent::Rejected { code, message, again: None } => self.rejected(code, message),
            SignalingEvent::Away { reason } => self.set_signaling_state(SignalingState::Away { reason }),
            SignalingEvent::Resuming => self.set_signaling_state(SignalingState::Resuming),
            SignalingEvent::Resumed { complete, peers, affected } => {
                self.resumed((!complete).then_some(peers));
                self.renegotiate(&affected);
            }
            SignalingEvent::Lost(affected) => self.renegotiate(&affected),
            SignalingEvent::Rejoined(joined) => self.rejoined(joined),
            SignalingEvent::Ended { reason } => {
                self.signaling = None;
                self.set_signaling_state(SignalingState::Gone { reason });
            }
            SignalingEvent::Removed { .. } => {}
        }
    }

    fn command_server_id(&mut self, server_id: &PeerId, command: Command) {
        if let Some(peer_id) = self.by_server_id.get(server_id).cloned() {
            self.command(&peer_id, command);
        }
    }

    /// Something of what a negotiation said was lost on its way.
    fn renegotiate(&mut self, affected: &BTreeSet<PeerId>) {
        for server_id in affected {
            self.command_server_id(server_id, Command::Renegotiate);
        }
    }

    /// The server says that a member has left, or has forgotten it; the link decides when that is the end.
    fn let_leave(&mut self, peer_id: &PeerId, reason: LeaveReason) {
        if let Some(member) = self.members.get_mut(peer_id) {
            member.left = Some(reason);
            let claims = member.claims.clone();
            self.command(peer_id, Command::PeerLeft(reason));
            if let Some(server_id) = claims {
                self.claimed(peer_id, server_id);
            }
        }
    }

    fn set_ice_servers(&mut self, ice_servers: &[IceServer]) {
        let servers: Vec<_> = ice_servers.iter().chain(&self.config.ice_servers).cloned().collect();
        self.context.connection.ice_servers.clone_from(&servers);
        self.command_all(|| Command::IceServers(servers.clone()));
    }

    /// Without the server only a peer's own goodbye says that it has left.
    fn let_go_of_the_gone(&mut self) {
        if !self.away {
            return;
        }
        let gone: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| member.said_bye)
            .map(|(peer_id, _)| peer_id.clone())
            .collect();
        for peer_id in gone {
            self.command(&peer_id, Command::PeerLeft(LeaveReason::Left));
        }
    }

    /// What the server says of somebody; members keep the id under which the user knows them.
    fn update(&mut self, peer: Peer) {
        let stranger = self.strangers.iter_mut().find(|stranger| stranger.peer.id == peer.id);
        if let Some(stranger) = stranger {
            stranger.peer = peer;
        } else if let Some(peer_id) = self.by_server_id.get(&peer.id).cloned() {
            self.command(&peer_id, Command::PeerUpdated(Peer { id: peer_id.clone(), ..peer }));
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
