//! One peer from the opening of its stream to its end: the inbound loop. It never waits for another
//! peer, and it stops reading when its own peer does not. However it ends, the room is left once.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use patchcord_proto::v1::{
    LeaveReason, SignalRequest,
    signal_request::{Join, Message, Ping, UpdateProfile},
    signal_response::{IceServersUpdated, Joined, Message as Told, Rejected},
};
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Status, Streaming};

use crate::{
    config::{ACK_DELAY, ACK_EVERY, FIRST_MESSAGE_TIMEOUT, STALL_TIMEOUT},
    frame::{self, Frame},
    metrics::Counted,
    name::{DisplayName, RoomName},
    outbox::{Ending, Outbox},
    peer_id::PeerId,
    refusal::Refusal,
    relay::relay,
    room::Member,
    signaling::{BodyEnd, Exchange},
    store::{JoinError, RelayError},
};

use patchcord_proto::limits::{
    ACCESS_TOKEN_BYTES_MAX, DISPLAY_NAME_BYTES_MAX, ROOM_NAME_BYTES_MAX, SIGNAL_REQUEST_BYTES_MAX,
    USER_AGENT_BYTES_MAX,
};

/// What a session is made from when its stream opens.
pub struct Caller {
    /// What is shared by all sessions.
    pub exchange: Arc<Exchange>,
    /// The id it will have in a room.
    pub peer_id: PeerId,
    /// Where the stream comes from.
    pub address: SocketAddr,
    /// What the peer asks.
    pub requests: Streaming<SignalRequest>,
    /// How the requests ended, once they have.
    pub body_end: BodyEnd,
    /// What the peer is told.
    pub outbox: Arc<Outbox>,
}

/// What came next.
enum Heard {
    Request(SignalRequest),
    /// The peer closed its half of the stream.
    HalfClosed,
    /// What came is no request.
    Garbled(Status),
    /// Stream or connection is gone.
    Lost,
    /// The outbox was ended by somebody else.
    Ended(LeaveReason),
    /// The time given has passed.
    Deadline,
}

/// What the next request may be.
enum Next {
    Continue,
    End(LeaveReason),
}

/// Numbers of requests: 1 for the first, then one more each; 0 for those without.
#[derive(Default)]
struct Sequence {
    last: u64,
}

/// A membership, left by [`Membership::leave`] or at the latest when dropped.
struct Membership {
    exchange: Arc<Exchange>,
    room: RoomName,
    peer_id: PeerId,
    left: bool,
    _counted: Counted,
}

/// Runs a session to its end.
pub async fn run(mut caller: Caller) {
    let deadline = Instant::now() + FIRST_MESSAGE_TIMEOUT;
    let mut sequence = Sequence::default();
    let Some(membership) = caller.be_admitted(deadline, &mut sequence).await else { return };
    let reason = Session::new(&mut caller, &membership, sequence).run().await;
    membership.leave(reason).await;
}

impl Caller {
    /// The next thing that matters, or the deadline. The only place where a session waits.
    async fn hear(&mut self, deadline: Option<Instant>) -> Heard {
        loop {
            let condition = self.outbox.condition();
            if let Some(reason) = condition.ended {
                return Heard::Ended(reason);
            }
            if condition.reader_gone {
                return Heard::Lost;
            }
            let has_room = self.outbox.has_room();
            let stalled_at = condition.full_since.map(|since| since + STALL_TIMEOUT);
            if stalled_at.is_some_and(|at| at <= Instant::now()) {
                self.outbox.end_too_slow();
                continue;
            }
            let wake_at = [deadline, stalled_at].into_iter().flatten().min();
            tokio::select! {
                // In order of weight: an ended stream asks nothing any more.
                biased;
                () = self.outbox.changed() => {}
                message = self.requests.message(), if has_room => return self.heard(message),
                () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {
                    if deadline.is_some_and(|at| at <= Instant::now()) {
                        return Heard::Deadline;
                    }
                }
            }
        }
    }

    fn heard(&self, message: Result<Option<SignalRequest>, Status>) -> Heard {
        match message {
            Ok(Some(request)) => Heard::Request(request),
            // A cancelled stream looks like a closed one but for this.
            Ok(None) if self.body_end.is_clean() => Heard::HalfClosed,
            Err(status) if self.body_end.is_open() => Heard::Garbled(status),
            Ok(None) | Err(_) => Heard::Lost,
        }
    }

    /// Everything until a join succeeds; `None` when the stream ends before.
    async fn be_admitted(&mut self, deadline: Instant, sequence: &mut Sequence) -> Option<Membership> {
        let mut is_first = true;
        loop {
            match self.hear(Some(deadline)).await {
                Heard::Request(request) => {
                    let seq = request.seq;
                    match self.admit(request, sequence, is_first).await {
                        Ok(Some(membership)) => return Some(membership),
                        Ok(None) => {}
                        Err(refusal) => self.refuse(seq, refusal),
                    }
                    is_first = false;
                }
                Heard::HalfClosed => {
                    self.outbox.end(Ending { reason: LeaveReason::Left, status: None }, None)
                }
                Heard::Garbled(status) => self.end_garbled(&status),
                Heard::Deadline => {
                    let status =
                        Status::deadline_exceeded("no join within 5 seconds of the stream's opening");
                    self.outbox.end(Ending { reason: LeaveReason::Disconnected, status: Some(status) }, None);
                }
                Heard::Lost | Heard::Ended(_) => return None,
            }
        }
    }

    /// `Ok(None)` when the stream is ended.
    async fn admit(
        &mut self,
        request: SignalRequest,
        sequence: &mut Sequence,
        is_first: bool,
    ) -> Result<Option<Membership>, Refusal> {
        sequence.check_before_join(request.seq)?;
        self.outbox.set_ack(sequence.last);
        match request.message {
            Some(Message::Join(join)) => self.join(join).await.map(Some),
            Some(Message::Resume(_)) => {
                Err(Refusal::unsupported("this server does not resume sessions; join again"))
            }
            _ if is_first => {
                let status = Status::invalid_argument("the first request must be Join or Resume");
                let rejected = self.rejected(request.seq, Refusal::not_joined());
                let ending = Ending { reason: LeaveReason::Disconnected, status: Some(status) };
                self.outbox.end(ending, Some(rejected));
                Ok(None)
            }
            _ => Err(Refusal::not_joined()),
        }
    }

    async fn join(&mut self, join: Join) -> Result<Membership, Refusal> {
        let room = RoomName::parse(&join.room, ROOM_NAME_BYTES_MAX)
            .ok_or_else(|| Refusal::invalid_room(ROOM_NAME_BYTES_MAX))?;
        let member = Arc::new(self.member(join)?);
        let exchange = Arc::clone(&self.exchange);
        self.outbox.hold();
        let peers = exchange.store.join(&room, member).await.map_err(|error| {
            self.outbox.release();
            match error {
                JoinError::RoomFull => Refusal::room_full(exchange.peers_per_room_max),
                JoinError::TooManyRooms => Refusal::too_many_rooms(exchange.rooms_max),
            }
        })?;
        let counted = Counted::new(&exchange.metrics.sessions);
        let membership = Membership { exchange, room, peer_id: self.peer_id, left: false, _counted: counted };
        membership.exchange.metrics.joins.inc();
        tracing::info!(peer_id = %self.peer_id, room = ?membership.room, address = %self.address, "joined");
        self.outbox.open(self.joined(&membership.room, &peers));
        Ok(membership)
    }

    fn member(&self, join: Join) -> Result<Member, Refusal> {
        let display_name = DisplayName::parse(&join.display_name, DISPLAY_NAME_BYTES_MAX)
            .ok_or_else(|| Refusal::invalid_display_name(DISPLAY_NAME_BYTES_MAX))?;
        if join.user_agent.len() > USER_AGENT_BYTES_MAX || !crate::name::is_printable(&join.user_agent) {
            let rule = crate::name::PRINTABLE_RULE;
            let message = format!("user_agent must be at most {USER_AGENT_BYTES_MAX} bytes of {rule}");
            return Err(Refusal::invalid_argument(message));
        }
        if join.access_token.len() > ACCESS_TOKEN_BYTES_MAX {
            return Err(Refusal::too_large("access_token", join.access_token.len(), ACCESS_TOKEN_BYTES_MAX));
        }
        Ok(Member {
            peer_id: self.peer_id,
            display_name,
            user_agent: join.user_agent.into(),
            address: self.address,
            joined_at: SystemTime::now(),
        })
    }

    fn joined(&self, room: &RoomName, peers: &[Arc<Member>]) -> Frame {
        let ice = self.exchange.ice_servers.issue(self.peer_id, SystemTime::now());
        Frame::numbered(Told::Joined(Joined {
            peer_id: self.peer_id.to_string(),
            room: room.as_str().to_owned(),
            peers: peers.iter().map(|member| frame::peer(member)).collect(),
            ice_servers: ice.servers,
            ice_servers_expire_at: ice.expire_at.and_then(frame::timestamp),
            limits: Some(self.exchange.limits.clone()),
            resume_token: Default::default(),
            grace_time: None,
            server: concat!("patchcord-server/", env!("CARGO_PKG_VERSION")).to_owned(),
        }))
    }

    fn rejected(&self, request_seq: u64, refusal: Refusal) -> Frame {
        self.exchange.metrics.count_rejection(refusal.code);
        tracing::debug!(peer_id = %self.peer_id, code = refusal.code.as_str_name(), "rejected");
        let rejected: Rejected = refusal.into_proto(request_seq);
        Frame::rejected(rejected)
    }

    fn refuse(&self, request_seq: u64, refusal: Refusal) {
        // When it does not fit, the session has been ended instead; when it has ended, nobody asks.
        let _ = self.outbox.push(self.rejected(request_seq, refusal));
    }

    fn end_garbled(&self, status: &Status) {
        let refusal = match status.code() {
            Code::OutOfRange => Refusal::request_too_large(SIGNAL_REQUEST_BYTES_MAX),
            _ => Refusal::invalid_argument("what came is no SignalRequest"),
        };
        let status = Status::invalid_argument(refusal.message.clone());
        let ending = Ending { reason: LeaveReason::Disconnected, status: Some(status) };
        self.outbox.end(ending, Some(self.rejected(0, refusal)));
    }
}

/// A caller in its room.
struct Session<'a> {
    caller: &'a mut Caller,
    membership: &'a Membership,
    sequence: Sequence,
    ack_at: Option<Instant>,
    renew_at: Option<Instant>,
}

impl<'a> Session<'a> {
    fn new(caller: &'a mut Caller, membership: &'a Membership, sequence: Sequence) -> Self {
        let renew_at =
            caller.exchange.ice_servers.renewal_interval().map(|interval| Instant::now() + interval);
        Self { caller, membership, sequence, ack_at: None, renew_at }
    }

    async fn run(mut self) -> LeaveReason {
        loop {
            let deadline = [self.ack_at, self.renew_at].into_iter().flatten().min();
            match self.caller.hear(deadline).await {
                Heard::Request(request) => match self.carry_out(request).await {
                    Next::Continue => {}
                    Next::End(reason) => return reason,
                },
                Heard::Deadline => self.on_deadline(),
                Heard::HalfClosed => return self.end_ok(),
                Heard::Garbled(status) => {
                    self.caller.end_garbled(&status);
                    return LeaveReason::Disconnected;
                }
                Heard::Lost => return LeaveReason::Disconnected,
                Heard::Ended(reason) => return reason,
            }
        }
    }

    async fn carry_out(&mut self, request: SignalRequest) -> Next {
        let decoded_at = Instant::now();
        let seq = request.seq;
        let outcome = match self.sequence.check(seq) {
            Err(refusal) => Err(refusal),
            Ok(()) => self.perform(request, decoded_at).await,
        };
        self.caller.outbox.set_ack(self.sequence.last);
        match outcome {
            Ok(next @ Next::End(_)) => return next,
            Ok(Next::Continue) => {}
            Err(refusal) => self.caller.refuse(seq, refusal),
        }
        self.see_to_ack(decoded_at);
        Next::Continue
    }

    async fn perform(&mut self, request: SignalRequest, decoded_at: Instant) -> Result<Next, Refusal> {
        let is_bare_ack = request.seq == 0 && request.ack > 0;
        match request.message {
            None if is_bare_ack => {}
            None => return Err(Refusal::unsupported("the request holds nothing that this server knows")),
            Some(Message::Leave(_)) => return Ok(Next::End(self.end_ok())),
            Some(Message::Join(_) | Message::Resume(_)) => return Err(Refusal::already_joined()),
            Some(Message::Ping(Ping { nonce })) => {
                // As for a refusal.
                let _ = self.caller.outbox.push(Frame::pong(nonce));
            }
            Some(Message::UpdateProfile(UpdateProfile { display_name })) => {
                let display_name = DisplayName::parse(&display_name, DISPLAY_NAME_BYTES_MAX)
                    .ok_or_else(|| Refusal::invalid_display_name(DISPLAY_NAME_BYTES_MAX))?;
                let Membership { exchange, room, peer_id, .. } = self.membership;
                exchange.store.rename(room, *peer_id, display_name).await;
            }
            Some(asked) => self.relay(asked, decoded_at).await?,
        }
        Ok(Next::Continue)
    }

    async fn relay(&self, asked: Message, decoded_at: Instant) -> Result<(), Refusal> {
        let Membership { exchange, room, peer_id, .. } = self.membership;
        let unknown = || Err(Refusal::unsupported("the request is not one that this server knows"));
        let relay = relay(*peer_id, asked, decoded_at).unwrap_or_else(unknown)?;
        let kind = relay.kind;
        exchange.store.relay(room, *peer_id, relay).await.map_err(|error| match error {
            RelayError::NoSuchPeer => Refusal::no_such_peer(),
            RelayError::PeerBusy => Refusal::peer_busy(),
        })?;
        exchange.metrics.count_relayed(kind);
        Ok(())
    }

    /// Tells what is done when much is, or soon.
    fn see_to_ack(&mut self, now: Instant) {
        match self.caller.outbox.ack_debt() {
            0 => self.ack_at = None,
            debt if debt >= ACK_EVERY => {
                self.caller.outbox.push_ack();
                self.ack_at = None;
            }
            _ => self.ack_at = self.ack_at.or(Some(now + ACK_DELAY)),
        }
    }

    fn on_deadline(&mut self) {
        let now = Instant::now();
        if self.ack_at.is_some_and(|at| at <= now) {
            self.caller.outbox.push_ack();
            self.ack_at = None;
        }
        if self.renew_at.is_some_and(|at| at <= now) {
            let ice_servers = &self.caller.exchange.ice_servers;
            let issue = ice_servers.issue(self.caller.peer_id, SystemTime::now());
            let expire_at = issue.expire_at.and_then(frame::timestamp);
            let told = IceServersUpdated { ice_servers: issue.servers, expire_at };
            // As for a refusal.
            let _ = self.caller.outbox.push(Frame::numbered(Told::IceServersUpdated(told)));
            self.renew_at = ice_servers.renewal_interval().map(|interval| now + interval);
        }
    }

    fn end_ok(&self) -> LeaveReason {
        self.caller.outbox.end(Ending { reason: LeaveReason::Left, status: None }, None);
        LeaveReason::Left
    }
}

impl Sequence {
    /// Takes the number of a request if it follows the last.
    fn check(&mut self, seq: u64) -> Result<(), Refusal> {
        let expected = self.last + 1;
        if seq != 0 && seq != expected {
            return Err(Refusal::out_of_sequence(seq, expected));
        }
        self.last = self.last.max(seq);
        Ok(())
    }

    /// Before a session each attempt may be its first request again.
    fn check_before_join(&mut self, seq: u64) -> Result<(), Refusal> {
        if seq == 1 {
            self.last = 0;
        }
        self.check(seq)
    }
}

impl Membership {
    async fn leave(mut self, reason: LeaveReason) {
        self.left = true;
        // An operator may have taken the peer out already.
        self.exchange.store.leave(&self.room, self.peer_id, reason).await;
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
            runtime.spawn(async move {
                exchange.store.leave(&room, peer_id, LeaveReason::Disconnected).await;
                exchange.metrics.count_leave(LeaveReason::Disconnected);
            });
        }
    }
}
