//! What waits for one peer, between everybody who has something for it and its response stream. Bounded
//! in messages and bytes, and nobody ever waits for the peer to read: what another peer sends and does not
//! fit is lost and its sender told at once; answers are given only while they fit; of who came and left
//! what nobody read may be overtaken (`queue.rs`). Numbers are given as frames leave. It outlives its response
//! streams: what was sent is kept until it is acknowledged, and the next stream begins with it.

mod queue;
mod retained;

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use patchcord_proto::v1::LeaveReason;
use tokio::{sync::Notify, time::Instant};
use tonic::Status;

use crate::{
    frame::{Frame, Outgoing},
    peer_id::PeerId,
};
use queue::Queue;
use retained::Retained;

pub use retained::Missing;

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
    /// The response stream was dropped: cancelled, or its connection is lost. Another may follow.
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
    /// Whether another stream may follow this one.
    resumable: bool,
    retained: Retained,
    /// The beginning of a stream that follows another: what resumed it, and the number to go on with.
    resumed: Option<Frame>,
    replay_from: Option<u64>,
    /// The stream that is read; earlier ones are over.
    reader: u64,
    /// Where the reader is to go on.
    redirect: Option<(Arc<Outbox>, u64)>,
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

    /// Keeps back what comes until [`Outbox::open`], [`Outbox::attach`] or [`Outbox::release`].
    pub fn hold(&self) {
        self.state.lock().queue.hold();
    }

    /// Drops what was kept back for a join that failed.
    pub fn release(&self) {
        self.state.lock().queue.release();
    }

    /// Starts the session with its first frame; what came meanwhile follows. A `resumable` one outlives its
    /// stream.
    pub fn open(&self, joined: Frame, resumable: bool) {
        let mut state = self.state.lock();
        if state.has_ended() {
            return;
        }
        state.opened = true;
        state.resumable = resumable;
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

    /// The peer has handled this response and all before it. Says no when it cannot have.
    pub fn acknowledge(&self, through: u64) -> bool {
        let mut state = self.state.lock();
        let is_possible = through <= state.retained.sent();
        if is_possible {
            state.retained.acknowledge(through);
        }
        is_possible
    }

    /// What of the unacknowledged cannot be sent again.
    pub fn missing(&self) -> Missing {
        self.state.lock().retained.missing()
    }

    /// The stream is lost, whether or not its reader knows it yet; what comes waits for another.
    pub fn detach(&self) {
        let mut state = self.state.lock();
        state.reader += 1;
        state.reader_gone = true;
        state.full_since = None;
        state.wake();
    }

    /// Begins another stream with `resumed` and all that is kept, in place of any that is open. What is missing
    /// is told by then, and the peer goes on with this roster if anything is. What came since [`Outbox::hold`] follows.
    /// Gives the reader's number.
    pub fn attach(&self, resumed: Frame, roster: Option<&[PeerId]>) -> u64 {
        let mut state = self.state.lock();
        state.reader += 1;
        state.reader_gone = false;
        state.full_since = None;
        state.resumed = Some(resumed);
        state.replay_from = Some(state.retained.oldest());
        state.ack_told = state.ack;
        let again = roster.map(|_| state.retained.told_of()).unwrap_or_default();
        state.queue.go_on(roster, &again);
        state.wake();
        state.reader
    }

    /// Lets the reader of this outbox, which has no session, go on with that of another. When it is gone
    /// already, the other has lost it too.
    pub fn redirect(&self, to: Arc<Outbox>, reader: u64) {
        let mut state = self.state.lock();
        if state.reader_gone {
            drop(state);
            return to.close(reader);
        }
        state.redirect = Some((to, reader));
        state.wake();
    }

    /// Where the reader is to go on, if it is.
    pub fn take_redirect(&self) -> Option<(Arc<Outbox>, u64)> {
        let mut state = self.state.lock();
        let redirect = state.redirect.take()?;
        state.reader_gone = true;
        self.changed.notify_one();
        Some(redirect)
    }

    /// Waits until the response stream is gone. For the same one waiter.
    pub async fn reader_gone(&self) {
        while !self.condition().reader_gone {
            self.changed().await;
        }
    }

    /// The next response, for the response stream with this number. `None` is the end with OK.
    pub fn poll_next(
        &self,
        reader: u64,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Outgoing, Status>>> {
        let mut state = self.state.lock();
        if reader != state.reader {
            return Poll::Ready(Some(Err(Status::aborted("the session goes on with another stream"))));
        }
        if let Some((seq, Frame { body, relayed_at, .. })) = state.take() {
            if state.full_since.take().is_some() {
                self.changed.notify_one();
            }
            state.ack_told = state.ack;
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

    /// The response stream with this number is gone: nothing can be told, until another follows.
    pub fn close(&self, reader: u64) {
        let mut state = self.state.lock();
        if reader != state.reader {
            return;
        }
        state.reader_gone = true;
        if state.has_ended() {
            state.clear();
        }
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
        let is_over = self.reader_gone && !(self.resumable && self.opened);
        self.ending.is_some() || is_over
    }

    /// The next frame and its number.
    fn take(&mut self) -> Option<(u64, Frame)> {
        if let Some(resumed) = self.resumed.take() {
            return Some((0, resumed));
        }
        if let Some(from) = self.replay_from.take() {
            let seq = from.max(self.retained.oldest());
            if let Some(frame) = self.retained.get(seq) {
                self.replay_from = Some(seq + 1);
                return Some((seq, frame.clone()));
            }
        }
        let frame = self.queue.take().or_else(|| self.last.take())?;
        let seq = match frame.numbered && self.opened {
            true => self.retained.send(frame.clone(), self.resumable),
            false => 0,
        };
        Some((seq, frame))
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.retained.clear();
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
