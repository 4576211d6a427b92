//! Taking tokens back while sessions live that were joined with them. First nobody joins with them any more, then who
//! has joined is let go: who comes in between sees the first after joining.

use std::{sync::Arc, time::SystemTime};

use patchcord_proto::v1::LeaveReason;

use crate::{
    signaling::Exchange,
    store::Store,
    switchboard::Dismissal,
    tokens::{Revocation, RevokeError, Target, Tokens},
};

/// What a removed peer is told, before what the operator has to say.
const TOLD: &str = "your token was revoked";
/// Rooms looked through at once.
const ROOMS_AT_ONCE: usize = 256;

/// Takes back, and ends the sessions; how many. Both are done also where it could not be written down.
///
/// # Errors
/// As [`Tokens::revoke`].
pub async fn revoke(
    store: &dyn Store,
    tokens: &Arc<Tokens>,
    target: Target,
    message: &str,
) -> (usize, Result<Revocation, RevokeError>) {
    let (revoking, target_too) = (Arc::clone(tokens), target.clone());
    // The disk takes its time.
    let outcome = tokio::task::spawn_blocking(move || revoking.revoke(target_too, SystemTime::now()));
    let outcome = outcome.await.unwrap_or_else(|error| Err(RevokeError::NotWritten(error.into())));
    match outcome {
        Err(RevokeError::Full) => (0, outcome),
        outcome => (end_revoked(store, tokens, message).await, outcome),
    }
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
