//! What the user asks for: lines and commands become effects, the answers become entries.

use patchcord_peer::{PeerId, Recipients, SendError, TextKind};

use super::{
    App, AppEvent, Body, Delivery, Effect, EntryId, Level, Phase, RequestError, Said, Surface,
    help::help_lines, report::member_line, screen::OverlayKind,
};
use crate::{
    clock::Moment,
    command::{Command, CommandError, Input, Name},
    safe_text::SafeText,
};

impl App {
    /// A line of `--plain`.
    pub(super) fn line(&mut self, line: &str, now: Moment) -> Vec<Effect> {
        match self.submit(line, now) {
            Ok(effects) => effects,
            // Blank lines are common in pipes and mean nothing.
            Err(_) if line.trim().is_empty() => Vec::new(),
            Err(why) => {
                self.hint_at(&why, now);
                Vec::new()
            }
        }
    }

    /// Carries out what was typed; an error says why it was not, and the text should stay.
    pub(super) fn submit(&mut self, text: &str, now: Moment) -> Result<Vec<Effect>, String> {
        match Command::parse(text).map_err(|error: CommandError| error.to_string())? {
            Input::Text(text) => self.say(Recipients::Everybody, TextKind::Plain, text, now),
            Input::Command(command) => self.command(command, now),
        }
    }

    fn command(&mut self, command: Command, now: Moment) -> Result<Vec<Effect>, String> {
        match command {
            Command::Help(about) => self.help(about, now),
            Command::Connect(peer) => return self.connect(peer.as_deref(), now),
            Command::Msg(typed) => {
                let resolved = self.roster.resolve_beginning(&typed);
                let (peer_id, text) = resolved.map_err(|error| error.to_string())?;
                if text.trim().is_empty() {
                    return Err(CommandError::ArgumentMissing { name: Name::Msg }.to_string());
                }
                return self.say(Recipients::Peer(peer_id), TextKind::Plain, text.to_owned(), now);
            }
            Command::Me(act) => return self.say(Recipients::Everybody, TextKind::Action, act, now),
            Command::Nick(name) => {
                self.require_joined()?;
                return Ok(vec![Effect::SetDisplayName { name }]);
            }
            Command::Who => self.who(now),
            Command::Net => return self.network(),
            Command::Code => self.show_code(now),
            Command::Verify(peer) => return self.verify(peer.as_deref(), now),
            Command::Refuse(peer) => return self.refuse(&peer),
            Command::Leave => return Ok(self.leave(false, now)),
            Command::Quit => return Ok(self.quit(now)),
        }
        Ok(Vec::new())
    }

    pub(super) fn require_joined(&self) -> Result<(), String> {
        match self.phase {
            Phase::Joined => Ok(()),
            Phase::Leaving { .. } => Err("the room is being left".into()),
            Phase::Ended(_) => Err("the room has ended: write /quit".into()),
        }
    }

    fn say(
        &mut self,
        to: Recipients,
        kind: TextKind,
        text: String,
        now: Moment,
    ) -> Result<Vec<Effect>, String> {
        self.require_joined()?;
        if self.roster.members().is_empty() {
            return Err("nobody else is here yet".into());
        }
        let (receivers, direct): (Vec<PeerId>, _) = match &to {
            Recipients::Everybody => {
                let wanted = self.roster.members().iter().filter(|member| !member.refused);
                (wanted.map(|member| member.id.clone()).collect(), None)
            }
            Recipients::Peer(id) => (vec![id.clone()], Some(self.roster.handle(id))),
        };
        if receivers.is_empty() {
            return Err("everybody here is refused: /connect PEER takes one back".into());
        }
        let said = Said {
            peer_id: None,
            name: self.roster.my_name().clone(),
            kind,
            text: SafeText::message(&text),
            direct,
            delivery: Some(Delivery::queued_for(receivers)),
        };
        let entry = self.transcript.push(now.wall, Body::Said(said));
        self.outbox.begin(entry, self.transcript.oldest_id());
        self.screen.unread_line = None;
        Ok(vec![Effect::Send { entry, to, kind, text }])
    }

    fn help(&mut self, about: Option<Name>, now: Moment) {
        match (about, self.surface) {
            (Some(name), _) => {
                self.notice(Level::Info, &format!("{}: {}", name.usage(), name.summary()), now);
            }
            (None, Surface::Screen { .. }) => self.screen.toggle(OverlayKind::Help),
            (None, Surface::Lines) => {
                let literal = help_lines().into_iter().find(|(left, _)| *left == "//TEXT");
                let lines: Vec<_> =
                    Name::ALL.map(|name| (name.usage(), name.summary())).into_iter().chain(literal).collect();
                let width = lines.iter().map(|(left, _)| left.len()).max().unwrap_or_default();
                let lines = lines.iter().map(|(left, right)| format!("{left:<width$}  {right}"));
                self.notice(Level::Info, &lines.collect::<Vec<_>>().join("\n"), now);
            }
        }
    }

    fn connect(&mut self, peer: Option<&str>, now: Moment) -> Result<Vec<Effect>, String> {
        self.require_joined()?;
        let Some(typed) = peer else {
            // Who was refused comes back by name only.
            let apart = self.roster.members().iter().filter(|member| !member.channel_open && !member.refused);
            let effects: Vec<Effect> =
                apart.map(|member| Effect::Connect { peer_id: member.id.clone() }).collect();
            return match (effects.is_empty(), self.roster.members().is_empty()) {
                (_, true) => Err("nobody else is here yet".into()),
                (true, _) if self.roster.members().iter().any(|member| member.refused) => {
                    Err("everybody here is connected or refused: /connect PEER takes one back".into())
                }
                (true, _) => Err("everybody here is connected".into()),
                _ => {
                    self.notice(Level::Info, "connecting with everybody", now);
                    Ok(effects)
                }
            };
        };
        let peer_id = self.roster.resolve(typed).map_err(|error| error.to_string())?;
        let handle = self.roster.handle(&peer_id);
        if self.roster.get(&peer_id).is_some_and(|member| member.channel_open && !member.refused) {
            return Err(format!("{handle} is connected"));
        }
        self.notice(Level::Info, &format!("connecting with {handle}"), now);
        Ok(vec![Effect::Connect { peer_id }])
    }

    fn who(&mut self, now: Moment) {
        let me = self.roster.me().clone();
        let mut lines = vec![format!("{}: you (id {me})", self.roster.handle(&me))];
        lines.extend(self.roster.members().iter().map(|member| member_line(member, &self.roster)));
        self.notice(Level::Info, &lines.join("\n"), now);
    }

    fn network(&mut self) -> Result<Vec<Effect>, String> {
        match self.surface {
            Surface::Screen { .. } => {
                self.screen.toggle(OverlayKind::Network);
                Ok(Vec::new())
            }
            Surface::Lines => self.require_joined().map(|()| vec![Effect::FetchConnections]),
        }
    }

    /// The answer to an effect.
    pub(super) fn answer(&mut self, event: AppEvent, now: Moment) -> Vec<Effect> {
        match event {
            AppEvent::Sent { entry, result: Ok(id) } => self.accepted(entry, id, now),
            AppEvent::Sent { entry, result: Err(error) } => self.refused(entry, &error, now),
            AppEvent::Connecting { peer_id, result: Err(error) } => {
                let text = format!("cannot connect with {}: {error}", self.roster.handle(&peer_id));
                self.notice(Level::Problem, &text, now);
            }
            AppEvent::Connecting { peer_id, result: Ok(()) } => {
                if let Some(member) = self.roster.get_mut(&peer_id) {
                    member.refused = false;
                }
            }
            AppEvent::Renamed { name, result: Ok(()) } => {
                self.roster.set_my_name(SafeText::line(name.trim()));
                let text = format!("you are {} now", self.roster.handle(self.roster.me()));
                self.notice(Level::Info, &text, now);
            }
            AppEvent::Renamed { result: Err(error), .. } => {
                // It speaks of a text, which can be sent in parts.
                let why = match error {
                    RequestError::Refused(SendError::TooLong { bytes, max }) => {
                        format!("it is {bytes} bytes long, and {max} is the limit")
                    }
                    error => error.to_string(),
                };
                self.notice(Level::Problem, &format!("the name stays: {why}"), now);
            }
            AppEvent::Decided { peer_id, decision, result } => {
                self.decided(&peer_id, &decision, &result, now);
            }
            AppEvent::Connections(reports) => {
                self.reports = reports;
                if self.surface == Surface::Lines {
                    let lines = self.network_lines();
                    let mut lines: Vec<&str> = lines.iter().map(SafeText::as_str).collect();
                    if self.reports.is_empty() {
                        lines.push("no connections");
                    }
                    let text = lines.join("\n");
                    self.notice(Level::Info, &text, now);
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn refused(&mut self, entry: EntryId, error: &RequestError, now: Moment) {
        self.outbox.refused(entry);
        if let Some(delivery) = self.transcript.delivery_mut(entry) {
            delivery.refuse();
        }
        let again = match (error, self.surface) {
            (RequestError::Refused(SendError::TooLong { .. }), Surface::Screen { .. }) => {
                " (Up brings it back)"
            }
            _ => "",
        };
        self.notice(Level::Problem, &format!("not sent: {error}{again}"), now);
    }
}
