//! The end of a server: doors close one after the other, what is open ends by itself or is cut, all within 5 seconds.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{CUT_TIMEOUT, DRAIN_TIMEOUT},
    error::ServeError,
};

/// The steps of an end.
#[derive(Default)]
pub struct Stopping {
    /// The public door closes.
    pub public: CancellationToken,
    /// The admin door closes.
    pub admin: CancellationToken,
    /// What is still open is cut.
    pub cut: CancellationToken,
}

impl Stopping {
    /// Closes the public door and, once it is closed, the admin door: until then that tells whoever asks that
    /// the server is not ready. What does not end by itself is cut.
    pub async fn stop(
        &self,
        public: impl Future<Output = Result<(), ServeError>>,
        admin: impl Future<Output = Result<(), ServeError>>,
    ) -> Result<(), ServeError> {
        self.public.cancel();
        let public = async {
            let outcome = self.end(public, DRAIN_TIMEOUT).await;
            self.admin.cancel();
            outcome
        };
        let admin = async {
            tokio::pin!(admin);
            tokio::select! {
                biased;
                outcome = &mut admin => outcome,
                () = self.admin.cancelled() => self.end(admin, CUT_TIMEOUT).await,
            }
        };
        tokio::try_join!(public, admin).map(drop)
    }

    /// Lets connections end by themselves, then cuts all that are left.
    async fn end(
        &self,
        door: impl Future<Output = Result<(), ServeError>>,
        patience: Duration,
    ) -> Result<(), ServeError> {
        tokio::pin!(door);
        if let Ok(outcome) = timeout(patience, &mut door).await {
            return outcome;
        }
        self.cut.cancel();
        // Beyond this a connection is stuck in a way that no wait heals.
        timeout(CUT_TIMEOUT, door).await.unwrap_or(Ok(()))
    }
}
