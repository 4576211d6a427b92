//! Taking tokens back while sessions live that were joined with them. First nobody joins with them any more, then who
//! has joined is let go: who comes in between sees the first after joining.

use std::{sync::Arc, time::SystemTime};

use patchcord_proto::v1::LeaveReason;
use tokio_util::task::TaskTracker;

use crate::{
    auth::Operator,
    signaling::Exchange,
    store::Store,
    switchboard::Dismissal,
    tokens::{Revocation, RevokeError, Target, Tokens},
};

/// What a removed peer is told, before what the operator has to say.
const TOLD: &str = "your token was revoked";
/// Rooms looked through at once.
const ROOMS_AT_ONCE: usize = 256;

/// What an operator wishes.
pub struct Order {
    /// What to take back.
    pub target: Target,
    /// For the peers; may be empty.
    pub message: String,
    /// Whose wish it is.
    pub operator: Operator,
}

/// Takes back, and ends the sessions; how many. Both are done also where it could not be written down, and whether or not
/// whoever asked still waits: a token that admits nobody any more, in a session that goes on, would be half of it.
///
/// # Errors
/// As [`Tokens::revoke`].
pub async fn revoke(
    tasks: &TaskTracker,
    store: Arc<dyn Store>,
    tokens: Arc<Tokens>,
    order: Order,
) -> (usize, Result<Revocation, RevokeError>) {
    let carried_out = tasks.spawn(carry_out(store, tokens, order)).await;
    carried_out.unwrap_or_else(|error| (0, Err(RevokeError::NotWritten(error.into()))))
}

async fn carry_out(
    store: Arc<dyn Store>,
    tokens: Arc<Tokens>,
    order: Order,
) -> (usize, Result<Revocation, RevokeError>) {
    let Order { target, message, operator } = order;
    let (revoking, target_too) = (Arc::clone(&tokens), target.clone());
    // The disk takes its time.
    let outcome = tokio::task::spawn_blocking(move || revoking.revoke(target_too, SystemTime::now()));
    let outcome = outcome.await.unwrap_or_else(|error| Err(RevokeError::NotWritten(error.into())));
    if matches!(outcome, Err(RevokeError::Full)) {
        return (0, outcome);
    }
    let ended = end_revoked(&*store, &tokens, &message).await;
    tracing::info!(?target, ended, %operator, "revoked by an operator");
    (ended, outcome)
}

/// Ends what was taken back in a file that was read again. Ends never.
pub async fn end_what_is_revoked_elsewhere(exchange: Arc<Exchange>) {
    let Some(tokens) = &exchange.tokens else { return std::future::pending().await };
    loop {
        tokens.revoked_elsewhere().await;
        let ended = end_revoked(&*exchange.store, tokens, "").await;
        tracing::info!(ended, "revoked elsewhere");
    }
}

async fn end_revoked(store: &dyn Store, tokens: &Tokens, message: &str) -> usize {
    let message = if message.is_empty() { TOLD.to_owned() } else { format!("{TOLD}: {message}") };
    let dismissal = Dismissal { reason: LeaveReason::Removed, message };
    let (mut after, mut ended) = (None, 0);
    loop {
        let page = store.page("", after.as_deref(), ROOMS_AT_ONCE).await;
        for room in &page.rooms {
            let of_revoked = |grant: &_| tokens.is_revoked(grant);
            for member in room.members.iter().filter(|member| member.grant.as_deref().is_some_and(of_revoked))
            {
                ended += usize::from(store.remove(&room.name, member.peer_id, dismissal.clone()).await);
            }
        }
        match page.next_after {
            Some(name) => after = Some(name.as_str().to_owned()),
            None => return ended,
        }
    }
}

#[cfg(test)]
mod tests;
