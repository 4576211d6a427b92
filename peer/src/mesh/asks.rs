//! What handles ask of a room.

use std::sync::atomic::Ordering::Relaxed;

use patchcord_proto::v1::signal_request as request;
use tokio::sync::oneshot;

use super::{Ask, Mesh};
use crate::{MessageId, Recipients, SendError, chat::OutgoingText, link::Command};

impl Mesh {
    pub(super) async fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Send { to, text, reply } => {
                let _ = reply.send(self.send(&to, text));
            }
            Ask::Connect { peer_id, reply } => {
                let known = self.members.contains_key(&peer_id);
                self.command(&peer_id, Command::Connect);
                let _ = reply.send(if known { Ok(()) } else { Err(SendError::NoSuchPeer) });
            }
            Ask::DisplayName(name) => {
                self.context.identity.display_name.clone_from(&name);
                self.request(request::Message::UpdateProfile(request::UpdateProfile {
                    display_name: name.clone(),
                }));
                self.command_all(|| Command::DisplayName(name.clone()));
            }
            Ask::Typing(active) => self.command_all(|| Command::Typing(active)),
            Ask::Connections(reply) => {
                let mut members: Vec<_> = self.members.values().collect();
                members.sort_by_key(|member| member.order);
                let reports = members.into_iter().filter_map(|member| {
                    let (report_tx, report) = oneshot::channel();
                    member.link.commands.try_send(Command::Report(report_tx)).ok().map(|()| report)
                });
                let _ = reply.send(reports.collect());
            }
            Ask::Leave(_) => {}
        }
    }

    /// All or nobody: room in every queue is taken before anything is put in one.
    fn send(&mut self, to: &Recipients, text: OutgoingText) -> Result<MessageId, SendError> {
        let members: Vec<_> = match to {
            Recipients::Everybody => self.members.values().collect(),
            Recipients::Peer(peer_id) => {
                vec![self.members.get(peer_id).ok_or(SendError::NoSuchPeer)?]
            }
        };
        if members.is_empty() {
            return Err(SendError::NobodyHere);
        }
        let mut places = Vec::with_capacity(members.len());
        for member in &members {
            let full = || SendError::QueueFull { peer_id: member.peer.id.clone() };
            if member.link.undelivered.load(Relaxed) >= self.config.queued_texts_max {
                return Err(full());
            }
            places.push((member, member.link.commands.try_reserve().map_err(|_| full())?));
        }
        let message_id = text.message_id;
        for (member, place) in places {
            member.link.undelivered.fetch_add(1, Relaxed);
            place.send(Command::Send(text.clone()));
        }
        Ok(message_id)
    }
}
