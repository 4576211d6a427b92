//! One peer from the opening of its stream to its end: the inbound loop. It never waits for another
//! peer, and it stops reading when its own peer does not. However it ends, the room is left once.

mod admission;
mod caller;
mod membership;
mod pace;
mod resuming;
mod sequence;
mod stream;

use std::time::SystemTime;

use patchcord_proto::{
    limits::DISPLAY_NAME_BYTES_MAX,
    v1::{
        LeaveReason, SignalRequest,
        signal_request::{Message, Ping, UpdateProfile},
        signal_response::IceServersUpdated,
    },
};
use tokio::time::Instant;

use crate::{
    claims::Claimable,
    config::{ACK_DELAY, ACK_EVERY, FIRST_MESSAGE_TIMEOUT, UPDATE_PROFILE_INTERVAL},
    frame::{self, Frame},
    name::DisplayName,
    outbox::Ending,
    refusal::Refusal,
    relay::relay,
    store::RelayError,
    tokens::{Denied, Permission},
};

pub use caller::Caller;
pub use stream::{Share, Stream};

use admission::Admission;
use caller::Heard;
use membership::Membership;
pub use pace::Pace;
use sequence::{Sequence, is_bare_ack};

/// What the next request may be.
enum Next {
    Continue,
    End(LeaveReason),
}

/// Runs a session to its end, or until its stream is another's.
pub async fn run(caller: &mut Caller) {
    let deadline = Instant::now() + FIRST_MESSAGE_TIMEOUT;
    let mut sequence = Sequence::default();
    if let Admission::Joined(membership) = caller.be_admitted(deadline, &mut sequence).await {
        let reason = Session::new(caller, &membership, sequence).run().await;
        membership.leave(reason).await;
    }
}

/// A caller in its room.
struct Session<'a> {
    caller: &'a mut Caller,
    membership: &'a Membership,
    sequence: Sequence,
    ack_at: Option<Instant>,
    /// From when the profile may be updated again.
    update_profile_from: Instant,
    renew_at: Option<Instant>,
    /// The token that resumed the session last is good until the peer shows that it has the next.
    token_is_used: bool,
}

impl<'a> Session<'a> {
    fn new(caller: &'a mut Caller, membership: &'a Membership, sequence: Sequence) -> Self {
        let interval = caller.exchange.ice_servers.renewal_interval();
        // Without credentials there is nothing to renew.
        let interval = interval.filter(|_| membership.may(Permission::Turn));
        let renew_at = interval.map(|interval| Instant::now() + interval);
        Self {
            caller,
            membership,
            sequence,
            ack_at: None,
            update_profile_from: Instant::now(),
            renew_at,
            token_is_used: false,
        }
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
                    return LeaveReason::RulesBroken;
                }
                // Rare and large, so that no idle session has memory for it.
                Heard::Claimed(claim) => {
                    Box::pin(self.attach(claim)).await;
                }
                Heard::Lost => {
                    if let Err(reason) = Box::pin(self.wait_for_stream()).await {
                        return reason;
                    }
                }
                Heard::Ended(reason) => return reason,
            }
        }
    }

    async fn carry_out(&mut self, request: SignalRequest) -> Next {
        let decoded_at = Instant::now();
        let seq = request.seq;
        let in_turn = self.take(&request).and_then(|is_new| {
            if is_new { self.caller.keep_pace(&request, decoded_at).map(|()| true) } else { Ok(false) }
        });
        let outcome = match in_turn {
            Err(refusal) => Err(refusal),
            Ok(false) => Ok(Next::Continue),
            Ok(true) => self.perform(request, decoded_at).await,
        };
        self.caller.outbox.set_ack(self.sequence.last());
        match outcome {
            Ok(next @ Next::End(_)) => return next,
            Ok(Next::Continue) => {}
            Err(refusal) => self.caller.refuse(seq, refusal),
        }
        self.see_to_ack(decoded_at);
        Next::Continue
    }

    /// Whether it is to be carried out: not if it was before.
    fn take(&mut self, request: &SignalRequest) -> Result<bool, Refusal> {
        if std::mem::take(&mut self.token_is_used) {
            self.caller.claimable.iter_mut().for_each(Claimable::confirm);
        }
        let is_new = self.sequence.check(request.seq)?;
        if !self.caller.outbox.acknowledge(request.ack) {
            return Err(Refusal::invalid_argument("ack is of a response that was never sent"));
        }
        Ok(is_new)
    }

    async fn perform(&mut self, request: SignalRequest, decoded_at: Instant) -> Result<Next, Refusal> {
        match request.message {
            None if is_bare_ack(&request) => {}
            None => return Err(Refusal::unsupported("the request holds nothing that this server knows")),
            Some(Message::Leave(_)) => return Ok(Next::End(self.end_ok())),
            Some(Message::Join(_) | Message::Resume(_)) => return Err(Refusal::already_joined()),
            Some(Message::Ping(Ping { nonce })) => self.caller.outbox.push(Frame::pong(nonce)),
            Some(Message::UpdateProfile(update)) => self.update_profile(update, decoded_at).await?,
            Some(asked) => self.relay(asked, decoded_at).await?,
        }
        Ok(Next::Continue)
    }

    async fn update_profile(&mut self, update: UpdateProfile, now: Instant) -> Result<(), Refusal> {
        let display_name = DisplayName::parse(&update.display_name, DISPLAY_NAME_BYTES_MAX)
            .ok_or_else(|| Refusal::invalid_display_name(DISPLAY_NAME_BYTES_MAX))?;
        // Everybody in the room has to be told of each.
        let wait = self.update_profile_from.saturating_duration_since(now);
        if !wait.is_zero() {
            return Err(Refusal::rate_limited("update_profile", wait));
        }
        self.update_profile_from = now + UPDATE_PROFILE_INTERVAL;
        let Membership { exchange, room, peer_id, .. } = self.membership;
        exchange.store.rename(room, *peer_id, display_name).await;
        Ok(())
    }

    async fn relay(&self, asked: Message, decoded_at: Instant) -> Result<(), Refusal> {
        let Membership { exchange, room, peer_id, .. } = self.membership;
        if !self.membership.may(Permission::Send) {
            return Err(Refusal::not_permitted(&Denied::NoPermission(Permission::Send)));
        }
        let unknown = || Err(Refusal::unsupported("the request is not one that this server knows"));
        let relay = relay(*peer_id, asked, decoded_at).unwrap_or_else(unknown)?;
        let (kind, to) = (relay.kind, relay.to);
        exchange.store.relay(room, *peer_id, relay).await.map_err(|error| match error {
            RelayError::NoSuchPeer => Refusal::no_such_peer(),
            RelayError::PeerBusy => Refusal::peer_busy(to),
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
            let issue = ice_servers.issue(self.caller.peer_id, true, SystemTime::now());
            let expire_at = issue.expire_at.and_then(frame::timestamp);
            let told = IceServersUpdated { ice_servers: issue.servers, expire_at };
            self.caller.outbox.push(Frame::ice_servers_updated(told));
            self.renew_at = ice_servers.renewal_interval().map(|interval| now + interval);
        }
    }

    fn end_ok(&self) -> LeaveReason {
        self.caller.outbox.end(Ending { reason: LeaveReason::Left, status: None }, None);
        LeaveReason::Left
    }
}

#[cfg(test)]
mod tests;
