//! Handing events to the user: waits as long as the user may be reading, and only a little once the room
//! is being left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Event;

/// For a user that leaves and still reads; one that does not is waited for only once.
const LEAVING_WAIT: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub(crate) struct EventSender {
    events: mpsc::Sender<Event>,
    leaving: CancellationToken,
    over: CancellationToken,
    abandoned: Arc<AtomicBool>,
}

impl EventSender {
    pub(crate) fn new(
        events: mpsc::Sender<Event>,
        leaving: CancellationToken,
        over: CancellationToken,
    ) -> Self {
        Self { events, leaving, over, abandoned: Arc::default() }
    }

    /// Hands `event` over and says whether that worked. A user that does not read holds up the caller until
    /// the room is left; then, or when the receiver is gone, what does not fit is dropped.
    /// Nothing is handed over once the room is over.
    pub(crate) async fn send(&self, event: Event) -> bool {
        let permit = tokio::select! {
            biased;
            () = self.over.cancelled() => None,
            permit = self.events.reserve() => permit.ok(),
            () = self.given_up() => self.events.try_reserve().ok(),
        };
        permit.map(|permit| permit.send(event)).is_some()
    }

    async fn given_up(&self) {
        self.leaving.cancelled().await;
        if !self.abandoned.load(Relaxed) {
            tokio::time::sleep(LEAVING_WAIT).await;
            self.abandoned.store(true, Relaxed);
        }
    }
}
