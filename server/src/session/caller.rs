//! The other end of a stream: what it says next, and what it is told at once. The only place where a
//! session waits; it stops reading when its peer does.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use patchcord_proto::{
    limits::SIGNAL_REQUEST_BYTES_MAX,
    v1::{LeaveReason, SignalRequest},
};
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Status};

use super::{
    pace::{Pace, Verdict},
    stream::Stream,
};
use crate::{
    claims::{Claim, Claimable},
    config::STALL_TIMEOUT,
    frame::{About, Frame},
    outbox::{Ending, Outbox},
    peer_id::PeerId,
    refusal::Refusal,
    signaling::Exchange,
};

/// What a session is made from when its stream opens.
pub struct Caller {
    /// What is shared by all sessions.
    pub exchange: Arc<Exchange>,
    /// The id it will have in a room.
    pub peer_id: PeerId,
    /// Where it asks; `None` while it is detached, or when the stream was handed to another session.
    pub stream: Option<Stream>,
    /// What the peer is told.
    pub outbox: Arc<Outbox>,
    /// How fast it asks.
    pub pace: Pace,
    /// Where other streams of this session come from; `None` when it cannot outlive its stream.
    pub claimable: Option<Claimable>,
}

/// What came next.
pub enum Heard {
    /// A request.
    Request(SignalRequest),
    /// The peer closed its half of the stream.
    HalfClosed,
    /// What came is no request.
    Garbled(Status),
    /// Stream or connection is gone.
    Lost,
    /// Another stream is to carry the session.
    Claimed(Box<Claim>),
    /// The outbox was ended by somebody else.
    Ended(LeaveReason),
    /// The time given has passed.
    Deadline,
}

impl Caller {
    /// The next thing that matters, or the deadline. The only place where a session waits.
    pub async fn hear(&mut self, deadline: Option<Instant>) -> Heard {
        loop {
            // Asked first: it starts the clock that the condition tells of.
            let has_room = self.outbox.has_room();
            let condition = self.outbox.condition();
            if let Some(reason) = condition.ended {
                return Heard::Ended(reason);
            }
            if condition.reader_gone {
                return Heard::Lost;
            }
            // Here too, for a caller that always has another request.
            if deadline.is_some_and(|at| at <= Instant::now()) {
                return Heard::Deadline;
            }
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
                claim = claimed(&mut self.claimable) => return Heard::Claimed(claim),
                message = next_request(&mut self.stream), if has_room => return self.heard(message),
                () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {}
            }
        }
    }

    fn heard(&self, message: Result<Option<SignalRequest>, Status>) -> Heard {
        match message {
            Ok(Some(request)) => Heard::Request(request),
            // A cancelled stream looks like a closed one but for this.
            _ if self.stream.as_ref().is_none_or(|stream| stream.body_end.is_broken()) => Heard::Lost,
            Ok(None) => Heard::HalfClosed,
            Err(status) => Heard::Garbled(status),
        }
    }

    /// Where it asks from.
    pub fn address(&self) -> SocketAddr {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        self.stream.as_ref().map_or(nowhere, |stream| stream.address)
    }

    /// The stream is lost for good: there is no session, or it cannot be resumed.
    pub fn end_lost(&self) {
        let status = Status::cancelled("the request stream is lost");
        self.outbox.end(Ending { reason: LeaveReason::Disconnected, status: Some(status) }, None);
    }

    /// The refusal as it travels, counted.
    pub fn rejected(&self, request_seq: u64, refusal: Refusal) -> Frame {
        self.exchange.metrics.count_rejection(refusal.code);
        tracing::debug!(peer_id = %self.peer_id, code = refusal.code.as_str_name(), "rejected");
        let about = refusal.addressee.map_or(About::Session, About::Refused);
        let rejected = refusal.into_proto(request_seq);
        Frame { about, ..Frame::rejected(rejected) }
    }

    /// Tells the peer that a request was not carried out.
    pub fn refuse(&self, request_seq: u64, refusal: Refusal) {
        self.outbox.push(self.rejected(request_seq, refusal));
    }

    /// Refuses what comes faster than it may, and ends the stream of a peer that goes on regardless.
    pub fn keep_pace(&mut self, request: &SignalRequest, now: Instant) -> Result<(), Refusal> {
        let wait = match self.pace.judge(now) {
            Verdict::InTime => return Ok(()),
            // An acknowledgement has no answer, and frees more than it costs.
            Verdict::TooSoon(_) if request.message.is_none() && request.ack > 0 => return Ok(()),
            Verdict::TooSoon(wait) => wait,
            Verdict::Flood => {
                let status = Status::resource_exhausted("requests came faster than permitted for too long");
                let ending = Ending { reason: LeaveReason::RulesBroken, status: Some(status) };
                self.outbox.end(ending, None);
                Duration::from_secs(1)
            }
        };
        Err(Refusal::rate_limited("the request", wait))
    }

    /// Ends the stream of a peer that sends what is no request.
    pub fn end_garbled(&self, status: &Status) {
        let refusal = match status.code() {
            Code::OutOfRange => Refusal::request_too_large(SIGNAL_REQUEST_BYTES_MAX),
            _ => Refusal::invalid_argument("what came is no SignalRequest"),
        };
        let status = Status::invalid_argument(refusal.message.clone());
        let ending = Ending { reason: LeaveReason::RulesBroken, status: Some(status) };
        self.outbox.end(ending, Some(self.rejected(0, refusal)));
    }
}

/// The next stream that claims the session; never, for one that cannot outlive its stream.
pub(super) async fn claimed(claimable: &mut Option<Claimable>) -> Box<Claim> {
    match claimable {
        Some(claimable) => claimable.claimed().await,
        None => std::future::pending().await,
    }
}

async fn next_request(stream: &mut Option<Stream>) -> Result<Option<SignalRequest>, Status> {
    match stream {
        Some(stream) => stream.requests.message().await,
        None => std::future::pending().await,
    }
}
