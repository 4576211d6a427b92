//! What handles ask of a room.

use std::sync::atomic::Ordering::Relaxed;

use patchcord_proto::v1::signal_request as request;
use tokio::{sync::oneshot, time::Instant};

use super::{Ask, Mesh};
use crate::{
    DeliveryState, Event, MessageId, PeerId, Recipients, SendError, chat::OutgoingText, link::Command,
};

/// Events that wait for the user beyond its own queue.
const PENDING_MAX: usize = 1024;

impl Mesh {
    pub(super) fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Send { to, text, reply } => {
                let _ = reply.send(self.send(&to, text));
            }
            Ask::Connect { peer_id, reply } => {
                let wanted = self.refuse(&peer_id, false);
                let _ = reply.send(wanted.and_then(|()| self.command_member(&peer_id, Command::Connect)));
            }
            Ask::JudgeAgain { peer_id, reply } => {
                let _ = reply.send(self.command_member(&peer_id, Command::JudgeAgain));
            }
            Ask::Refuse { peer_id, reply } => {
                let _ = reply.send(self.refuse(&peer_id, true));
            }
            Ask::Compared { peer_id, string, reply } => {
                let _ = reply.send(self.command_member(&peer_id, Command::Compared(string)));
            }
            Ask::DisplayName(name) => {
                self.context.identity.display_name.clone_from(&name);
                if self.config.seal.is_none() {
                    let display_name = name.clone();
                    self.request(request::Message::UpdateProfile(request::UpdateProfile { display_name }));
                }
                self.command_all(|| Command::DisplayName(name.clone()));
            }
            Ask::Typing(active) => {
                if self.typing.set(active, Instant::now()) {
                    self.command_all(|| Command::Typing(active));
                }
            }
            Ask::Connections(reply) => {
                let mut members: Vec<_> = self.members.values().collect();
                members.sort_by_key(|member| member.order);
                let reports = members.into_iter().filter_map(|member| {
                    let (report_tx, report) = oneshot::channel();
                    member.link.commands.try_send(Command::Report(report_tx)).ok().map(|()| report)
                });
                let _ = reply.send(reports.collect());
            }
            Ask::Leave => {}
        }
    }

    fn command_member(&mut self, peer_id: &PeerId, command: Command) -> Result<(), SendError> {
        let known = self.members.contains_key(peer_id);
        self.command(peer_id, command);
        if known { Ok(()) } else { Err(SendError::NoSuchPeer) }
    }

    fn refuse(&mut self, peer_id: &PeerId, refused: bool) -> Result<(), SendError> {
        if let Some(member) = self.members.get_mut(peer_id) {
            member.refused = refused;
        }
        self.command_member(peer_id, Command::Refuse(refused))
    }

    /// A receiver whose queue is full does not keep the others from getting the text: its receipt says failed.
    fn send(&mut self, to: &Recipients, text: OutgoingText) -> Result<MessageId, SendError> {
        let members: Vec<_> = match to {
            Recipients::Everybody => self.members.iter().filter(|(_, member)| !member.refused).collect(),
            Recipients::Peer(peer_id) => {
                vec![self.members.get_key_value(peer_id).ok_or(SendError::NoSuchPeer)?]
            }
        };
        let Some((first, _)) = members.first() else { return Err(SendError::NobodyHere) };
        let full = SendError::QueueFull { peer_id: (*first).clone() };
        // The user does not take what it is told; more would only be more to tell.
        if self.pending.len() >= PENDING_MAX {
            return Err(full);
        }
        let message_id = text.message_id;
        let (mut taken, mut failed) = (false, Vec::new());
        for (peer_id, member) in members {
            let has_room = member.link.undelivered.load(Relaxed) < self.config.queued_texts_max;
            match member.link.commands.try_reserve() {
                Ok(place) if has_room => {
                    member.link.undelivered.fetch_add(1, Relaxed);
                    place.send(Command::Send(text.clone()));
                    taken = true;
                }
                _ => failed.push(peer_id.clone()),
            }
        }
        if !taken {
            return Err(full);
        }
        if *to == Recipients::Everybody {
            self.typing.text_sent();
        }
        let state = DeliveryState::Failed;
        self.pending.extend(failed.into_iter().map(|peer_id| Event::Receipt { message_id, peer_id, state }));
        Ok(message_id)
    }
}
