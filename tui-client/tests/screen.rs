//! What the screen shows, drawn: at every size that it has a layout for, without a terminal.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

use std::time::{Duration, SystemTime};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use patchcord::{
    app::{App, AppEvent, Effect, Setup, Surface},
    clock::Moment,
    identity::{Decision, How, KnownPeer, Outcome, Trust},
    safe_text::SafeText,
    theme::Theme,
    ui,
};
use patchcord_peer::{
    CandidateType, ConnectPolicy, ConnectionReport, ConnectionState, ConnectionStep, DeliveryState, Event,
    Identity, Judgement, Message, MessageId, Path, Peer, PeerId, RoomInfo, ShortString, Shown,
    SignalingState, TextKind, TimelineEntry, Untrusted,
};
use ratatui::{Terminal, backend::TestBackend, style::Color};

const START: &str = "2025-10-13T23:58:00Z";

struct Scene {
    app: App,
    wall: Timestamp,
    columns: u16,
    rows: u16,
    sent: u64,
}

fn id(text: &str) -> PeerId {
    PeerId::parse(text).unwrap()
}

fn peer(peer_id: &str, name: &str) -> Peer {
    Peer {
        id: id(peer_id),
        display_name: Untrusted::new(name),
        joined_at: SystemTime::UNIX_EPOCH,
        attached: true,
    }
}

fn path(relayed: bool, round_trip_us: u64) -> Path {
    Path {
        local: if relayed { CandidateType::Relay } else { CandidateType::Host },
        remote: CandidateType::Srflx,
        round_trip: Some(Duration::from_micros(round_trip_us)),
    }
}

impl Scene {
    fn new(columns: u16, rows: u16, peers: Vec<Peer>, connect_policy: ConnectPolicy) -> Self {
        Self::with(columns, rows, peers, connect_policy, Trust::default())
    }

    fn with(columns: u16, rows: u16, peers: Vec<Peer>, connect_policy: ConnectPolicy, trust: Trust) -> Self {
        let info = RoomInfo {
            peer_id: id("meme2222"),
            room: "otter-lamp".into(),
            display_name: "me".into(),
            peers,
            server: "patchcord-server/0.1.0".into(),
            permissions: Vec::new(),
        };
        let surface = Surface::Screen { columns, rows };
        let setup = Setup { connect_policy, trust, ..Setup::new(info, surface, TimeZone::UTC) };
        let wall: Timestamp = START.parse().unwrap();
        let app = App::new(setup, Moment { wall, uptime: Duration::ZERO });
        Self { app, wall, columns, rows, sent: 0 }
    }

    fn event(&mut self, event: AppEvent) -> Vec<Effect> {
        self.wall = self.wall.checked_add(30.seconds()).unwrap();
        self.app.update(event, Moment { wall: self.wall, uptime: Duration::from_secs(1) })
    }

    fn room(&mut self, event: Event) {
        self.event(AppEvent::Room(event));
    }

    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) {
        self.event(AppEvent::Key(KeyEvent::new(code, modifiers)));
    }

    fn says(&mut self, from: &str, text: &str, kind: TextKind, direct: bool) {
        self.room(Event::Message(Message {
            id: MessageId(1),
            peer_id: id(from),
            text: Untrusted::new(text),
            kind,
            direct,
            sent_at: SystemTime::UNIX_EPOCH,
        }));
    }

    fn send(&mut self, text: &str, receipts: &[(&str, DeliveryState)]) {
        self.event(AppEvent::Paste(text.into()));
        let effects = self.event(AppEvent::Key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE)));
        let entry = effects.iter().find_map(|effect| match effect {
            Effect::Send { entry, .. } => Some(*entry),
            _ => None,
        });
        self.sent += 1;
        self.event(AppEvent::Sent { entry: entry.unwrap(), result: Ok(MessageId(self.sent)) });
        for (peer_id, state) in receipts {
            let message_id = MessageId(self.sent);
            self.room(Event::Receipt { message_id, peer_id: id(peer_id), state: *state });
        }
    }

    fn terminal(&self, theme: Theme) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(self.columns, self.rows)).unwrap();
        terminal.draw(|frame| ui::draw(&self.app, theme, frame)).unwrap();
        terminal
    }

    fn drawn(&self) -> String {
        let mut terminal = self.terminal(Theme::Indexed);
        let position = terminal.get_cursor_position().unwrap();
        format!("{}cursor: {position}", terminal.backend())
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        (self.columns, self.rows) = (columns, rows);
        self.event(AppEvent::Resize { columns, rows });
    }
}

/// A room of three with a bit of everything.
fn busy(columns: u16, rows: u16) -> Scene {
    let peers = vec![peer("bbbb1111", "bo"), peer("cccc1111", "cy"), peer("dddd1111", "bo")];
    let mut scene = Scene::new(columns, rows, peers, ConnectPolicy::Newcomer);
    let connected = ConnectionState::Connected;
    for (peer_id, state, path) in [
        ("bbbb1111", connected, Some(path(false, 23_000))),
        ("cccc1111", connected, Some(path(true, 81_000))),
        ("dddd1111", ConnectionState::Connecting, None),
    ] {
        scene.room(Event::Connection { peer_id: id(peer_id), state, path });
    }
    scene.says("cccc1111", "hi! here is the log you asked for", TextKind::Plain, false);
    scene.says("cccc1111", "waves", TextKind::Action, false);
    scene.says("bbbb1111", "just between us: \u{1b}[31mit fails\u{202e} on IPv6 only", TextKind::Plain, true);
    let delivered = DeliveryState::Delivered;
    scene.send("same here", &[("bbbb1111", delivered), ("cccc1111", delivered), ("dddd1111", delivered)]);
    scene.send(
        "a longer text that has to be wrapped because it does not fit in one row of the pane",
        &[("bbbb1111", delivered), ("cccc1111", delivered)],
    );
    scene.send("/msg cy only for you 👩\u{200d}👩\u{200d}👧\u{200d}👦", &[("cccc1111", DeliveryState::Sent)]);
    scene.send(
        "first line\nsecond line",
        &[("dddd1111", DeliveryState::Failed), ("bbbb1111", delivered), ("cccc1111", delivered)],
    );
    scene.room(Event::Typing { peer_id: id("cccc1111"), active: true });
    scene
}

#[test]
fn a_busy_room_at_80x24() {
    let mut scene = busy(80, 24);
    scene.event(AppEvent::Paste("a draft\nof two lines".into()));
    insta::assert_snapshot!(scene.drawn());
}

#[test]
fn a_busy_room_at_120x40() {
    insta::assert_snapshot!(busy(120, 40).drawn());
}

#[test]
fn a_busy_room_at_40x10() {
    insta::assert_snapshot!(busy(40, 10).drawn());
}

#[test]
fn a_screen_that_is_too_small_says_so() {
    insta::assert_snapshot!(busy(39, 9).drawn());
}

#[test]
fn alone_with_manual_connections() {
    insta::assert_snapshot!(Scene::new(80, 24, Vec::new(), ConnectPolicy::Manual).drawn());
}

#[test]
fn what_came_while_reading_above_is_counted() {
    let mut scene = busy(80, 24);
    for index in 0..30 {
        scene.says("bbbb1111", &format!("line {index}"), TextKind::Plain, false);
    }
    scene.key(KeyCode::PageUp, KeyModifiers::NONE);
    scene.says("bbbb1111", "new one", TextKind::Plain, false);
    scene.says("bbbb1111", "new two", TextKind::Plain, false);
    insta::assert_snapshot!("reading_above", scene.drawn());
    scene.key(KeyCode::Char('u'), KeyModifiers::ALT);
    insta::assert_snapshot!("unread_line", scene.drawn());
}

#[test]
fn signaling_away_is_on_three_lines() {
    let mut scene = busy(80, 24);
    scene.room(Event::Signaling(SignalingState::Away { reason: "connection refused".into() }));
    insta::assert_snapshot!(scene.drawn());
}

#[test]
fn each_state_of_the_signaling_is_whole_on_the_smallest_screen() {
    let reason = || "connection refused".to_owned();
    for (state, title, status) in [
        (SignalingState::Connected, "2 connected", ""),
        (SignalingState::Away { reason: reason() }, "signaling away", "─ signaling is away ─"),
        (SignalingState::Resuming, "resuming", "─ signaling: trying to come back ─"),
        (SignalingState::Gone { reason: reason() }, "signaling gone", "─ signaling is gone"),
    ] {
        let mut scene = busy(40, 10);
        scene.room(Event::Signaling(state));
        let drawn = scene.drawn();
        assert!(drawn.lines().next().unwrap().contains(title), "{drawn}");
        assert!(drawn.contains(status), "{drawn}");
    }
}

#[test]
fn the_help_is_complete_at_every_width() {
    let mut scene = busy(80, 24);
    scene.key(KeyCode::F(1), KeyModifiers::NONE);
    insta::assert_snapshot!("help_80x24", scene.drawn());
    scene.resize(40, 10);
    scene.key(KeyCode::End, KeyModifiers::NONE);
    insta::assert_snapshot!("help_40x10_end", scene.drawn());
}

#[test]
fn the_network_view_explains_each_connection() {
    let mut scene = busy(80, 24);
    scene.key(KeyCode::Char('n'), KeyModifiers::CONTROL);
    let report = |peer_id, state, path, opened| ConnectionReport {
        peer_id: id(peer_id),
        state,
        since: Duration::from_secs(75),
        path,
        verified: false,
        opened_in: opened,
        local_candidates: 2,
        remote_candidates: 3,
        undelivered: 1,
        timeline: [(0, ConnectionStep::Gathering), (12, ConnectionStep::OfferSent)]
            .map(|(millis, step)| TimelineEntry {
                at: SystemTime::UNIX_EPOCH + Duration::from_millis(millis),
                step,
            })
            .into(),
        advice: (state == ConnectionState::Failed).then(|| "no way: ask for a TURN server".into()),
    };
    scene.event(AppEvent::Connections(vec![
        report(
            "bbbb1111",
            ConnectionState::Connected,
            Some(path(false, 900)),
            Some(Duration::from_millis(14)),
        ),
        report("dddd1111", ConnectionState::Failed, None, None),
    ]));
    insta::assert_snapshot!(scene.drawn());
}

#[test]
fn tab_lists_what_it_goes_round_through() {
    let mut scene = busy(80, 24);
    scene.event(AppEvent::Paste("/msg b".into()));
    scene.key(KeyCode::Tab, KeyModifiers::NONE);
    let drawn = scene.drawn();
    assert!(drawn.contains("─ Tab: bo#bbbb  bo#dddd ─"), "{drawn}");
    assert!(drawn.contains("> /msg bo#bbbb "), "{drawn}");
}

#[test]
fn the_roster_of_a_small_screen_lies_over_the_transcript() {
    let mut scene = busy(50, 12);
    scene.key(KeyCode::Char('p'), KeyModifiers::CONTROL);
    insta::assert_snapshot!(scene.drawn());
}

#[test]
fn without_colours_no_cell_has_one_and_otherwise_none_has_a_ground() {
    for (theme, coloured) in [(Theme::Plain, false), (Theme::Sixteen, true), (Theme::Indexed, true)] {
        let terminal = busy(80, 24).terminal(theme);
        let cells = terminal.backend().buffer().content();
        assert!(
            cells.iter().all(|cell| cell.bg == Color::Reset),
            "{theme:?}: the ground is the terminal's own"
        );
        assert_eq!(cells.iter().any(|cell| cell.fg != Color::Reset), coloured, "{theme:?}");
        let hard = [Color::White, Color::Black, Color::Gray, Color::DarkGray];
        assert!(cells.iter().all(|cell| !hard.contains(&cell.fg)), "{theme:?}: readable on light and dark");
    }
}

#[test]
fn a_resize_there_and_back_shows_the_same() {
    let mut scene = busy(80, 24);
    for index in 0..50 {
        scene.says(
            "bbbb1111",
            &format!("line {index} {}", "word ".repeat(index % 30)),
            TextKind::Plain,
            false,
        );
    }
    scene.key(KeyCode::PageUp, KeyModifiers::NONE);
    let before = scene.drawn();
    for (columns, rows) in [(40, 10), (200, 60), (10, 3), (61, 14)] {
        scene.resize(columns, rows);
        scene.drawn();
    }
    scene.resize(80, 24);
    assert_eq!(scene.drawn(), before);
}

/// One whose key is remembered under another name, and one that is called like somebody else who is.
fn remembered(columns: u16, rows: u16) -> Scene {
    let key = |number: u8| Identity::from_seed(&[number; 32]).key();
    let known = |number, name| {
        let at = "2025-09-01T10:00:00Z".parse().unwrap();
        KnownPeer { key: key(number), how: How::Compared, at, name: SafeText::line(name) }
    };
    let trust = Trust::of(vec![known(1, "carol"), known(2, "bo")]);
    let peers = vec![peer("aaaa1111", "cy"), peer("bbbb1111", "bo")];
    let mut scene = Scene::with(columns, rows, peers, ConnectPolicy::Newcomer, trust);
    let members = [("aaaa1111", "cy", 1, Judgement::Known), ("bbbb1111", "bo", 3, Judgement::Held)];
    for (peer_id, name, number, judgement) in members {
        let display_name = Untrusted::new(name);
        let (state, path) = (ConnectionState::Connected, Some(path(false, 900)));
        scene.room(Event::Connection { peer_id: id(peer_id), state, path });
        let shown = Shown {
            peer_id: id(peer_id),
            display_name: display_name.clone(),
            key: Some(key(number)),
            certificate: [number; 32],
        };
        scene.room(Event::Identity { shown, judgement });
        scene.room(Event::ChannelOpen { peer_id: id(peer_id), display_name });
        let string = ShortString::new([number; 10]);
        scene.room(Event::ShortString { peer_id: id(peer_id), string, changed: false });
    }
    scene
}

#[test]
fn a_peer_of_a_remembered_name_with_another_key_is_loud_and_one_that_is_remembered_says_as_whom() {
    insta::assert_snapshot!("remembered_80x24", remembered(80, 24).drawn());
    insta::assert_snapshot!("remembered_40x10", remembered(40, 10).drawn());
    let mut scene = remembered(80, 24);
    scene.key(KeyCode::F(3), KeyModifiers::NONE);
    insta::assert_snapshot!("remembered_verify_80x24", scene.drawn());
}

#[test]
fn a_peer_that_is_refused_is_no_longer_said_to_wait_for_a_decision() {
    let mut scene = remembered(80, 24);
    assert!(scene.drawn().contains("blocked: /verify"));
    let (peer_id, decision, result) = (id("bbbb1111"), Decision::Refuse, Ok(Outcome::Refused));
    scene.event(AppEvent::Decided { peer_id, decision, result });
    let drawn = scene.drawn();
    assert!(drawn.contains("refused: /connect") && !drawn.contains("blocked: /verify"), "{drawn}");
}
