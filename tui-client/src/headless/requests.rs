//! What the input asks of the room: one request at a time, beside the events, so that neither waits for
//! the other in a circle. A text that finds its receiver's queue full waits while the queue moves.

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc, time::Duration};

use patchcord_peer::{ConnectionReport, Event, MessageId, PeerId, Recipients, Room, SendError, TextKind};
use tokio::{sync::Notify, time::timeout};

use crate::identity::{Decision, Outcome, Trust};

/// How long a full queue may stand still before the text is refused.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);

/// One request. `T` is what a face recognises its text by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request<T> {
    /// Say something.
    Send {
        /// Comes back in the answer.
        ticket: T,
        /// For whom.
        to: Recipients,
        /// How to show it.
        kind: TextKind,
        /// What.
        text: String,
    },
    /// Begin to connect.
    Connect {
        /// With whom.
        peer_id: PeerId,
    },
    /// Be shown under another name.
    Rename {
        /// Which.
        name: String,
    },
    /// Carry out what was decided about a peer.
    Decide {
        /// About whom.
        peer_id: PeerId,
        /// What.
        decision: Decision,
    },
    /// Tell the connections.
    FetchConnections,
    /// Deliver what is queued and leave.
    Leave,
}

/// The answer to a request; there is none to [`Request::Leave`].
#[derive(Debug)]
pub(crate) enum Answer<T> {
    /// A text was taken or refused.
    Sent {
        /// As given.
        ticket: T,
        /// The id that receipts name.
        result: Result<MessageId, SendError>,
    },
    /// Connecting has begun or was refused.
    Connecting {
        /// With whom.
        peer_id: PeerId,
        /// Whether it has begun.
        result: Result<(), SendError>,
    },
    /// The name is taken or was refused.
    Renamed {
        /// Which.
        name: String,
        /// Whether it was taken.
        result: Result<(), SendError>,
    },
    /// A decision is carried out.
    Decided {
        /// About whom.
        peer_id: PeerId,
        /// What, and about what it showed then.
        decision: Decision,
        /// What came of it.
        result: Result<Outcome, SendError>,
    },
    /// The connections as they are now.
    Connections(Vec<ConnectionReport>),
}

type Running<T> = Pin<Box<dyn Future<Output = Answer<T>>>>;

/// The requests that are not yet answered.
pub(super) struct Requests<T> {
    room: Room,
    trust: Trust,
    /// Of one line of input: no further line is read before they are answered.
    waiting: VecDeque<Request<T>>,
    running: Option<Running<T>>,
    last_id: MessageId,
    /// Receipts of the text that is being sent, which came before its answer: of one text only.
    overtaking: Vec<Event>,
    queue_moved: Arc<Notify>,
}

impl<T: 'static> Requests<T> {
    pub(super) fn new(room: Room, trust: Trust) -> Self {
        Self {
            room,
            trust,
            waiting: VecDeque::new(),
            running: None,
            last_id: MessageId(0),
            overtaking: Vec::new(),
            queue_moved: Arc::default(),
        }
    }

    /// Takes what a line asks for; true when it asks to leave, and what comes after that is moot.
    pub(super) fn take(&mut self, requests: Vec<Request<T>>) -> bool {
        let count = requests.len();
        self.waiting.extend(requests.into_iter().take_while(|request| !matches!(request, Request::Leave)));
        let leaves = self.waiting.len() < count;
        self.start_next();
        leaves
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none()
    }

    /// The next answer, then the receipts that overtook it. Cancel-safe; never ends while idle.
    pub(super) async fn answer(&mut self) -> (Answer<T>, Vec<Event>) {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let answer = running.await;
        if let Answer::Sent { result: Ok(id), .. } = &answer {
            self.last_id = *id;
        }
        self.running = None;
        self.start_next();
        (answer, std::mem::take(&mut self.overtaking))
    }

    /// Takes in that a receipt came; hands it back unless it has to wait for its answer.
    pub(super) fn receipt(&mut self, event: Event) -> Option<Event> {
        match &event {
            Event::Receipt { message_id, .. } if self.running.is_some() && *message_id > self.last_id => {
                self.overtaking.push(event);
                None
            }
            _ => {
                self.queue_moved.notify_one();
                Some(event)
            }
        }
    }

    fn start_next(&mut self) {
        if self.running.is_none() {
            let queue_moved = Arc::clone(&self.queue_moved);
            let (room, trust) = (self.room.clone(), self.trust.clone());
            self.running =
                self.waiting.pop_front().map(|request| carry_out(request, room, trust, queue_moved));
        }
    }
}

fn carry_out<T: 'static>(
    request: Request<T>,
    room: Room,
    trust: Trust,
    queue_moved: Arc<Notify>,
) -> Running<T> {
    Box::pin(async move {
        match request {
            Request::Send { ticket, to, kind, text } => {
                Answer::Sent { ticket, result: send(&room, &to, kind, &text, &queue_moved).await }
            }
            Request::Connect { peer_id } => {
                Answer::Connecting { result: room.connect(peer_id.clone()).await, peer_id }
            }
            Request::Rename { name } => {
                Answer::Renamed { result: room.set_display_name(name.clone()).await, name }
            }
            Request::Decide { peer_id, decision } => {
                let result = trust.decide(&room, peer_id.clone(), &decision).await;
                Answer::Decided { peer_id, decision, result }
            }
            Request::FetchConnections => Answer::Connections(room.connections().await),
            Request::Leave => std::future::pending().await,
        }
    })
}

async fn send(
    room: &Room,
    to: &Recipients,
    kind: TextKind,
    text: &str,
    queue_moved: &Notify,
) -> Result<MessageId, SendError> {
    loop {
        match room.send(to.clone(), kind, text).await {
            Err(SendError::QueueFull { peer_id }) => {
                if timeout(QUEUE_TIMEOUT, queue_moved.notified()).await.is_err() {
                    return Err(SendError::QueueFull { peer_id });
                }
            }
            result => return result,
        }
    }
}
