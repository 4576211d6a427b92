//! Coming back to the server, and peers that do. A session that resumes changes nobody's id. When the
//! server has forgotten us everybody has a new id there: those whose channels are open say so over them, and
//! keep towards the user the id that they had.
//!
//! Invariant: an open channel is never touched, and nobody is shown twice for long.

use std::time::Duration;

use tokio::time::Instant;

use super::{Member, Mesh};
use crate::{
    ConnectPolicy, Event, LeaveReason, Peer, PeerId, SignalingState, link::Command, signaling::Joined,
};

/// For peers to say over their open channels under which id they came back.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Somebody new to us while some whom we know may have come back under another id.
pub(super) struct Stranger {
    pub(super) peer: Peer,
    /// It was there before us, so that we begin.
    connect: bool,
}

impl Mesh {
    /// The session goes on, with a roster that replaces ours when messages were lost.
    pub(super) fn resumed(&mut self, roster: Option<Vec<Peer>>) {
        self.set_signaling_state(SignalingState::Connected);
        let Some(roster) = roster else { return };
        let gone: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| !roster.iter().any(|peer| peer.id == member.server_id))
            .map(|(peer_id, _)| peer_id.clone())
            .collect();
        for peer_id in gone {
            self.let_leave(&peer_id, LeaveReason::Disconnected);
        }
        self.strangers.retain(|stranger| roster.iter().any(|peer| peer.id == stranger.peer.id));
        for peer in roster {
            self.meet(peer, false);
        }
    }

    /// The server has forgotten us and everybody we know; `joined` is who has come back before us.
    pub(super) fn rejoined(&mut self, joined: Joined) {
        self.own_id = joined.peer_id;
        self.set_ice_servers(&joined.ice_servers);
        self.set_signaling_state(SignalingState::Connected);
        self.pending.push_back(Event::Rejoined { peer_id: self.own_id.clone() });
        self.strangers.clear();
        for (peer_id, remembered) in self.remembered(&joined.peers) {
            self.command(&peer_id, Command::Rejoined { own_id: self.own_id.clone() });
            if !remembered {
                self.by_server_id.retain(|_, known| *known != peer_id);
                self.let_leave(&peer_id, LeaveReason::Disconnected);
            } else if self.config.connect_policy == ConnectPolicy::Newcomer {
                self.command(&peer_id, Command::Connect);
            }
        }
        for peer in joined.peers {
            self.meet(peer, true);
        }
    }

    /// Each member, and whether the server knows it by the id that we know.
    fn remembered(&self, roster: &[Peer]) -> Vec<(PeerId, bool)> {
        let is_back = |member: &Member| roster.iter().any(|peer| peer.id == member.server_id);
        self.members.iter().map(|(peer_id, member)| (peer_id.clone(), is_back(member))).collect()
    }

    /// The server names a peer. `connect` when it was there before us.
    pub(super) fn meet(&mut self, peer: Peer, connect: bool) {
        if self.by_server_id.contains_key(&peer.id) {
            return self.update(peer);
        }
        let claims = |member: &Member| member.left.is_some() && member.claims.as_ref() == Some(&peer.id);
        let claimant = self.members.iter().find(|(_, member)| claims(member));
        if let Some(peer_id) = claimant.map(|(peer_id, _)| peer_id.clone()) {
            self.adopt(&peer_id, peer.id.clone());
            return self.update(peer);
        }
        if self.somebody_may_come_back() && self.strangers.len() < super::MEMBERS_MAX {
            self.settle_at = self.settle_at.or(Some(Instant::now() + SETTLE_TIMEOUT));
            if !self.strangers.iter().any(|stranger| stranger.peer.id == peer.id) {
                self.strangers.push(Stranger { peer, connect });
            }
        } else {
            self.admit(peer, self.begin(connect));
        }
    }

    /// A stranger speaks to us through the server: it is nobody that we know. Gives the command back when it is
    /// from a member.
    pub(super) fn admit_stranger(&mut self, server_id: &PeerId, command: Command) -> Option<Command> {
        let Some(index) = self.strangers.iter().position(|stranger| stranger.peer.id == *server_id) else {
            return Some(command);
        };
        let Stranger { peer, .. } = self.strangers.remove(index);
        self.admit(peer, Some(command));
        None
    }

    pub(super) fn forget_stranger(&mut self, server_id: &PeerId) {
        self.strangers.retain(|stranger| stranger.peer.id != *server_id);
    }

    /// Nobody more is waited for.
    pub(super) fn settle(&mut self) {
        self.settle_at = None;
        for Stranger { peer, connect } in std::mem::take(&mut self.strangers) {
            self.admit(peer, self.begin(connect));
        }
    }

    /// Once everybody who may come back has, or has gone.
    pub(super) fn settle_if_nobody_is_missing(&mut self) {
        if self.settle_at.is_some() && !self.somebody_may_come_back() {
            self.settle();
        }
    }

    /// A peer says over its channel under which id the server knows it now. It has left under the other, or
    /// is about to.
    pub(super) fn claimed(&mut self, peer_id: &PeerId, server_id: PeerId) {
        let Some(member) = self.members.get_mut(peer_id) else { return };
        if member.server_id == server_id || server_id == self.own_id {
            return;
        }
        member.claims = Some(server_id.clone());
        if member.left.is_none() {
            return;
        }
        let stranger = self.strangers.iter().position(|stranger| stranger.peer.id == server_id);
        if let Some(index) = stranger {
            let Stranger { peer, .. } = self.strangers.remove(index);
            self.adopt(peer_id, server_id);
            return self.update(peer);
        }
        // It came back before it could say so, and was taken for another. One who is connected is another.
        let twin = self.by_server_id.get(&server_id).and_then(|twin| self.members.get_mut(twin));
        if let Some(twin) = twin
            && !twin.open
        {
            twin.left = Some(LeaveReason::Unknown);
            twin.link.let_go();
            self.adopt(peer_id, server_id);
        }
    }

    /// The member came back as this peer.
    fn adopt(&mut self, peer_id: &PeerId, server_id: PeerId) {
        self.by_server_id.retain(|_, known| known != peer_id);
        self.by_server_id.insert(server_id.clone(), peer_id.clone());
        let Some(member) = self.members.get_mut(peer_id) else { return };
        member.server_id = server_id.clone();
        member.claims = None;
        member.left = None;
        self.command(peer_id, Command::PeerReturned { server_id });
        self.settle_if_nobody_is_missing();
    }

    fn admit(&mut self, peer: Peer, first: Option<Command>) {
        if self.admits(&peer) {
            let first = first.map(|command| (peer.id.clone(), command));
            self.first_commands.extend(first);
            self.pending.push_back(Event::PeerJoined(peer));
        }
    }

    /// What a link is to do with a peer that was there before us.
    fn begin(&self, connect: bool) -> Option<Command> {
        (connect && self.config.connect_policy == ConnectPolicy::Newcomer).then_some(Command::Connect)
    }

    /// Whether a peer has left the server but not us.
    fn somebody_may_come_back(&self) -> bool {
        self.members.values().any(|member| member.left.is_some() && member.open)
    }

    pub(super) fn set_signaling_state(&mut self, state: SignalingState) {
        self.away = state != SignalingState::Connected;
        self.let_go_of_the_gone();
        self.command_all(|| Command::Signaling(state.clone()));
        self.pending.push_back(Event::Signaling(state));
    }
}
