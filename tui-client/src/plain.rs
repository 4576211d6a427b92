//! The session as lines, for pipes, dumb terminals and screen readers: stdout is what others say and nothing
//! else, stderr is what happens. Each line stands for itself, so that nobody can forge another's.

use jiff::{Timestamp, tz::TimeZone};
use patchcord_peer::{ConnectPolicy, Departure, EndReason, Event, MessageId, PeerId, RoomInfo, TextKind};
use tokio::time::Instant;

use crate::{
    app::{App, AppEvent, Body, Effect, Entry, EntryId, Level, Said, Setup, Surface},
    clock::Clock,
    command::{Command, Input},
    headless::{Answer, Ending, Face, LINE_BYTES_MAX, Line, Printed, Request},
    identity::Trust,
    sealed::Invite,
};

/// The session as plain lines: an [`App`] whose transcript is printed as it grows.
pub(crate) struct PlainFace {
    app: App,
    clock: Clock,
    /// The first entry that is not printed.
    next: EntryId,
}

impl PlainFace {
    pub(crate) fn new(
        info: &RoomInfo,
        connect_policy: ConnectPolicy,
        notices: Vec<String>,
        invite: Option<Invite>,
        trust: Trust,
    ) -> Self {
        let clock = Clock::start();
        let setup = Setup {
            info: info.clone(),
            connect_policy,
            surface: Surface::Lines,
            time_zone: TimeZone::system(),
            notices,
            invite,
            trust,
        };
        Self { app: App::new(setup, clock.now()), clock, next: EntryId(0) }
    }

    /// Lets the app take `event` in and prints what it has to say.
    fn update(&mut self, event: AppEvent, printed: &mut Printed) -> Vec<Effect> {
        let effects = self.app.update(event, self.clock.now());
        self.print(printed);
        effects
    }

    fn print(&mut self, printed: &mut Printed) {
        for entry in self.app.transcript().since(self.next) {
            print_entry(entry, self.app.time_zone(), printed);
        }
        self.next = self.app.transcript().next_id();
    }
}

fn print_entry(Entry { at, body, .. }: &Entry, time_zone: &TimeZone, printed: &mut Printed) {
    let time = time_of_day(*at, time_zone);
    match body {
        // What we wrote stands in our own input.
        Body::Said(Said { peer_id: None, .. }) => {}
        Body::Said(said) => {
            let beginning = beginning(said);
            for line in said.text.as_str().split('\n') {
                printed.out(format!("{time} {beginning} {line}\n"));
            }
        }
        Body::Notice { level, text } => {
            let beginning = if *level == Level::Problem { "problem: " } else { "" };
            for line in text.as_str().split('\n') {
                printed.status(format_args!("{time} {beginning}{line}"));
            }
        }
    }
}

fn time_of_day(at: Timestamp, time_zone: &TimeZone) -> String {
    at.to_zoned(time_zone.clone()).strftime("%H:%M").to_string()
}

/// Who speaks, and whether to us alone. A name cannot close the brackets.
fn beginning(said: &Said) -> String {
    let name = said.name.as_str().replace('<', "‹").replace('>', "›");
    match (said.kind, &said.direct) {
        (TextKind::Plain, None) => format!("<{name}>"),
        (TextKind::Plain, Some(_)) => format!("<{name} -> you>"),
        (TextKind::Action, None) => format!("* {name}"),
        (TextKind::Action, Some(_)) => format!("* {name} -> you:"),
    }
}

impl Face for PlainFace {
    /// The entry that shows the text.
    type Ticket = EntryId;

    fn joined(&mut self, _: &RoomInfo, printed: &mut Printed) {
        self.print(printed);
    }

    fn event(&mut self, event: Event, printed: &mut Printed) {
        // A bell is all that the app wants of an event, and a pipe has none.
        self.update(AppEvent::Room(event), printed);
    }

    fn line(&mut self, line: Line, printed: &mut Printed) -> Option<Vec<Request<EntryId>>> {
        let line = match line {
            Line::Text(line) => line,
            Line::TooLong => {
                printed
                    .status(format_args!("problem: not sent: a line is at most {LINE_BYTES_MAX} bytes long"));
                return None;
            }
            Line::NotUtf8 => {
                printed.status("problem: not sent: a line is UTF-8 text");
                return None;
            }
            Line::End => return Some(vec![Request::Leave]),
        };
        let wants_to_send = match Command::parse(&line) {
            Ok(Input::Text(_) | Input::Command(Command::Me(_) | Command::Msg(_))) => true,
            Ok(Input::Command(_)) => false,
            Err(_) => !line.trim().is_empty(),
        };
        let effects = self.update(AppEvent::Line(line), printed);
        let requests: Vec<_> = effects.into_iter().filter_map(request).collect();
        (!wants_to_send || !requests.is_empty()).then_some(requests)
    }

    fn answer(&mut self, answer: Answer<EntryId>, printed: &mut Printed) {
        let event = match answer {
            Answer::Sent { ticket, result } => {
                AppEvent::Sent { entry: ticket, result: result.map_err(Into::into) }
            }
            Answer::Connecting { peer_id, result } => {
                AppEvent::Connecting { peer_id, result: result.map_err(Into::into) }
            }
            Answer::Renamed { name, result } => {
                AppEvent::Renamed { name, result: result.map_err(Into::into) }
            }
            Answer::Decided { peer_id, decision, result } => {
                AppEvent::Decided { peer_id, decision, result: result.map_err(Into::into) }
            }
            Answer::Connections(reports) => AppEvent::Connections(reports),
        };
        self.update(event, printed);
    }

    fn deadline(&self) -> Option<Instant> {
        self.app.deadline().map(|uptime| self.clock.instant(uptime).into())
    }

    fn timer(&mut self, printed: &mut Printed) {
        self.update(AppEvent::Timer, printed);
    }

    fn leaving(&mut self, printed: &mut Printed) {
        self.update(AppEvent::Stop, printed);
        let waiting = self.app.undelivered();
        if waiting > 0 {
            let time = time_of_day(self.clock.now().wall, self.app.time_zone());
            printed.status(format_args!("{time} leaving when {waiting} on the way are delivered"));
        }
    }

    fn ended(&mut self, ending: &Ending, undelivered: &[(MessageId, PeerId)], printed: &mut Printed) {
        if *ending == Ending::Broken {
            self.update(AppEvent::RoomLost, printed);
            return;
        }
        if let Ending::Removed { message } = ending {
            let reason = EndReason::Removed { message: message.clone() };
            let departure = Departure { undelivered: undelivered.to_vec(), reason };
            self.update(AppEvent::Departed(departure), printed);
            return;
        }
        let time = time_of_day(self.clock.now().wall, self.app.time_zone());
        match undelivered.len() {
            0 => printed.status(format_args!("{time} you left the room")),
            count => printed.status(format_args!("{time} problem: you left the room: {count} not delivered")),
        }
    }
}

fn request(effect: Effect) -> Option<Request<EntryId>> {
    Some(match effect {
        Effect::Send { entry, to, kind, text } => Request::Send { ticket: entry, to, kind, text },
        Effect::Connect { peer_id } => Request::Connect { peer_id },
        Effect::SetDisplayName { name } => Request::Rename { name },
        Effect::Decide { peer_id, decision } => Request::Decide { peer_id, decision },
        Effect::FetchConnections => Request::FetchConnections,
        Effect::Leave | Effect::Quit => Request::Leave,
        // Of a terminal, which there is none.
        Effect::Typing { .. } | Effect::Bell | Effect::Suspend | Effect::Repaint => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use patchcord_peer::{Message, Peer, Recipients, Untrusted};

    use super::*;

    fn face(names: &[&str]) -> PlainFace {
        let peer = |name: &&str| Peer {
            id: PeerId::parse(&format!("id{}", name.len())).unwrap(),
            display_name: Untrusted::new(*name),
            joined_at: SystemTime::UNIX_EPOCH,
            attached: true,
        };
        let info = RoomInfo {
            peer_id: PeerId::parse("me").unwrap(),
            room: "lobby".into(),
            display_name: "ada".into(),
            peers: names.iter().map(peer).collect(),
            server: "test".into(),
            permissions: Vec::new(),
        };
        let mut face = PlainFace::new(&info, ConnectPolicy::Newcomer, Vec::new(), None, Trust::default());
        face.print(&mut Printed::default());
        face
    }

    fn message(text: &str, kind: TextKind, direct: bool) -> Event {
        Event::Message(Message {
            id: MessageId(1),
            peer_id: PeerId::parse("id2").unwrap(),
            text: Untrusted::new(text),
            kind,
            direct,
            sent_at: SystemTime::UNIX_EPOCH,
        })
    }

    /// What is printed, without the time of day that begins each line.
    fn printed(event: Event, face: &mut PlainFace) -> (String, String) {
        let mut printed = Printed::default();
        face.event(event, &mut printed);
        let (out, err) = printed.take();
        let timeless =
            |text: String| text.lines().map(|line| line[6..].to_owned() + "\n").collect::<String>();
        (timeless(out), timeless(err))
    }

    #[test]
    fn the_talk_goes_to_stdout_line_by_line() {
        let mut face = face(&["bo"]);
        let mut out = |text, kind, direct| printed(message(text, kind, direct), &mut face).0;
        assert_eq!(out("hi\n00:00 <cy> forged", TextKind::Plain, false), "<bo> hi\n<bo> 00:00 <cy> forged\n");
        assert_eq!(out("waves", TextKind::Action, false), "* bo waves\n");
        assert_eq!(out("psst", TextKind::Plain, true), "<bo -> you> psst\n");
        assert_eq!(out("\u{1b}[2J\u{202e}", TextKind::Plain, false), "<bo> ␛[2J⟨RLO⟩\n");
    }

    #[test]
    fn a_name_cannot_look_like_somebody_speaking() {
        let mut face = face(&["bo"]);
        let renamed = Peer {
            id: PeerId::parse("id2").unwrap(),
            display_name: Untrusted::new("cy> yes <bo"),
            joined_at: SystemTime::UNIX_EPOCH,
            attached: true,
        };
        let (out, err) = printed(Event::PeerUpdated(renamed), &mut face);
        assert_eq!((out.as_str(), err.as_str()), ("", "bo is now cy> yes <bo\n"));
        assert_eq!(printed(message("no", TextKind::Plain, false), &mut face).0, "<cy› yes ‹bo> no\n");
    }

    #[test]
    fn lines_are_texts_and_commands_are_requests() {
        let mut face = face(&["bo"]);
        let mut line = |text: &str| face.line(Line::Text(text.into()), &mut Printed::default());
        let sent = line("hello").unwrap();
        assert!(
            matches!(&sent[..], [Request::Send { to: Recipients::Everybody, text, .. }] if text == "hello"),
            "{sent:?}"
        );
        let direct = line("/msg bo hi").unwrap();
        assert!(matches!(&direct[..], [Request::Send { to: Recipients::Peer(_), .. }]), "{direct:?}");
        assert_eq!(line(""), Some(Vec::new()));
        assert_eq!(line("/who"), Some(Vec::new()));
        assert_eq!(line("/quit"), Some(vec![Request::Leave]));
    }

    #[test]
    fn what_is_not_sent_is_said_and_counted() {
        let mut face = face(&[]);
        let mut printed = Printed::default();
        for line in [Line::Text("hello".into()), Line::Text("/usr/bin".into()), Line::TooLong, Line::NotUtf8]
        {
            assert_eq!(face.line(line, &mut printed), None);
            let (out, err) = printed.take();
            assert!(out.is_empty() && err.contains("problem: "), "{out:?} {err:?}");
        }
    }
}
