//! The task that keeps a session with the server: over one stream after another, resumed where that is
//! possible and joined again where it is not, until the room or the server ends it.
//!
//! Invariant: what was taken goes out once and in order, or the peer it was for is named as affected.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use patchcord_proto::v1::{
    SignalRequest, SignalResponse,
    signal_request::{self as request, Message},
    signal_response::{self as response, go_away::Action},
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use super::{
    Joined, Observer, SignalingEvent,
    back_off::BackOff,
    ledger::{Ledger, Place},
    stream::{self, Failure, Opening, Server, Stream},
    suspicion::{ANSWER_TIMEOUT, Suspicion},
    wire,
};
use crate::{JoinError, PeerId, endpoint::printable};

/// For one attempt to come back, from the connection to the server's answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// A stream that held this long was no failure.
const HELD_AFTER: Duration = Duration::from_secs(5);

/// What was handled is said after this long, if no request carries it.
const ACKNOWLEDGE_AFTER: Duration = Duration::from_millis(250);

/// A session and the room's ends of it.
pub(super) struct Session {
    pub server: Server,
    /// To be said again when the server has forgotten us; carries the newest display name.
    pub join: request::Join,
    /// Empty when the server does not resume sessions.
    pub resume_token: Bytes,
    pub ledger: Ledger,
    pub requests: mpsc::Receiver<Message>,
    pub events: mpsc::Sender<SignalingEvent>,
    /// The room sees signs that the stream may be dead.
    pub doubts: Arc<Notify>,
    /// The room wants to leave: a stream that ends well is then the end.
    pub leaving: bool,
    /// The server has said when to come back.
    pub return_after: Option<Duration>,
    /// The server waits for a sign that we have the new token.
    pub owes_ack: bool,
    /// Told what is taken and heard; changes nothing.
    pub observer: Box<dyn Observer>,
}

/// Why a stream is no longer attended to.
enum End {
    /// Nobody wants the session any more.
    Abandoned,
    /// Nothing is to follow this.
    Final(Box<SignalingEvent>),
    Lost(String),
}

impl Session {
    /// Keeps the session until it is over.
    pub(super) async fn run(mut self, mut stream: Stream) {
        let mut back_off = BackOff::default();
        loop {
            let since = Instant::now();
            let reason = match self.attend(stream).await {
                End::Abandoned => return,
                End::Final(event) => {
                    // The room may be over.
                    let _ = self.events.send(*event).await;
                    return;
                }
                End::Lost(reason) => reason,
            };
            if since.elapsed() >= HELD_AFTER {
                back_off.reset();
            }
            if self.events.send(SignalingEvent::Away { reason }).await.is_err() {
                return;
            }
            match self.come_back(&mut back_off).await {
                Some(another) => stream = another,
                None => return,
            }
        }
    }

    /// Carries requests and responses until the stream ends. Neither direction waits for the other.
    async fn attend(&mut self, mut stream: Stream) -> End {
        let mut acknowledge_at = None;
        let mut event = None;
        let mut writable = true;
        let mut suspicion = Suspicion::default();
        // A permit lasts longer than a look at the session.
        let events = self.events.clone();
        loop {
            match self.ledger.debt() {
                0 => acknowledge_at = None,
                _ => acknowledge_at = acknowledge_at.or(Some(Instant::now() + ACKNOWLEDGE_AFTER)),
            }
            let overdue = self.owes_ack || acknowledge_at.is_some_and(|at| at <= Instant::now());
            suspicion.advance(Instant::now());
            let has_next = overdue || suspicion.wants_ping() || self.ledger.has_next();
            if event.is_none() {
                let lost = self.ledger.take_lost();
                event = (!lost.is_empty()).then_some(SignalingEvent::Lost(lost));
            }
            tokio::select! {
                // In this order none starves another: what goes out is bounded by what is acknowledged, and what
                // comes in by what the room takes.
                biased;
                permit = stream.requests.reserve(), if writable && has_next => {
                    // When it is closed, the response half tells why.
                    writable = permit.is_ok();
                    if let Ok(permit) = permit {
                        permit.send(self.next(&mut suspicion));
                        self.owes_ack = false;
                    }
                }
                permit = events.reserve(), if event.is_some() => match (permit, event.take()) {
                    (Ok(permit), Some(event)) => permit.send(event),
                    _ => return End::Abandoned,
                },
                response = stream.responses.message(), if event.is_none() => match response {
                    Ok(Some(response)) => {
                        suspicion.heard();
                        match self.hear(response) {
                            Ok(heard) => event = heard,
                            Err(end) => return end,
                        }
                    }
                    Ok(None) if self.leaving => return ended("the server ended the stream"),
                    Ok(None) => return End::Lost("the server ended the stream".into()),
                    Err(status) => return End::Lost(wire::describe(&status)),
                },
                request = self.requests.recv() => match request {
                    Some(request) => self.take(request),
                    None => return End::Abandoned,
                },
                () = sleep_until(acknowledge_at), if !overdue => {}
                () = self.doubts.notified() => suspicion.raise(Instant::now()),
                () = sleep_until(suspicion.due()) => {}
                // Nothing is heard while the room does not take what was said before.
                () = sleep_until(suspicion.deadline()), if event.is_none() => {
                    let seconds = ANSWER_TIMEOUT.as_secs();
                    return End::Lost(format!("the server did not answer within {seconds} s"));
                }
            }
        }
    }

    fn next(&mut self, suspicion: &mut Suspicion) -> SignalRequest {
        if !suspicion.wants_ping() {
            return self.ledger.next();
        }
        suspicion.ping_is_sent();
        // Whatever comes is an answer, so it has no number to be known by.
        self.ledger.unnumbered(Message::Ping(request::Ping { nonce: 0 }))
    }

    fn take(&mut self, request: Message) {
        match &request {
            Message::UpdateProfile(update) => self.join.display_name.clone_from(&update.display_name),
            Message::Leave(_) => self.leaving = true,
            _ => {}
        }
        if !self.ledger.take(request) {
            tracing::warn!("the server does not take what we send; a request is lost");
        } else if let Some((seq, request)) = self.ledger.newest() {
            self.observer.taken(seq, request);
        }
    }

    fn hear(&mut self, response: SignalResponse) -> Result<Option<SignalingEvent>, End> {
        self.observer.heard(&response);
        self.ledger.acknowledged(response.ack);
        match self.ledger.response(response.seq) {
            Place::Next => {}
            Place::Repetition => return Ok(None),
            Place::AfterGap => return Err(End::Lost("a message of the server did not arrive".into())),
        }
        match response.message {
            Some(response::Message::GoAway(away)) => self.go_away(&away).map(|()| None),
            Some(response::Message::Rejected(rejected)) => {
                Ok(Some(wire::parse_rejected(&rejected, |seq| self.ledger.addressee(seq).cloned())))
            }
            Some(message) => Ok(wire::parse(message)),
            None => Ok(None),
        }
    }

    fn go_away(&mut self, away: &response::GoAway) -> Result<(), End> {
        match away.action() {
            Action::Stop => {
                let message = printable(&away.message);
                return Err(End::Final(Box::new(SignalingEvent::Removed { message })));
            }
            Action::Rejoin => self.resume_token.clear(),
            Action::Resume | Action::Unspecified => {}
        }
        self.return_after =
            Some(away.reconnect_after.and_then(|after| after.try_into().ok()).unwrap_or_default());
        Ok(())
    }

    /// Tries until there is a stream again; `None` when nobody wants it any more, or the server never will.
    async fn come_back(&mut self, back_off: &mut BackOff) -> Option<Stream> {
        let mut wait = self.return_after.take().unwrap_or_else(|| back_off.next());
        loop {
            self.meanwhile(tokio::time::sleep(wait)).await?;
            self.events.send(SignalingEvent::Resuming).await.ok()?;
            let join = self.join.clone();
            let display_name = join.display_name.clone();
            let resume = stream::resume(&self.resume_token, self.ledger.handled());
            let attempt = stream::open(self.server.clone(), resume, join);
            let failure = match self.meanwhile(tokio::time::timeout(ATTEMPT_TIMEOUT, attempt)).await? {
                Ok(Ok((stream, opening))) => match self.adopt(opening, display_name) {
                    Some(event) => {
                        self.events.send(event).await.ok()?;
                        return Some(stream);
                    }
                    None => stream::speaks_otherwise(&self.server.url).into(),
                },
                Ok(Err(failure)) => failure,
                Err(_) => {
                    JoinError::Timeout { url: self.server.url.clone(), timeout: ATTEMPT_TIMEOUT }.into()
                }
            };
            let Failure { error, retry_after } = failure;
            let reason = error.to_string();
            let is_final = matches!(error, JoinError::Refused { retryable: false, .. });
            if is_final || matches!(error, JoinError::NotPermitted { .. }) {
                let _ = self.events.send(SignalingEvent::Ended { reason }).await;
                return None;
            }
            self.events.send(SignalingEvent::Away { reason }).await.ok()?;
            wait = back_off.next().max(retry_after);
        }
    }

    /// Waits for something while requests are taken; `None` when nobody makes any more.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(future);
        loop {
            tokio::select! {
                biased;
                output = &mut future => return Some(output),
                request = self.requests.recv() => self.take(request?),
            }
        }
    }

    /// Goes on with what the server has answered; `None` when it makes no sense.
    fn adopt(&mut self, opening: Opening, display_name: String) -> Option<SignalingEvent> {
        match opening {
            Opening::Resumed(resumed) => {
                self.observer.resumed(resumed.last_seq);
                self.ledger.resume(resumed.last_seq, resumed.complete);
                self.resume_token = resumed.resume_token;
                self.owes_ack = true;
                let affected: BTreeSet<_> =
                    resumed.affected_peer_ids.iter().filter_map(|peer_id| PeerId::parse(peer_id)).collect();
                let peers = resumed.peers.into_iter().filter_map(wire::parse_peer).collect();
                Some(SignalingEvent::Resumed { complete: resumed.complete, peers, affected })
            }
            Opening::Joined { seq, joined } => {
                let joined: Joined = wire::parse_joined(joined)?;
                self.observer.joined(&joined.peer_id);
                self.ledger = Ledger::joined(seq);
                self.resume_token = joined.resume_token.clone();
                // Changed while the join was on its way.
                if self.join.display_name != display_name {
                    let display_name = self.join.display_name.clone();
                    self.take(Message::UpdateProfile(request::UpdateProfile { display_name }));
                }
                if self.leaving {
                    self.take(Message::Leave(request::Leave {}));
                }
                Some(SignalingEvent::Rejoined(joined))
            }
        }
    }
}

fn ended(reason: &str) -> End {
    End::Final(Box::new(SignalingEvent::Ended { reason: reason.into() }))
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
