//! A session between two streams, and the change from one to the next. Whatever happens to streams, each
//! side gets what the other sent once and in order, or is told what is missing.

use std::{net::SocketAddr, sync::Arc};

use patchcord_proto::v1::{
    LeaveReason,
    signal_response::{Message as Told, Resumed},
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};
use tonic::Status;

use super::{
    Session,
    caller::{Caller, claimed},
};
use crate::{
    claims::Claim,
    config::FIRST_MESSAGE_TIMEOUT,
    frame::{self, Frame},
    outbox::{Ending, Missing},
    peer_id::PeerId,
    refusal::Refusal,
    resume_token::ResumeToken,
    room::Member,
};

impl Caller {
    /// Hands this stream to the session that the token is of. Comes back only when that cannot be.
    pub async fn hand_over(&mut self, resume_token: &[u8], last_seq: u64) -> Result<(), Refusal> {
        let token = ResumeToken::parse(resume_token).ok_or_else(|| self.unknown())?;
        let session = self.exchange.claims.find(&token).ok_or_else(|| self.unknown())?;
        let stream = self.stream.take().ok_or_else(|| self.unknown())?;
        let (answer, answered) = oneshot::channel();
        let outbox = Arc::clone(&self.outbox);
        let claim = Claim { token: token.hash(), last_seq, stream, outbox, answer };
        if let Err(error) = session.try_send(Box::new(claim)) {
            self.stream = Some(error.into_inner().stream);
            return Err(Refusal::session_busy());
        }
        match timeout(FIRST_MESSAGE_TIMEOUT, answered).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err((refusal, stream)))) => {
                self.stream = Some(stream);
                Err(refusal)
            }
            // The session ended with the claim unheard, and the stream with it.
            Ok(Err(_)) | Err(_) => {
                let status = Status::unavailable("the session has just ended; join again");
                let ending = Ending { reason: LeaveReason::Disconnected, status: Some(status) };
                self.outbox.end(ending, None);
                Ok(())
            }
        }
    }

    /// Only what fails counts for the address: a thousand sessions behind one may all come back at once.
    fn unknown(&self) -> Refusal {
        match self.exchange.resume_throttle.take(self.address().ip(), Instant::now()) {
            Ok(()) => Refusal::session_unknown(),
            Err(wait) => Refusal::rate_limited("a resumption that fails, from this address,", wait),
        }
    }

    /// The next stream that claims the session, or why somebody else has ended it.
    async fn claimed_or_ended(&mut self) -> Result<Box<Claim>, LeaveReason> {
        loop {
            if let Some(reason) = self.outbox.condition().ended {
                return Err(reason);
            }
            tokio::select! {
                biased;
                () = self.outbox.changed() => {}
                claim = claimed(&mut self.claimable) => return Ok(claim),
            }
        }
    }
}

impl Session<'_> {
    /// Waits for another stream for as long as the peer has to come back; says why the session is over if none
    /// comes.
    pub(super) async fn wait_for_stream(&mut self) -> Result<(), LeaveReason> {
        if self.caller.claimable.is_none() {
            self.caller.end_lost();
            return Err(LeaveReason::Disconnected);
        }
        let exchange = Arc::clone(&self.caller.exchange);
        let deadline = Instant::now() + exchange.grace_time;
        self.caller.outbox.detach();
        self.caller.stream = None;
        self.set_stream(None).await;
        let _counted = crate::metrics::Counted::new(&exchange.metrics.detached);
        tracing::info!(peer_id = %self.caller.peer_id, "detached");
        // A stream that it cannot go on with buys no time, however many there are.
        while let Ok(claim) = timeout_at(deadline, self.caller.claimed_or_ended()).await {
            if self.attach(claim?).await {
                return Ok(());
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        self.caller.end_lost();
        Err(LeaveReason::Disconnected)
    }

    /// Goes on with another stream, if its peer can be this one. Whether it does.
    pub(super) async fn attach(&mut self, claim: Box<Claim>) -> bool {
        let Claim { token, last_seq, stream, outbox: claimed_by, answer } = *claim;
        let outbox = Arc::clone(&self.caller.outbox);
        let in_time = self.caller.pace.judge_resumption(Instant::now());
        let refusal = match in_time {
            Err(wait) => Some(Refusal::rate_limited("a resumption of this session", wait)),
            Ok(()) if outbox.acknowledge(last_seq) => None,
            Ok(()) => Some(Refusal::invalid_argument("last_seq is of a response that was never sent")),
        };
        if let Some(refusal) = refusal {
            // The claimer may be gone.
            let _ = answer.send(Err((refusal, stream)));
            return false;
        }
        let Some(claimable) = &mut self.caller.claimable else { return false };
        let resume_token = claimable.issue(Some(token)).reveal();
        self.token_is_used = true;
        // What comes while the roster is made is not to be mixed up with what waits and is in it.
        outbox.hold();
        let roster = self.roster().await;
        let missing = outbox.missing();
        let complete = missing == Missing::Nothing;
        let resumed = Resumed {
            complete,
            last_seq: self.sequence.last(),
            affected_peer_ids: affected(&missing, &roster),
            peers: roster.iter().map(|member| frame::peer(member)).collect(),
            resume_token,
        };
        // Without a loss what waits tells who came and left.
        let ids: Vec<_> = roster.iter().map(|member| member.peer_id).collect();
        let told_by_roster = (!complete).then_some(ids.as_slice());
        let reader = outbox.attach(Frame::unnumbered(Told::Resumed(resumed)), told_by_roster);
        claimed_by.redirect(outbox, reader);
        let address = stream.address;
        self.caller.stream = Some(stream);
        let _ = answer.send(Ok(()));
        self.ack_at = None;
        self.set_stream(Some(address)).await;
        self.caller.exchange.metrics.count_resumed(complete);
        tracing::info!(peer_id = %self.caller.peer_id, %address, complete, "resumed");
        true
    }

    async fn set_stream(&self, address: Option<SocketAddr>) {
        let exchange = &self.caller.exchange;
        exchange.store.set_stream(&self.membership.room, self.caller.peer_id, address).await;
    }

    /// The other members.
    async fn roster(&self) -> Vec<Arc<Member>> {
        let room = self.caller.exchange.store.room(self.membership.room.as_str()).await;
        let mut members = room.map(|room| room.members).unwrap_or_default();
        members.retain(|member| member.peer_id != self.caller.peer_id);
        members
    }
}

fn affected(missing: &Missing, roster: &[Arc<Member>]) -> Vec<String> {
    let is_affected = |peer_id: &PeerId| match missing {
        Missing::Nothing => false,
        Missing::Concerning(peers) => peers.contains(peer_id),
        Missing::ConcerningAnybody => true,
    };
    let ids = roster.iter().map(|member| member.peer_id);
    ids.filter(is_affected).map(|peer_id| peer_id.to_string()).collect()
}
