//! Whether a connection still does its part: its preface comes in time, and after that something comes
//! every now and then, because pings ask for it. The protocols above cannot enforce either: one has not
//! begun, and the other waits for its last words to be read.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::{IDLE_GRACE, IDLE_TIMEOUT, PREFACE_TIMEOUT};

/// The preface of HTTP/2 and the header of the SETTINGS frame that follows (RFC 9113 section 3.4).
const PREFACE_BYTES: usize = 24 + 9;

/// Why a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// The preface did not come in time.
    Preface,
    /// Nothing came for longer than pings leave unanswered.
    Idle,
}

impl Overdue {
    /// For metrics and errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preface => "preface_timeout",
            Self::Idle => "idle_timeout",
        }
    }
}

/// The clock of one connection.
pub struct Liveness {
    preface_missing: usize,
    since: Instant,
    /// The idle timeout has passed: what does not come now never will.
    in_grace: bool,
    timer: Pin<Box<Sleep>>,
}

impl Liveness {
    /// A connection that has just been accepted.
    pub fn new(now: Instant) -> Self {
        let timer = Box::pin(sleep_until(now + PREFACE_TIMEOUT));
        Self { preface_missing: PREFACE_BYTES, since: now, in_grace: false, timer }
    }

    /// So much of what is spoken was received.
    pub fn note_received(&mut self, bytes: usize, now: Instant) {
        self.preface_missing = self.preface_missing.saturating_sub(bytes);
        self.note_sign_of_life(now);
    }

    /// Something was received. Before the preface is whole that buys no time: a handshake of TLS is as long as
    /// somebody likes.
    pub fn note_sign_of_life(&mut self, now: Instant) {
        if self.preface_missing == 0 {
            self.since = now;
            self.in_grace = false;
        }
    }

    /// Ready when the connection is overdue. To be asked only when there is nothing to receive: what has come
    /// already is not late.
    pub fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<Overdue> {
        loop {
            std::task::ready!(self.timer.as_mut().poll(context));
            match self.next_deadline(Instant::now()) {
                Ok(deadline) => self.timer.as_mut().reset(deadline),
                Err(overdue) => return Poll::Ready(overdue),
            }
        }
    }

    /// Asked only when the timer has fired, so that receiving costs nothing.
    fn next_deadline(&mut self, now: Instant) -> Result<Instant, Overdue> {
        if self.preface_missing > 0 {
            let deadline = self.since + PREFACE_TIMEOUT;
            return if deadline <= now { Err(Overdue::Preface) } else { Ok(deadline) };
        }
        if self.in_grace {
            return Err(Overdue::Idle);
        }
        let deadline = self.since + IDLE_TIMEOUT;
        if deadline > now {
            return Ok(deadline);
        }
        // Counted from now: when this process itself stood still, what was sent meanwhile has yet to come.
        self.in_grace = true;
        Ok(now + IDLE_GRACE)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::time::advance;

    use super::*;

    async fn overdue(liveness: &mut Liveness) -> Overdue {
        poll_fn(|context| liveness.poll_overdue(context)).await
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_overdue_after_the_preface_timeout() {
        let start = Instant::now();
        assert_eq!(overdue(&mut Liveness::new(start)).await, Overdue::Preface);
        assert_eq!(start.elapsed(), PREFACE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_preface_that_drips_buys_no_time() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        for _ in 0..PREFACE_BYTES - 1 {
            advance(Duration::from_millis(100)).await;
            liveness.note_received(1, Instant::now());
        }
        assert_eq!(overdue(&mut liveness).await, Overdue::Preface);
        assert_eq!(start.elapsed(), PREFACE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_preface_each_byte_buys_time() {
        let mut liveness = Liveness::new(Instant::now());
        liveness.note_received(PREFACE_BYTES, Instant::now());
        for _ in 0..10 {
            advance(IDLE_TIMEOUT + IDLE_GRACE / 2).await;
            let polled = poll_fn(|context| Poll::Ready(liveness.poll_overdue(context))).await;
            assert!(polled.is_pending());
            liveness.note_received(1, Instant::now());
        }
        let last = Instant::now();
        assert_eq!(overdue(&mut liveness).await, Overdue::Idle);
        assert_eq!(last.elapsed(), IDLE_TIMEOUT + IDLE_GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_standstill_there_is_time_to_receive() {
        let mut liveness = Liveness::new(Instant::now());
        liveness.note_received(PREFACE_BYTES, Instant::now());
        advance(Duration::from_secs(3600)).await;
        let resumed = Instant::now();
        assert_eq!(overdue(&mut liveness).await, Overdue::Idle);
        assert_eq!(resumed.elapsed(), IDLE_GRACE);
    }
}
