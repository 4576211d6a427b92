//! A session between two streams, and the change from one to the next. Whatever happens to streams, each
//! side gets what the other sent once and in order, or is told what is missing.

use std::{net::SocketAddr, sync::Arc};

use patchcord_proto::v1::{
    LeaveReason,
    signal_response::{Message as Told, Resumed},
};
use tokio::{sync::oneshot, time::timeout};
use tonic::Status;

use super::{Session, caller::Caller};
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
        let token = ResumeToken::parse(resume_token).ok_or_else(Refusal::session_unknown)?;
        let session = self.exchange.claims.find(&token).ok_or_else(Refusal::session_unknown)?;
        let stream = self.stream.take().ok_or_else(Refusal::session_unknown)?;
        let (answer, answered) = oneshot::channel();
        let outbox = Arc::clone(&self.outbox);
        let claim = Claim { token: token.hash(), last_seq, stream, outbox, answer };
        if let Err(error) = session.try_send(claim) {
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
}

impl Session<'_> {
    /// Waits for another stream for as long as the peer has to come back; says why the session is over if none
    /// comes.
    pub(super) async fn wait_for_stream(&mut self) -> Result<(), LeaveReason> {
        let Some(mut claimable) = self.caller.claimable.take() else {
            self.caller.end_lost();
            return Err(LeaveReason::Disconnected);
        };
        let exchange = Arc::clone(&self.caller.exchange);
        self.caller.outbox.detach();
        self.caller.stream = None;
        self.set_stream(None).await;
        let _counted = crate::metrics::Counted::new(&exchange.metrics.detached);
        tracing::info!(peer_id = %self.caller.peer_id, "detached");
        let outbox = Arc::clone(&self.caller.outbox);
        let returned = async {
            loop {
                if let Some(reason) = outbox.condition().ended {
                    return Err(reason);
                }
                tokio::select! {
                    biased;
                    () = outbox.changed() => {}
                    claim = claimable.claimed() => return Ok(claim),
                }
            }
        };
        let returned = timeout(exchange.grace_time, returned).await;
        self.caller.claimable = Some(claimable);
        match returned {
            Ok(Ok(claim)) => {
                self.attach(claim).await;
                Ok(())
            }
            Ok(Err(reason)) => Err(reason),
            Err(_) => {
                self.caller.end_lost();
                Err(LeaveReason::Disconnected)
            }
        }
    }

    /// Goes on with another stream, if its peer can be this one.
    pub(super) async fn attach(&mut self, claim: Claim) {
        let Claim { token, last_seq, stream, outbox: claimed_by, answer } = claim;
        let outbox = Arc::clone(&self.caller.outbox);
        if !outbox.acknowledge(last_seq) {
            let refusal = Refusal::invalid_argument("last_seq is of a response that was never sent");
            // The claimer may be gone.
            let _ = answer.send(Err((refusal, stream)));
            return;
        }
        let Some(claimable) = &mut self.caller.claimable else { return };
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
        // Without a loss what waits tells who came.
        let told_by_roster: Vec<_> = match complete {
            true => Vec::new(),
            false => roster.iter().map(|member| member.peer_id).collect(),
        };
        let reader = outbox.attach(Frame::unnumbered(Told::Resumed(resumed)), &told_by_roster);
        claimed_by.redirect(outbox, reader);
        let address = stream.address;
        self.caller.stream = Some(stream);
        let _ = answer.send(Ok(()));
        self.ack_at = None;
        self.set_stream(Some(address)).await;
        self.caller.exchange.metrics.count_resumed(complete);
        tracing::info!(peer_id = %self.caller.peer_id, %address, complete, "resumed");
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
