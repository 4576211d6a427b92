//! A session without a screen: lines in, lines out, in order to the end. What nobody reads is never held
//! in memory: an output that blocks holds up the room, and the room holds up those that write to it.

mod deliveries;
mod ending;
mod lines;
mod outbox;
mod parting;
mod requests;

use std::time::Duration;

use patchcord_peer::{EndReason, Event, MessageId, PeerId, Room, RoomInfo};
use tokio::{
    io::{AsyncBufRead, BufReader, Stderr, Stdin, Stdout},
    time::{Instant, sleep},
};

pub(crate) use ending::{Ending, Signals};
pub(crate) use lines::{LINE_BYTES_MAX, Line, Lines};
pub(crate) use outbox::Printed;
pub(crate) use requests::{Answer, Request};

use crate::{exit::Exit, identity::Trust, room_events::Events};
use deliveries::Deliveries;
use outbox::Outbox;
use parting::Parting;
use requests::Requests;

/// For the last lines after a signal.
const SIGNAL_WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of output that are gathered from events at hand before they are written.
const BATCH_BYTES: usize = 64 * 1024;

/// How a session looks from outside: plain lines or JSON.
pub(crate) trait Face {
    /// What it recognises a text by when the text is taken or refused.
    type Ticket: 'static;

    /// The room is joined.
    fn joined(&mut self, info: &RoomInfo, printed: &mut Printed);
    /// Something happened.
    fn event(&mut self, event: Event, printed: &mut Printed);
    /// Somebody wrote a line. `None`: nothing can be made of it, and that is said.
    fn line(&mut self, line: Line, printed: &mut Printed) -> Option<Vec<Request<Self::Ticket>>>;
    /// A request is carried out or refused.
    fn answer(&mut self, answer: Answer<Self::Ticket>, printed: &mut Printed);
    /// When [`Face::timer`] is due, if it is.
    fn deadline(&self) -> Option<Instant> {
        None
    }
    /// The deadline has come.
    fn timer(&mut self, _: &mut Printed) {}
    /// No line is read any more; what happens from now on belongs to leaving.
    fn leaving(&mut self, printed: &mut Printed);
    /// The last that is said. `undelivered` lists who lacks which of our texts.
    fn ended(&mut self, ending: &Ending, undelivered: &[(MessageId, PeerId)], printed: &mut Printed);
}

/// A joined room, its events and the way it looks.
pub(crate) struct Session<F: Face> {
    face: F,
    room: Room,
    events: Events,
    requests: Requests<F::Ticket>,
    deliveries: Deliveries,
    outbox: Outbox<Stdout, Stderr>,
}

impl<F: Face> Session<F> {
    /// `every_failure_counts`: what is refused or fails decides the exit code although the session goes on after
    /// it, because nobody sits there to try again.
    pub(crate) fn new(face: F, room: Room, events: Events, trust: Trust, every_failure_counts: bool) -> Self {
        Self {
            face,
            requests: Requests::new(room.clone(), trust),
            room,
            events,
            deliveries: Deliveries::new(every_failure_counts),
            outbox: Outbox::new(tokio::io::stdout(), tokio::io::stderr()),
        }
    }

    /// Runs to the end.
    pub(crate) async fn run(mut self, mut signals: Signals) -> Exit {
        let mut lines = Lines::new(BufReader::<Stdin>::new(tokio::io::stdin()));
        self.face.joined(self.room.info(), self.outbox.printed());
        let ending = tokio::select! {
            ending = signals.next() => ending,
            ending = self.talk(&mut lines) => ending,
        };
        self.deliveries.input_ended();
        let over = matches!(ending, Ending::Removed { .. } | Ending::Broken);
        let ending = if over { ending } else { self.part(ending, &mut signals).await };
        self.face.ended(&ending, &self.deliveries.undelivered(), self.outbox.printed());
        let hurry = ending.is_signal();
        let written = tokio::select! {
            // Nothing can be done about an output that is closed by now.
            _ = self.outbox.write() => None,
            () = sleep(SIGNAL_WRITE_TIMEOUT), if hurry => None,
            signal = signals.next() => Some(signal),
        };
        written.unwrap_or(ending).exit(self.deliveries.complete())
    }

    /// Leaves for the reason that is given, and says which one it was in the end.
    async fn part(&mut self, ending: Ending, signals: &mut Signals) -> Ending {
        let mut parting = Parting::begin(ending, Instant::now());
        let mut leaving = std::pin::pin!(self.leave());
        loop {
            tokio::select! {
                last = &mut leaving => return parting.left(last),
                () = sleep_until(parting.deadline()) => return parting.given_up(),
                signal = signals.next() => if parting.is_cut_short(signal, Instant::now()) {
                    return parting.given_up();
                }
            }
        }
    }

    /// Until there is a reason to end. Nothing is read while output waits.
    async fn talk(&mut self, lines: &mut Lines<impl AsyncBufRead + Unpin>) -> Ending {
        loop {
            if self.outbox.write().await.is_err() {
                return Ending::OutputClosed;
            }
            let ending = tokio::select! {
                event = self.events.recv() => self.events_at_hand(event),
                (answer, receipts) = self.requests.answer() => {
                    self.answered(answer, receipts);
                    None
                }
                () = sleep_until(self.face.deadline()) => {
                    self.face.timer(self.outbox.printed());
                    None
                }
                line = lines.next(), if self.requests.is_idle() => match line {
                    // An input that breaks has ended.
                    Ok(Line::End) | Err(_) => Some(Ending::Left),
                    Ok(line) => {
                        let requests = self.face.line(line, self.outbox.printed());
                        if requests.is_none() {
                            self.deliveries.refuse();
                        }
                        self.requests.take(requests.unwrap_or_default()).then_some(Ending::Left)
                    }
                },
            };
            if let Some(ending) = ending {
                return ending;
            }
        }
    }

    /// Delivers what is queued and leaves, while what still happens is shown; says how the room ended.
    async fn leave(&mut self) -> Ending {
        self.face.leaving(self.outbox.printed());
        let room = self.room.clone();
        let mut leaving = std::pin::pin!(room.leave());
        let mut left = false;
        loop {
            let ended = tokio::select! {
                departure = &mut leaving, if !left => {
                    left = true;
                    self.deliveries.departed(departure);
                    None
                }
                // A closed output is of no interest any more: what was printed is dropped.
                _ = self.outbox.write(), if !self.outbox.is_empty() => None,
                event = self.events.recv(), if self.outbox.is_empty() => self.events_at_hand(event),
                (answer, receipts) = self.requests.answer() => {
                    self.answered(answer, receipts);
                    None
                }
            };
            if let Some(ending) = ended {
                return ending;
            }
        }
    }

    /// Handles `event` and those that are there already.
    fn events_at_hand(&mut self, event: Option<Event>) -> Option<Ending> {
        let Some(mut event) = event else { return Some(Ending::Broken) };
        loop {
            if let Some(ending) = self.event(event) {
                return Some(ending);
            }
            if self.outbox.printed().bytes() > BATCH_BYTES {
                return None;
            }
            event = self.events.try_recv()?;
        }
    }

    fn event(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Ended(EndReason::Left) => return Some(Ending::Left),
            Event::Ended(EndReason::Removed { message }) => return Some(Ending::Removed { message }),
            Event::Receipt { message_id, ref peer_id, state } => {
                self.deliveries.record(message_id, peer_id, state);
                if let Some(receipt) = self.requests.receipt(event) {
                    self.face.event(receipt, self.outbox.printed());
                }
            }
            event => self.face.event(event, self.outbox.printed()),
        }
        None
    }

    fn answered(&mut self, answer: Answer<F::Ticket>, receipts: Vec<Event>) {
        if matches!(answer, Answer::Sent { result: Err(_), .. }) {
            self.deliveries.refuse();
        }
        self.face.answer(answer, self.outbox.printed());
        for receipt in receipts {
            self.face.event(receipt, self.outbox.printed());
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
