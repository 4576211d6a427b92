//! Which session a resume token continues. A token leads to one session; once used it is void as soon as
//! the peer has shown that it holds the next, and all tokens of a session end with it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};

use crate::{
    outbox::Outbox,
    refusal::Refusal,
    resume_token::{ResumeToken, TokenHash},
    session::Stream,
};

/// A stream that presented a session's token.
pub struct Claim {
    /// The token.
    pub token: TokenHash,
    /// The last response that the peer has handled.
    pub last_seq: u64,
    /// What the session is to go on with.
    pub stream: Stream,
    /// Where the stream's responses come from until then.
    pub outbox: Arc<Outbox>,
    /// The stream comes back when the session cannot go on with it.
    pub answer: oneshot::Sender<Result<(), (Refusal, Stream)>>,
}

/// Tokens and the sessions that they continue.
#[derive(Default)]
pub struct Claims {
    sessions: RwLock<HashMap<TokenHash, mpsc::Sender<Box<Claim>>>>,
}

/// Where a session hears of streams that claim it.
pub struct Claimable {
    claims: Arc<Claims>,
    claimed: mpsc::Sender<Box<Claim>>,
    coming: mpsc::Receiver<Box<Claim>>,
    /// The newest, and before the peer has shown that it holds it also the one before.
    tokens: Vec<TokenHash>,
}

impl Claims {
    /// A session's place, without a token yet.
    pub fn claimable(self: &Arc<Self>) -> Claimable {
        // A channel has memory for 32 from the beginning, so that is for 32 pointers.
        // A second claim before the first is heard can only be of the same peer, and may come again.
        let (claimed, coming) = mpsc::channel(1);
        Claimable { claims: Arc::clone(self), claimed, coming, tokens: Vec::new() }
    }

    /// Where to hand a claim in; `None` when no session has this token.
    pub fn find(&self, token: &ResumeToken) -> Option<mpsc::Sender<Box<Claim>>> {
        self.sessions.read().get(&token.hash()).cloned()
    }
}

impl Claimable {
    /// The next stream that claims the session.
    pub async fn claimed(&mut self) -> Box<Claim> {
        self.coming.recv().await.expect("a sender is kept beside the receiver")
    }

    /// A new token; `used` stays good until [`Claimable::confirm`], every other is void.
    pub fn issue(&mut self, used: Option<TokenHash>) -> ResumeToken {
        let token = ResumeToken::random();
        let mut sessions = self.claims.sessions.write();
        for void in self.tokens.drain(..).filter(|old| Some(*old) != used) {
            sessions.remove(&void);
        }
        self.tokens.extend(used);
        self.tokens.push(token.hash());
        sessions.insert(token.hash(), self.claimed.clone());
        token
    }

    /// The peer has the newest token: the others are void.
    pub fn confirm(&mut self) {
        if self.tokens.len() < 2 {
            return;
        }
        let newest = self.tokens.pop();
        self.forget();
        self.tokens.extend(newest);
    }

    fn forget(&mut self) {
        let mut sessions = self.claims.sessions.write();
        for token in self.tokens.drain(..) {
            sessions.remove(&token);
        }
    }
}

impl Drop for Claimable {
    fn drop(&mut self) {
        self.forget();
    }
}
