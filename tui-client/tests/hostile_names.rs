//! Names, texts and words of a server that would act on a terminal, through a terminal's parser: it finds nothing to do but
//! print, and what the client itself has it do. Whole frames as they are written, and real clients.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, SystemTime},
};

use kit::{pty::Pty, server::Server};
use patchcord::{
    app::{App, AppEvent, Setup, Surface},
    clock::Moment,
    identity::{Decision, How, KnownPeer, Outcome, Trust},
    safe_text::SafeText,
    theme::Theme,
    ui,
};
use patchcord_peer::{
    ConnectPolicy, ConnectionState, Event, Identity, Judgement, Message, MessageId, Peer, PeerId,
    ProblemCode, RoomInfo, ShortString, Shown, SignalingState, TextKind, Untrusted,
};
use proptest::prelude::*;
use ratatui::{Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};

/// What a terminal is made to do, other than printing: each kind of sequence once.
#[derive(Default)]
struct Acts(BTreeSet<String>);

impl vte::Perform for Acts {
    fn print(&mut self, c: char) {
        if c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}')
        {
            self.0.insert(format!("print {c:?}"));
        }
    }
    fn execute(&mut self, byte: u8) {
        self.0.insert(format!("execute {byte:#x}"));
    }
    fn hook(&mut self, _: &vte::Params, _: &[u8], _: bool, c: char) {
        self.0.insert(format!("hook {c:?}"));
    }
    fn put(&mut self, byte: u8) {
        self.0.insert(format!("put {byte:#x}"));
    }
    fn osc_dispatch(&mut self, words: &[&[u8]], _: bool) {
        self.0.insert(format!("osc {:?}", words.first().map(|word| String::from_utf8_lossy(word))));
    }
    fn csi_dispatch(&mut self, params: &vte::Params, intermediates: &[u8], _: bool, c: char) {
        // Which mode is switched matters; where the cursor goes and in what colour does not.
        let mode = matches!(c, 'h' | 'l').then(|| params.iter().flatten().copied().collect::<Vec<_>>());
        self.0.insert(format!("csi {:?}{mode:?}{c:?}", String::from_utf8_lossy(intermediates)));
    }
    fn esc_dispatch(&mut self, intermediates: &[u8], _: bool, byte: u8) {
        self.0.insert(format!("esc {intermediates:?}{byte:#x}"));
    }
}

fn acts(bytes: &[u8]) -> BTreeSet<String> {
    let mut acts = Acts::default();
    vte::Parser::new().advance(&mut acts, bytes);
    acts.0
}

/// Position, colours and attributes, and the cursor's: what ratatui writes for a frame.
fn of_a_frame() -> BTreeSet<String> {
    ["csi \"\"None'H'", "csi \"\"None'm'", "csi \"?\"Some([25])'h'", "csi \"?\"Some([25])'l'"]
        .map(str::to_owned)
        .into()
}

/// What a name or a text may be made of.
const PIECES: [&str; 25] = [
    "\u{1b}[2J",
    "\u{1b}]0;title\u{7}",
    "\u{1b}P1$r\u{1b}\\",
    "\u{9b}31m",
    "\u{1b}[?1049l",
    "\r",
    "\n",
    "\u{8}\u{8}",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
    "\u{e0041}",
    "漢",
    "👩\u{200d}🚀",
    "\u{1b}",
    "\u{90}",
    "\u{9d}",
    "\u{7f}",
    "a",
    "plain text",
    "\u{1b}[6n",
    "\u{1b}c",
    "\u{e}",
    "\u{2028}",
];

fn hostile() -> impl Strategy<Value = String> {
    let known = prop::sample::select(&PIECES[..]).prop_map(str::to_owned);
    let piece = prop_oneof![4 => known, 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// The one of that id is known under another name, and any other takes a name that is somebody's.
const KNOWN: &str = "bbbb1111";

fn remembered(number: u8, name: &str) -> KnownPeer {
    let key = Identity::from_seed(&[number; 32]).key();
    let name = SafeText::name(&Untrusted::new(name));
    KnownPeer { key, how: How::Compared, at: jiff::Timestamp::UNIX_EPOCH, name }
}

fn shown(peer_id: &str, name: &str) -> Shown {
    let (own, other) = (Some(remembered(1, name).key), format!("x{name}"));
    let (key, name) = if peer_id == KNOWN { (own, other) } else { (None, name.to_owned()) };
    let peer_id = PeerId::parse(peer_id).unwrap();
    Shown { peer_id, display_name: Untrusted::new(name), key, certificate: [7; 32] }
}

/// The bytes of a frame in which everything that others can say is said.
fn frame(name: &str, text: &str, columns: u16, rows: u16) -> Vec<u8> {
    let peer = |peer_id: &str| Peer {
        id: PeerId::parse(peer_id).unwrap(),
        display_name: Untrusted::new(name),
        joined_at: SystemTime::UNIX_EPOCH,
        attached: true,
    };
    let info = RoomInfo {
        peer_id: PeerId::parse("meme2222").unwrap(),
        room: name.into(),
        display_name: name.into(),
        peers: vec![peer(KNOWN)],
        server: text.into(),
        permissions: Vec::new(),
    };
    let known = vec![remembered(1, text), remembered(2, name)];
    let setup = Setup {
        connect_policy: ConnectPolicy::Newcomer,
        ..Setup::new(info, Surface::Screen { columns, rows }, jiff::tz::TimeZone::UTC)
    };
    let now = Moment { wall: jiff::Timestamp::UNIX_EPOCH, uptime: Duration::from_secs(1) };
    let mut app = App::new(Setup { trust: Trust::of(known.clone()), ..setup }, now);
    let peer_id = PeerId::parse(KNOWN).unwrap();
    let message = |kind, direct| Message {
        id: MessageId(1),
        peer_id: peer_id.clone(),
        text: Untrusted::new(text),
        kind,
        direct,
        sent_at: SystemTime::UNIX_EPOCH,
    };
    for event in [
        Event::PeerJoined(peer("cccc1111")),
        Event::Connection { peer_id: peer_id.clone(), state: ConnectionState::Failed, path: None },
        Event::Identity { shown: shown(KNOWN, name), judgement: Judgement::Known },
        Event::ChannelOpen { peer_id: peer_id.clone(), display_name: Untrusted::new(name) },
        Event::Identity { shown: shown("cccc1111", name), judgement: Judgement::Held },
        Event::Message(message(TextKind::Plain, false)),
        Event::Message(message(TextKind::Action, true)),
        Event::Typing { peer_id: peer_id.clone(), active: true },
        Event::Problem { code: ProblemCode::Rejected, peer_id: Some(peer_id.clone()), message: text.into() },
        Event::Signaling(SignalingState::Away { reason: text.into() }),
    ] {
        app.update(AppEvent::Room(event), now);
    }
    let decision = Decision::Verified { shown: shown(KNOWN, name), string: ShortString::new([7; 10]) };
    let result = Ok(Outcome::Remembered { forgotten: vec![known[1].clone()] });
    app.update(AppEvent::Decided { peer_id, decision, result }, now);
    // What one pastes is shown as well.
    app.update(AppEvent::Paste(text.into()), now);
    let mut written = Vec::new();
    let viewport = Viewport::Fixed(Rect::new(0, 0, columns, rows));
    let mut terminal =
        Terminal::with_options(CrosstermBackend::new(&mut written), TerminalOptions { viewport }).unwrap();
    terminal.draw(|frame| ui::draw(&app, Theme::Indexed, frame)).unwrap();
    drop(terminal);
    written
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn a_frame_has_a_terminal_do_nothing_but_what_drawing_takes(name in hostile(), text in hostile(), wide: bool) {
        let (columns, rows) = if wide { (200, 50) } else { (80, 24) };
        let acts = acts(&frame(&name, &text, columns, rows));
        let own = of_a_frame();
        let foreign: Vec<_> = acts.difference(&own).collect();
        prop_assert!(foreign.is_empty(), "{foreign:?}");
    }
}

#[test]
fn the_parser_of_these_tests_notices_what_it_should() {
    assert!(acts(b"\x1b]0;title\x07").contains("osc Some(\"0\")"));
    assert!(!acts(b"\x1b[?1049l").is_subset(&of_a_frame()));
    assert!(!acts("\u{202e}".as_bytes()).is_subset(&of_a_frame()));
    assert!(acts(&frame("bo", "hello", 80, 24)).contains("csi \"\"None'H'"), "frames are written");
}

/// In a sealed room names come from peer to peer: no server has looked at them.
fn sealed(server: &Server, home: &Path, name: &str, code: &str, more: &[&str]) -> Pty {
    let url = server.url();
    let log = home.join("log");
    let here = ["join", "--server", &url, "--name", name, "--local-address", "127.0.0.1", code];
    let logged = ["--log-file", log.to_str().unwrap(), "--log-level", "trace"];
    let environment = [("XDG_STATE_HOME", home.to_str().unwrap())];
    let arguments = [&here[..], &logged, more].concat();
    Pty::run_with(Path::new(env!("CARGO_BIN_EXE_patchcord")), &arguments, &environment, 80, 24)
}

/// What the terminals of a screen and of a plain client are made to do while somebody of that name is here, and the logs.
fn beside(name: &str, shown: &str) -> (BTreeSet<String>, BTreeSet<String>, String) {
    let server = Server::start();
    let homes = [(); 3].map(|()| tempfile::TempDir::new().unwrap());
    let code = "7k3m9xqd-acid-rope-yard";
    let screen = sealed(&server, homes[0].path(), "ana", code, &[]);
    screen.wait_text("you are ana");
    let plain = sealed(&server, homes[1].path(), "bo", code, &["--plain"]);
    screen.wait_text("chat with bo is open");
    let mallory = sealed(&server, homes[2].path(), name, code, &["--plain"]);
    for pty in [&screen, &plain] {
        pty.wait_text(&format!("chat with {shown} is open"));
    }
    mallory.enter("a word");
    for pty in [&screen, &plain] {
        pty.wait_text("a word");
    }
    let logs = homes[..2].iter().map(|home| std::fs::read_to_string(home.path().join("log")).unwrap());
    (acts(&screen.raw()), acts(&plain.raw()), logs.collect())
}

#[test]
fn beside_somebody_with_a_hostile_name_real_clients_write_what_they_write_beside_anybody() {
    let (screen, plain, _) = beside("cy", "cy");
    let (hostile_screen, hostile_plain, logs) =
        beside("\u{1b}]0;x\u{7}\u{202e}\u{9b}2Jm", "␛]0;x␇⟨RLO⟩⟨U+009B⟩2Jm");
    assert!(hostile_screen.is_subset(&screen), "{:?}", hostile_screen.difference(&screen));
    assert!(hostile_plain.is_subset(&plain), "{:?}", hostile_plain.difference(&plain));
    assert!(
        !logs.is_empty() && !logs.chars().any(|c| c.is_control() && c != '\n'),
        "the log holds a control character"
    );
}
