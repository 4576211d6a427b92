//! From the opening of a stream to a successful join: attempts may fail and be made again until the
//! first-message deadline.

use std::{sync::Arc, time::SystemTime};

use patchcord_proto::{
    limits::{ACCESS_TOKEN_BYTES_MAX, DISPLAY_NAME_BYTES_MAX, ROOM_NAME_BYTES_MAX, USER_AGENT_BYTES_MAX},
    v1::{
        LeaveReason, SignalRequest,
        signal_request::{Join, Message, Resume},
        signal_response::{Joined, Message as Told},
    },
};
use tokio::time::Instant;
use tonic::Status;

use super::{
    caller::{Caller, Heard},
    membership::Membership,
    sequence::{Sequence, is_bare_ack},
};
use crate::{
    config::room_joins_rate,
    frame::{self, Frame},
    name::{self, DisplayName, RoomName},
    outbox::Ending,
    refusal::Refusal,
    resume_token::ResumeToken,
    room::Member,
    store::JoinError,
    tokens::{Denied, Grant, Permission},
};

/// How admission ended.
pub enum Admission {
    /// In a room.
    Joined(Membership),
    /// Without a session of its own: the stream ended, or another session has it.
    Over,
}

/// What became of one request.
enum Answer {
    Joined(Membership),
    HandedOver,
    /// The stream is ended, or there is nothing to answer.
    Nothing,
}

impl Caller {
    /// Everything until a join succeeds or the stream is another's.
    pub async fn be_admitted(&mut self, deadline: Instant, sequence: &mut Sequence) -> Admission {
        let mut is_first = true;
        loop {
            match self.hear(Some(deadline)).await {
                Heard::Request(request) => {
                    let seq = request.seq;
                    match self.admit(request, sequence, is_first).await {
                        Ok(Answer::Joined(membership)) => return Admission::Joined(membership),
                        Ok(Answer::HandedOver) => return Admission::Over,
                        Ok(Answer::Nothing) => {}
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
                Heard::Lost => {
                    self.end_lost();
                    return Admission::Over;
                }
                // Nothing claims what has no token yet.
                Heard::Claimed(_) | Heard::Ended(_) => return Admission::Over,
            }
        }
    }

    async fn admit(
        &mut self,
        request: SignalRequest,
        sequence: &mut Sequence,
        is_first: bool,
    ) -> Result<Answer, Refusal> {
        let in_sequence = sequence.check_before_join(request.seq);
        self.outbox.set_ack(sequence.last());
        // Whatever number it has: a stream that begins so is no session.
        if is_first && !matches!(request.message, Some(Message::Join(_) | Message::Resume(_))) {
            let status = Status::invalid_argument("the first request must be Join or Resume");
            let rejected = self.rejected(request.seq, Refusal::not_joined());
            let ending = Ending { reason: LeaveReason::Disconnected, status: Some(status) };
            self.outbox.end(ending, Some(rejected));
            return Ok(Answer::Nothing);
        }
        in_sequence?;
        self.keep_pace(&request, Instant::now())?;
        match request.message {
            Some(Message::Join(join)) => self.join(request.seq, join).await,
            Some(Message::Resume(Resume { resume_token, last_seq })) => {
                self.hand_over(&resume_token, last_seq).await.map(|()| Answer::HandedOver)
            }
            None if is_bare_ack(&request) => Ok(Answer::Nothing),
            _ => Err(Refusal::not_joined()),
        }
    }

    async fn join(&mut self, request_seq: u64, join: Join) -> Result<Answer, Refusal> {
        let may_join = self.exchange.join_throttle.take(self.address().ip(), Instant::now());
        may_join.map_err(|wait| Refusal::rate_limited("a join from this address", wait))?;
        let room = RoomName::parse(&join.room, ROOM_NAME_BYTES_MAX)
            .ok_or_else(|| Refusal::invalid_room(ROOM_NAME_BYTES_MAX))?;
        let member = Arc::new(self.member(join, &room)?);
        let exchange = Arc::clone(&self.exchange);
        self.outbox.hold();
        let peers = exchange.store.join(&room, Arc::clone(&member)).await.map_err(|error| {
            self.outbox.release();
            match error {
                JoinError::RoomFull => Refusal::room_full(exchange.peers_per_room_max),
                JoinError::TooManyRooms => Refusal::too_many_rooms(exchange.rooms_max),
                JoinError::NoSuchRoom => self.denied_token(&Denied::NoPermission(Permission::Create)),
                JoinError::TooFast(wait) => {
                    let rate = room_joins_rate(exchange.peers_per_room_max);
                    Refusal::rate_limited(&format!("a join to this room, which takes {rate} a second,"), wait)
                }
            }
        })?;
        let membership = Membership::new(exchange, room, &member);
        // Whoever took the token back meanwhile has not seen this member, unless it is seen here that they did.
        if self.is_revoked(&member) {
            membership.leave(LeaveReason::Removed).await;
            // What others have sent it by now is of no session.
            let status = Status::permission_denied(Denied::Revoked.to_string());
            let last = self.rejected(request_seq, self.denied_token(&Denied::Revoked));
            self.outbox.end(Ending { reason: LeaveReason::Removed, status: Some(status) }, Some(last));
            return Ok(Answer::Nothing);
        }
        tracing::info!(
            peer_id = %self.peer_id, room = ?membership.room, address = %self.address(),
            subject = member.grant.as_ref().map(|grant| &*grant.subject),
            token_id = member.grant.as_ref().map(|grant| &*grant.token_id),
            "joined"
        );
        let joined = self.joined(&membership.room, &peers, &member);
        self.outbox.open(joined, self.claimable.is_some());
        Ok(Answer::Joined(membership))
    }

    /// What the token grants in this room; `None` when none is asked for.
    fn grant(&self, token: &str, room: &RoomName) -> Result<Option<Arc<Grant>>, Refusal> {
        let Some(tokens) = &self.exchange.tokens else { return Ok(None) };
        match tokens.admit(token, room, SystemTime::now()) {
            Ok(grant) => Ok(Some(Arc::new(grant))),
            Err(denied) => Err(self.denied_token(&denied)),
        }
    }

    fn is_revoked(&self, member: &Member) -> bool {
        match (&self.exchange.tokens, &member.grant) {
            (Some(tokens), Some(grant)) => tokens.is_revoked(grant),
            _ => false,
        }
    }

    fn denied_token(&self, denied: &Denied) -> Refusal {
        self.exchange.metrics.count_denied_token(denied);
        tracing::info!(
            peer_id = %self.peer_id, address = %self.address(), reason = denied.label(), "token not taken"
        );
        Refusal::not_permitted(denied)
    }

    fn member(&self, join: Join, room: &RoomName) -> Result<Member, Refusal> {
        let display_name = DisplayName::parse(&join.display_name, DISPLAY_NAME_BYTES_MAX)
            .ok_or_else(|| Refusal::invalid_display_name(DISPLAY_NAME_BYTES_MAX))?;
        if join.user_agent.len() > USER_AGENT_BYTES_MAX || !name::is_printable(&join.user_agent) {
            let rule = name::PRINTABLE_RULE;
            let message = format!("user_agent must be at most {USER_AGENT_BYTES_MAX} bytes of {rule}");
            return Err(Refusal::invalid_argument(message));
        }
        if join.access_token.len() > ACCESS_TOKEN_BYTES_MAX {
            return Err(Refusal::too_long("access_token", join.access_token.len(), ACCESS_TOKEN_BYTES_MAX));
        }
        let grant = self.grant(&join.access_token, room)?;
        Ok(Member {
            peer_id: self.peer_id,
            display_name,
            user_agent: join.user_agent.into(),
            address: self.address(),
            joined_at: SystemTime::now(),
            attached: true,
            grant,
        })
    }

    fn joined(&mut self, room: &RoomName, peers: &[Arc<Member>], member: &Member) -> Frame {
        if !self.exchange.grace_time.is_zero() {
            self.claimable = Some(self.exchange.claims.claimable());
        }
        let token = self.claimable.as_mut().map(|claimable| claimable.issue(None));
        let resume_token = token.as_ref().map(ResumeToken::reveal).unwrap_or_default();
        let ice =
            self.exchange.ice_servers.issue(self.peer_id, member.may(Permission::Turn), SystemTime::now());
        Frame::numbered(Told::Joined(Joined {
            peer_id: self.peer_id.to_string(),
            room: room.as_str().to_owned(),
            peers: peers.iter().map(|member| frame::peer(member)).collect(),
            ice_servers: ice.servers,
            ice_servers_expire_at: ice.expire_at.and_then(frame::timestamp),
            limits: Some(self.exchange.limits),
            resume_token,
            grace_time: frame::duration(self.exchange.grace_time),
            server: concat!("patchcord-server/", env!("CARGO_PKG_VERSION")).to_owned(),
            permissions: member.grant.as_deref().map(permissions).unwrap_or_default(),
        }))
    }
}

fn permissions(grant: &Grant) -> Vec<String> {
    grant.permissions.iter().map(|permission| permission.as_str().to_owned()).collect()
}
