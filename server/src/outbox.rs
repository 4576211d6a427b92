//! What waits for one peer, between everybody who has something for it and its response stream. Bounded
//! in messages and bytes, and nobody ever waits for the peer to read: what another peer sends and does not
//! fit is lost and its sender told at once; answers are given only while they fit; of who came and left
//! what nobody read may be overtaken (`queue.rs`). Numbers are given as frames leave.

mod queue;

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use patchcord_proto::v1::LeaveReason;
use tokio::{sync::Notify, time::Instant};
use tonic::Status;

use crate::frame::{Frame, Outgoing};
use queue::Queue;

/// Why something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// No room: the peer does not read fast enough.
    Full,
    /// The stream is ending or gone.
    Ended,
}

/// How a stream ends.
#[derive(Clone, Debug)]
pub struct Ending {
    /// What the others are told.
    pub reason: LeaveReason,
    /// What the peer is told; `None` is OK.
    pub status: Option<Status>,
}

/// What the session's own loop has to know.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// Set once the stream ends.
    pub ended: Option<LeaveReason>,
    /// The response stream was dropped: cancelled, or its connection is lost.
    pub reader_gone: bool,
    /// Since when nothing was read although the outbox is full.
    pub full_since: Option<Instant>,
}

#[derive(Default)]
struct State {
    queue: Queue,
    /// Sent after all that waits.
    last: Option<Frame>,
    /// Set by `open`: from then on frames are numbered.
    opened: bool,
    seq: u64,
    ack: u64,
    ack_told: u64,
    full_since: Option<Instant>,
    ending: Option<Ending>,
    reader_gone: bool,
    waker: Option<Waker>,
}

/// The queue between everybody who has something for a peer and the peer's response stream.
#[derive(Default)]
pub struct Outbox {
    state: Mutex<State>,
    changed: Notify,
}

impl Outbox {
    /// An empty outbox.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Puts in what another peer sends. When full the sender is told and the message is lost.
    pub fn push_relayed(&self, frame: Frame) -> Result<(), NotTaken> {
        let mut state = self.state.lock();
        if state.has_ended() {
            return Err(NotTaken::Ended);
        }
        if !state.queue.fits(&frame) {
            self.mark_full(&mut state);
            return Err(NotTaken::Full);
        }
        self.put(&mut state, frame);
        Ok(())
    }

    /// Puts in what must not be lost: news of a peer, or an answer to a request that was read when
    /// [`Outbox::has_room`] said so. Dropped when the stream is ending, for then nobody asks.
    pub fn push(&self, frame: Frame) {
        let mut state = self.state.lock();
        if !state.has_ended() {
            self.put(&mut state, frame);
        }
    }

    /// Puts in a bare acknowledgement, unless something else waits that will carry it.
    pub fn push_ack(&self) {
        let mut state = self.state.lock();
        if !state.has_ended() && state.queue.is_empty() && state.ack != state.ack_told {
            self.put(&mut state, Frame::bare_ack());
        }
    }

    /// Whether the peer may be given one more answer; if not, the time it does not read starts to count.
    pub fn has_room(&self) -> bool {
        let mut state = self.state.lock();
        let has_room = state.queue.has_room();
        if !has_room && state.full_since.is_none() {
            state.full_since = Some(Instant::now());
        }
        has_room
    }

    /// Keeps back what comes until [`Outbox::open`] or [`Outbox::release`].
    pub fn hold(&self) {
        self.state.lock().queue.hold();
    }

    /// Drops what was kept back for a join that failed.
    pub fn release(&self) {
        self.state.lock().queue.release();
    }

    /// Starts the session with its first frame; what came meanwhile follows.
    pub fn open(&self, joined: Frame) {
        let mut state = self.state.lock();
        if state.has_ended() {
            return;
        }
        state.opened = true;
        state.queue.open(joined);
        state.wake();
    }

    /// Ends the stream after what waits and `last`, if it has not ended. A peer that is too slow gets
    /// neither.
    pub fn end(&self, ending: Ending, last: Option<Frame>) {
        let mut state = self.state.lock();
        self.end_locked(&mut state, ending, last);
    }

    /// Ends the stream of a peer that did not read.
    pub fn end_too_slow(&self) {
        self.end(too_slow(), None);
    }

    /// The last request that was carried out or rejected.
    pub fn set_ack(&self, ack: u64) {
        let mut state = self.state.lock();
        if ack < state.ack_told {
            // A new attempt to join counts from the start again.
            state.ack_told = 0;
        }
        state.ack = ack;
    }

    /// How many numbered requests the peer does not yet know to be done.
    pub fn ack_debt(&self) -> u64 {
        let state = self.state.lock();
        state.ack - state.ack_told
    }

    /// What the session's loop has to know now.
    pub fn condition(&self) -> Condition {
        let state = self.state.lock();
        let ended = state.ending.as_ref().map(|ending| ending.reason);
        Condition { ended, reader_gone: state.reader_gone, full_since: state.full_since }
    }

    /// Waits until the condition may have changed. For one waiter: the session's loop.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits until the response stream is gone. For the same one waiter.
    pub async fn reader_gone(&self) {
        while !self.condition().reader_gone {
            self.changed().await;
        }
    }

    /// The next response, for the response stream. `None` is the end with OK.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<Outgoing, Status>>> {
        let mut state = self.state.lock();
        if let Some(frame) = state.queue.take().or_else(|| state.last.take()) {
            if state.full_since.take().is_some() {
                self.changed.notify_one();
            }
            if frame.numbered && state.opened {
                state.seq += 1;
            }
            let seq = if frame.numbered && state.opened { state.seq } else { 0 };
            state.ack_told = state.ack;
            let Frame { body, relayed_at, .. } = frame;
            return Poll::Ready(Some(Ok(Outgoing { seq, ack: state.ack, body, relayed_at })));
        }
        match &state.ending {
            Some(Ending { status: Some(status), .. }) => Poll::Ready(Some(Err(status.clone()))),
            Some(Ending { status: None, .. }) => Poll::Ready(None),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The response stream is gone: nothing can be told any more.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.reader_gone = true;
        state.clear();
        self.changed.notify_one();
    }

    /// Nobody sees to this stream any more: what waits is dropped, and if nobody ended it, it failed.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        let status = Status::internal("the session failed");
        self.end_locked(&mut state, Ending { reason: LeaveReason::Disconnected, status: Some(status) }, None);
        state.clear();
    }

    fn put(&self, state: &mut State, frame: Frame) {
        let made_room = state.queue.put(frame);
        // Then it is no longer full, as if something had been read.
        if made_room && state.full_since.take().is_some() {
            self.changed.notify_one();
        }
        state.wake();
    }

    fn mark_full(&self, state: &mut State) {
        if state.full_since.is_none() {
            state.full_since = Some(Instant::now());
            self.changed.notify_one();
        }
    }

    fn end_locked(&self, state: &mut State, ending: Ending, last: Option<Frame>) {
        if state.has_ended() {
            return;
        }
        if ending.reason == LeaveReason::TooSlow {
            state.clear();
        }
        state.last = last;
        state.ending = Some(ending);
        state.wake();
        self.changed.notify_one();
    }
}

impl State {
    fn has_ended(&self) -> bool {
        self.ending.is_some() || self.reader_gone
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.last = None;
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

fn too_slow() -> Ending {
    let status = Status::resource_exhausted("the peer did not read what it was sent");
    Ending { reason: LeaveReason::TooSlow, status: Some(status) }
}

#[cfg(test)]
mod tests;
