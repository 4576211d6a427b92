//! Measures what a frame costs while a long transcript is scrolled: key to drawn buffer, no terminal.
//! `cargo run --release -p patchcord --example scroll -- 100000`

use std::time::{Duration, Instant, SystemTime};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::{Timestamp, tz::TimeZone};
use patchcord::{
    app::{App, AppEvent, Setup, Surface},
    clock::Moment,
    theme::Theme,
    ui,
};
use patchcord_peer::{ConnectPolicy, Event, Message, MessageId, Peer, PeerId, RoomInfo, TextKind, Untrusted};
use ratatui::{Terminal, backend::TestBackend};

const COLUMNS: u16 = 120;
const ROWS: u16 = 40;
const FRAMES: usize = 2000;

fn main() -> anyhow::Result<()> {
    let messages = std::env::args().nth(1).map_or(Ok(100_000), |count| count.parse::<u64>())?;
    let id = |text| PeerId::parse(text).ok_or_else(|| anyhow::anyhow!("{text} is a peer id"));
    let (me, bo) = (id("meme2222")?, id("bbbb1111")?);
    let peer = Peer {
        id: bo.clone(),
        display_name: Untrusted::new("bo"),
        joined_at: SystemTime::UNIX_EPOCH,
        attached: true,
    };
    let info = RoomInfo {
        peer_id: me,
        room: "lobby".into(),
        display_name: "me".into(),
        peers: vec![peer],
        server: "none".into(),
        permissions: Vec::new(),
    };
    let setup = Setup {
        connect_policy: ConnectPolicy::Manual,
        ..Setup::new(info, Surface::Screen { columns: COLUMNS, rows: ROWS }, TimeZone::system())
    };
    let mut app = App::new(setup, moment(0)?);
    for index in 0..messages {
        let words = usize::try_from(index % 60)?;
        let text = format!("message {index} 漢字 é 👩‍👩‍👧‍👦 {}", "some more words ".repeat(words / 4));
        let message = Message {
            id: MessageId(index),
            peer_id: bo.clone(),
            text: Untrusted::new(text),
            kind: TextKind::Plain,
            direct: false,
            sent_at: SystemTime::UNIX_EPOCH,
        };
        app.update(AppEvent::Room(Event::Message(message)), moment(i64::try_from(index)?)?);
    }
    let mut terminal = Terminal::new(TestBackend::new(COLUMNS, ROWS))?;
    let none = KeyModifiers::NONE;
    for (name, code, modifiers, count) in [
        ("page up", KeyCode::PageUp, none, FRAMES),
        ("page down", KeyCode::PageDown, none, FRAMES),
        ("oldest", KeyCode::Home, KeyModifiers::CONTROL, 1),
        ("page down from the oldest", KeyCode::PageDown, none, FRAMES),
        ("newest", KeyCode::End, KeyModifiers::CONTROL, 1),
        ("a key typed", KeyCode::Char('x'), none, FRAMES),
    ] {
        let mut times = Vec::new();
        for _ in 0..count {
            let start = Instant::now();
            app.update(AppEvent::Key(KeyEvent::new(code, modifiers)), moment(0)?);
            terminal.draw(|frame| ui::draw(&app, Theme::Indexed, frame))?;
            times.push(start.elapsed());
        }
        times.sort();
        let at = |part: usize| times[(times.len() - 1) * part / 100];
        println!(
            "{name:<26} {messages} messages, {COLUMNS}x{ROWS}: median {:?}, 99th percentile {:?}, worst {:?}",
            at(50),
            at(99),
            at(100)
        );
    }
    Ok(())
}

fn moment(seconds: i64) -> anyhow::Result<Moment> {
    Ok(Moment { wall: Timestamp::from_second(1_700_000_000 + seconds)?, uptime: Duration::ZERO })
}
