//! What the room tells: peer events become state and entries.

use patchcord_peer::{ConnectPolicy, ConnectionState, Event, LeaveReason, Message, Path, Peer, PeerId};

use super::{
    App, BELL_INTERVAL, Body, Effect, Level, Said, TYPING_TIME,
    report::{leave_words, path_words},
};
use crate::{clock::Moment, safe_text::SafeText};

impl App {
    /// The first entries.
    pub(super) fn greet(&mut self, server: &str, notices: &[String], now: Moment) {
        let kind = if self.invite.is_some() { "sealed room" } else { "room" };
        let text = format!("you are {} in the {kind} {} ({server})", self.roster.my_name(), self.room);
        self.notice(Level::Info, &text, now);
        for notice in notices {
            self.notice(Level::Info, notice, now);
        }
        let names: Vec<String> =
            self.roster.members().iter().map(|member| self.roster.handle(&member.id).to_string()).collect();
        let here = match names.len() {
            0 => "nobody else is here yet".into(),
            1..=8 => format!("here: {}", names.join(", ")),
            count => format!("here: {} and {} more (/who lists all)", names[..8].join(", "), count - 8),
        };
        self.notice(Level::Info, &here, now);
        if self.connect_policy == ConnectPolicy::Manual {
            self.notice(Level::Info, "nothing is connected until you write /connect", now);
        }
    }

    pub(super) fn room_event(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        match event {
            Event::Signaling(state) => self.signaling_changed(state, now),
            Event::Rejoined { peer_id } => self.rejoined(peer_id, now),
            Event::PeerJoined(peer) => {
                self.meet(&peer);
                let proof = if self.invite.is_some() { ", and is asked for the code" } else { "" };
                let text = format!("{} joined{proof}", self.roster.handle(&peer.id));
                self.notice(Level::Info, &text, now);
            }
            Event::PeerUpdated(peer) => self.peer_updated(&peer, now),
            Event::PeerLeft { peer_id, reason } => self.peer_left(&peer_id, reason, now),
            Event::Connection { peer_id, state, path } => {
                self.connection_changed(&peer_id, state, path, now);
            }
            Event::Identity { shown, judgement } => return self.identity_shown(shown, judgement, now),
            Event::Verified { peer_id, string } => self.verified(&peer_id, string),
            Event::ShortString { peer_id, string, .. } => self.string_to_compare(&peer_id, string),
            Event::GuessesUsed { used } => self.guesses_used = used,
            Event::ChannelOpen { peer_id, display_name } => {
                let name = SafeText::name(&display_name);
                self.channel_open(&peer_id, name, now);
            }
            // Told by what follows, that the peer left or what failed; the roster shows it meanwhile.
            Event::ChannelClosed { peer_id } => {
                if let Some(member) = self.roster.get_mut(&peer_id) {
                    (member.channel_open, member.typing_until) = (false, None);
                }
            }
            Event::Message(message) => return self.message(&message, now),
            Event::Receipt { message_id, peer_id, state } => {
                self.receipt(message_id, &peer_id, state, now);
            }
            Event::Typing { peer_id, active } => {
                if let Some(member) = self.roster.get_mut(&peer_id) {
                    member.typing_until = active.then_some(now.uptime + TYPING_TIME);
                }
            }
            Event::Problem { message, peer_id, code } => {
                let about = peer_id.map(|id| format!("{}: ", self.roster.handle(&id))).unwrap_or_default();
                let guesses = self.guesses_words(code);
                self.notice(Level::Problem, &format!("{about}{message}{guesses}"), now);
            }
            Event::Ended(reason) => return self.ended(reason, now),
            // The library may tell more one day; what this version does not know it does not show.
            _ => {}
        }
        Vec::new()
    }

    fn peer_updated(&mut self, peer: &Peer, now: Moment) {
        if peer.id == *self.roster.me() {
            self.roster.set_my_name(SafeText::name(&peer.display_name));
            return;
        }
        let before = self.roster.get(&peer.id).map(|_| self.roster.handle(&peer.id));
        self.meet(peer);
        let after = self.roster.handle(&peer.id);
        if let Some(before) = before.filter(|before| *before != after) {
            self.notice(Level::Info, &format!("{before} is now {after}"), now);
        }
    }

    fn peer_left(&mut self, peer_id: &PeerId, reason: LeaveReason, now: Moment) {
        let handle = self.roster.handle(peer_id);
        // Its receipts have all come; a text that it got none for was never sent to it.
        self.fail_all(|receiver| receiver == peer_id, now);
        if self.roster.remove(peer_id).is_some() {
            self.notice(Level::Info, &format!("{handle} left{}", leave_words(reason)), now);
        }
    }

    fn channel_open(&mut self, peer_id: &PeerId, name: SafeText, now: Moment) {
        let before = self.roster.handle(peer_id);
        let Some(member) = self.roster.get_mut(peer_id) else { return };
        let nameless = self.invite.is_some() && member.name.as_str().is_empty();
        (member.name, member.channel_open) = (name, true);
        member.interruption.is_over();
        member.state = ConnectionState::Connected;
        let path = member.path.as_ref().map(|path: &Path| format!(" ({})", path_words(path)));
        let handle = self.roster.handle(peer_id);
        // It may call itself otherwise here than it told the server.
        if before != handle && !nameless {
            self.notice(Level::Info, &format!("{before} is now {handle}"), now);
        }
        let (path, verified) = (path.unwrap_or_default(), self.verified_words(peer_id));
        self.notice(Level::Info, &format!("chat with {handle} is open{path}{verified}"), now);
    }

    fn message(&mut self, message: &Message, now: Moment) -> Vec<Effect> {
        if let Some(member) = self.roster.get_mut(&message.peer_id) {
            member.typing_until = None;
        }
        let said = Said {
            peer_id: Some(message.peer_id.clone()),
            name: self.roster.handle(&message.peer_id),
            kind: message.kind,
            text: SafeText::text(&message.text),
            direct: message.direct.then(|| self.roster.my_name().clone()),
            delivery: None,
        };
        let entry = self.transcript.push(now.wall, Body::Said(said));
        self.screen.note_incoming(entry);
        let silent = self.bell_rung.is_none_or(|rung| rung + BELL_INTERVAL <= now.uptime);
        if self.screen.focused == Some(false) && silent {
            self.bell_rung = Some(now.uptime);
            return vec![Effect::Bell];
        }
        Vec::new()
    }
}
