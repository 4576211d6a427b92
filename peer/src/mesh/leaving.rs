//! Leaving a room: as long as the links need to deliver, but not for ever.

use std::time::Duration;

use patchcord_proto::v1::signal_request as request;
use tokio::{sync::mpsc, time::Instant};

use super::{LINKS_END_TIMEOUT, Mesh, Step};
use crate::{EndReason, link::Command, signaling::SignalingEvent};

/// For the server to end the stream after our Leave.
const LEAVE_ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Until when the links may deliver.
pub(super) struct Leaving {
    deadline: Instant,
    /// The deadline has passed and the links were let go.
    let_go: bool,
}

impl Mesh {
    pub(super) fn leave(&mut self) {
        self.context.leaving.cancel();
        self.leaving = Some(Leaving { deadline: Instant::now() + self.config.leave_timeout, let_go: false });
        self.command_all(|| Command::Leave);
    }

    /// Lets go of the links, which then end and tell what is not delivered; says whether they had that chance
    /// already, so that there is nothing more to wait for.
    pub(super) fn leave_deadline_passed(&mut self) -> bool {
        let Some(leaving) = &mut self.leaving else { return true };
        let again = std::mem::replace(&mut leaving.let_go, true);
        leaving.deadline += LINKS_END_TIMEOUT;
        self.members.values_mut().for_each(|member| member.link.let_go());
        again
    }

    /// Says Leave and waits a little for the server to end the stream, so that it was heard. An operator may
    /// have been faster.
    pub(super) async fn say_leave(&mut self, responses: &mut mpsc::Receiver<SignalingEvent>) -> EndReason {
        self.request(request::Message::Leave(request::Leave {}));
        if self.signaling.is_none() {
            return EndReason::Left;
        }
        let ended = async {
            while let Some(event) = responses.recv().await {
                match event {
                    SignalingEvent::Ended { .. } => break,
                    SignalingEvent::Removed { message } => return EndReason::Removed { message },
                    _ => {}
                }
            }
            EndReason::Left
        };
        // A server that does not answer notices the closed stream by itself.
        tokio::time::timeout(LEAVE_ANSWER_TIMEOUT, ended).await.unwrap_or(EndReason::Left)
    }
}

pub(super) async fn next_of_leaving(leaving: Option<&Leaving>, all_ended: bool) -> Step {
    match leaving {
        Some(_) if all_ended => Step::AllEnded,
        Some(leaving) => {
            tokio::time::sleep_until(leaving.deadline).await;
            Step::LeaveDeadline
        }
        None => std::future::pending().await,
    }
}
