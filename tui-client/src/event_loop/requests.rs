//! Carries requests to the room, in order, beside the loop: the room may wait for its events to be read, and
//! the loop must go on reading them.

use patchcord_peer::Room;
use tokio::{
    sync::mpsc::{self, OwnedPermit},
    task::JoinHandle,
};

use crate::{
    app::{AppEvent, Effect, RequestError},
    identity::Trust,
};

/// Requests that wait for the room; one more is refused with [`RequestError::Busy`].
const QUEUE_MAX: usize = 256;

/// The way to the room and back.
#[derive(Debug)]
pub struct Requests {
    room: Room,
    queue: mpsc::Sender<Effect>,
    /// Kept free from the start: leaving is never refused.
    leave: Option<OwnedPermit<Effect>>,
    answers: mpsc::Receiver<AppEvent>,
    task: JoinHandle<()>,
}

impl Requests {
    /// To that room.
    pub fn start(room: Room, trust: Trust) -> Self {
        let (queue, mut requests) = mpsc::channel(QUEUE_MAX + 1);
        let (answer, answers) = mpsc::channel(QUEUE_MAX);
        let leave = queue.clone().try_reserve_owned().ok();
        let carrier = room.clone();
        let task = tokio::spawn(async move {
            while let Some(effect) = requests.recv().await {
                let answered = carry_out(carrier.clone(), &trust, effect).await;
                if let Some(event) = answered
                    && answer.send(event).await.is_err()
                {
                    return;
                }
            }
        });
        Self { room, queue, leave, answers, task }
    }

    /// Gives a request on its way; what comes back at once is a refusal.
    pub fn submit(&mut self, effect: Effect) -> Option<AppEvent> {
        match effect {
            Effect::Typing { active } => self.room.set_typing(active),
            Effect::Leave => drop(self.leave.take().map(|permit| permit.send(Effect::Leave))),
            effect => return self.queue.try_send(effect).err().and_then(|full| busy(full.into_inner())),
        }
        None
    }

    /// The next answer. Cancel-safe.
    pub async fn answer(&mut self) -> AppEvent {
        match self.answers.recv().await {
            Some(answer) => answer,
            // The carrier panicked; the loop's other arms go on.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry_out(room: Room, trust: &Trust, effect: Effect) -> Option<AppEvent> {
    Some(match effect {
        Effect::Send { entry, to, kind, text } => {
            AppEvent::Sent { entry, result: room.send(to, kind, text).await.map_err(RequestError::from) }
        }
        Effect::Connect { peer_id } => {
            let result = room.connect(peer_id.clone()).await.map_err(RequestError::from);
            AppEvent::Connecting { peer_id, result }
        }
        Effect::SetDisplayName { name } => {
            let result = room.set_display_name(name.clone()).await.map_err(RequestError::from);
            AppEvent::Renamed { name, result }
        }
        Effect::Decide { peer_id, decision } => {
            let result = trust.decide(&room, peer_id.clone(), &decision).await.map_err(RequestError::from);
            AppEvent::Decided { peer_id, decision, result }
        }
        Effect::FetchConnections => AppEvent::Connections(room.connections().await),
        Effect::Leave => AppEvent::Departed(room.leave().await),
        Effect::Typing { .. } | Effect::Quit | Effect::Bell | Effect::Suspend | Effect::Repaint => {
            return None;
        }
    })
}

/// The refusal of a request; one that nobody waits for has none.
fn busy(effect: Effect) -> Option<AppEvent> {
    Some(match effect {
        Effect::Send { entry, .. } => AppEvent::Sent { entry, result: Err(RequestError::Busy) },
        Effect::Connect { peer_id } => AppEvent::Connecting { peer_id, result: Err(RequestError::Busy) },
        Effect::SetDisplayName { name } => AppEvent::Renamed { name, result: Err(RequestError::Busy) },
        Effect::Decide { peer_id, decision } => {
            AppEvent::Decided { peer_id, decision, result: Err(RequestError::Busy) }
        }
        Effect::FetchConnections
        | Effect::Leave
        | Effect::Typing { .. }
        | Effect::Quit
        | Effect::Bell
        | Effect::Suspend
        | Effect::Repaint => return None,
    })
}

#[cfg(test)]
mod tests {
    use patchcord_peer::{PeerId, Recipients, TextKind};

    use super::*;
    use crate::{app::Transcript, identity::Decision};

    #[test]
    fn whatever_the_user_asked_for_and_is_not_taken_is_answered() {
        let peer_id = PeerId::parse("bbbb1111").unwrap();
        let (entry, kind) = (Transcript::default().next_id(), TextKind::Plain);
        for effect in [
            Effect::Send { entry, to: Recipients::Everybody, kind, text: "hello".into() },
            Effect::Connect { peer_id: peer_id.clone() },
            Effect::SetDisplayName { name: "bo".into() },
            Effect::Decide { peer_id, decision: Decision::Refuse },
        ] {
            let asked = format!("{effect:?}");
            let answer = busy(effect).map(|event| format!("{event:?}"));
            assert!(answer.is_some_and(|answer| answer.contains("Err(Busy)")), "{asked}");
        }
    }
}
