//! Leaving a room: as long as the links need to deliver, but not for ever.

use std::time::Duration;

use patchcord_proto::v1::signal_request as request;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

use super::{LINKS_END_TIMEOUT, Mesh, Step};
use crate::{Departure, link::Command, signaling::SignalingEvent};

/// For the server to end the stream after our Leave.
const LEAVE_ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Leaving takes as long as the links need to deliver, or until the deadline.
pub(super) struct Leaving {
    pub reply: oneshot::Sender<Departure>,
    pub deadline: Instant,
    pub collected: JoinHandle<Departure>,
}

impl Mesh {
    pub(super) fn leave(&mut self, reply: oneshot::Sender<Departure>) {
        self.context.leaving.cancel();
        let mut waiting = Vec::new();
        for (peer_id, member) in &self.members {
            let (left_tx, left) = oneshot::channel();
            if member.link.commands.try_send(Command::Leave(left_tx)).is_ok() {
                waiting.push((peer_id.clone(), left));
            }
        }
        let deadline = Instant::now() + self.config.leave_timeout;
        let at_last = deadline + LINKS_END_TIMEOUT;
        let collected = tokio::spawn(async move {
            let mut departure = Departure::default();
            for (peer_id, left) in waiting {
                // A link that does not even end has nothing to say.
                let left = tokio::time::timeout_at(at_last, left).await;
                let message_ids = left.ok().and_then(Result::ok).unwrap_or_default();
                departure.undelivered.extend(message_ids.into_iter().map(|id| (id, peer_id.clone())));
            }
            departure
        });
        self.leaving = Some(Leaving { reply, deadline, collected });
    }

    /// Says Leave and waits a little for the server to end the stream, so that it was heard.
    pub(super) async fn say_leave(&mut self, responses: &mut mpsc::Receiver<SignalingEvent>) {
        self.request(request::Message::Leave(request::Leave {}));
        if self.signaling.is_some() {
            let ended = async {
                while let Some(event) = responses.recv().await {
                    if matches!(event, SignalingEvent::Ended { .. }) {
                        break;
                    }
                }
            };
            // A server that does not answer notices the closed stream by itself.
            let _ = tokio::time::timeout(LEAVE_ANSWER_TIMEOUT, ended).await;
        }
    }
}

pub(super) async fn next_of_leaving(leaving: &mut Option<Leaving>) -> Step {
    let Some(leaving) = leaving else { return std::future::pending().await };
    tokio::select! {
        departure = &mut leaving.collected => Step::Departed(departure.unwrap_or_default()),
        () = tokio::time::sleep_until(leaving.deadline) => {
            // Again if the links do not even end.
            leaving.deadline += LINKS_END_TIMEOUT;
            Step::LeaveDeadline
        }
    }
}
