//! What somebody was let in with, for streams: they go on for longer than what let them in may be good.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use super::AdminAuth;
use crate::config::{PASS_CHECK_INTERVAL, Secret};

/// What somebody was let in with.
#[derive(Clone)]
pub struct Pass {
    auth: Arc<AdminAuth>,
    /// `None` where no key was asked for.
    bearer: Option<Secret>,
}

impl Pass {
    /// What has just let somebody in.
    pub fn new(auth: Arc<AdminAuth>, bearer: Option<&str>) -> Self {
        Self { auth, bearer: bearer.map(|bearer| bearer.to_owned().into()) }
    }

    /// Returns when it would no longer let in: the key was taken out, or the token has expired or was revoked.
    pub async fn void(&self) {
        let mut looks = interval(PASS_CHECK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.is_good() {
            looks.tick().await;
        }
    }

    fn is_good(&self) -> bool {
        let knows = |bearer: &Secret| self.auth.knows(bearer.reveal());
        !self.auth.asks_for_key() || self.bearer.as_ref().is_some_and(knows)
    }
}
