//! The app as a function: events in, state and effects out.

use std::time::{Duration, SystemTime};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use patchcord_peer::{
    ConnectionState, DeliveryState, Departure, Event, LeaveReason, Message, MessageId, Peer, PeerId,
    Recipients, SendError, ShortString, TextKind, Untrusted,
};

use super::*;
use crate::app::{screen::OverlayKind, viewport::Viewport};

mod delivering;
mod identity;
mod interruption;
mod lines;
mod naming;
mod parting;
mod refusing;
mod sealed;
mod signaling;

struct Bench {
    app: App,
    uptime: Duration,
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

const SCREEN: Surface = Surface::Screen { columns: 80, rows: 24 };

fn setup(surface: Surface, peers: Vec<Peer>) -> Setup {
    let info = RoomInfo {
        peer_id: id("meme2222"),
        room: "lobby".into(),
        display_name: "me".into(),
        peers,
        server: "patchcord-server/0".into(),
        permissions: Vec::new(),
    };
    Setup::new(info, surface, TimeZone::UTC)
}

/// What both sides can compare.
fn string() -> ShortString {
    ShortString::new([7; 10])
}

impl Bench {
    fn of(setup: Setup) -> Self {
        let uptime = Duration::from_secs(100);
        Self { app: App::new(setup, Moment { wall: Timestamp::UNIX_EPOCH, uptime }), uptime }
    }

    fn on(surface: Surface, policy: ConnectPolicy, peers: Vec<Peer>) -> Self {
        Self::of(Setup { connect_policy: policy, ..setup(surface, peers) })
    }

    fn with(peers: Vec<Peer>) -> Self {
        Self::on(SCREEN, ConnectPolicy::Newcomer, peers)
    }

    fn pair() -> Self {
        Self::with(vec![peer("bbbb1111", "bo")])
    }

    fn after(&mut self, seconds: u64, event: AppEvent) -> Vec<Effect> {
        self.uptime += Duration::from_secs(seconds);
        self.app.update(event, Moment { wall: Timestamp::UNIX_EPOCH, uptime: self.uptime })
    }

    fn event(&mut self, event: AppEvent) -> Vec<Effect> {
        self.after(0, event)
    }

    fn room(&mut self, event: Event) -> Vec<Effect> {
        self.event(AppEvent::Room(event))
    }

    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) -> Vec<Effect> {
        self.event(AppEvent::Key(KeyEvent::new(code, modifiers)))
    }

    fn control(&mut self, c: char) -> Vec<Effect> {
        self.key(KeyCode::Char(c), KeyModifiers::CONTROL)
    }

    /// Types and presses Enter; typing notices are left out.
    fn enter(&mut self, text: &str) -> Vec<Effect> {
        let mut effects = self.event(AppEvent::Paste(text.into()));
        effects.extend(self.key(KeyCode::Enter, KeyModifiers::NONE));
        effects.retain(|effect| !matches!(effect, Effect::Typing { .. }));
        effects
    }

    fn message(&mut self, from: &str, text: &str) -> Vec<Effect> {
        self.room(Event::Message(Message {
            id: MessageId(1),
            peer_id: id(from),
            text: Untrusted::new(text),
            kind: TextKind::Plain,
            direct: false,
            sent_at: SystemTime::UNIX_EPOCH,
        }))
    }

    fn receipt(&mut self, message: u64, from: &str, state: DeliveryState) {
        self.room(Event::Receipt { message_id: MessageId(message), peer_id: id(from), state });
    }

    fn departed(&mut self, undelivered: Vec<(MessageId, PeerId)>, reason: EndReason) -> Vec<Effect> {
        self.event(AppEvent::Departed(Departure { undelivered, reason }))
    }

    fn last_text(&self) -> String {
        let transcript = self.app.transcript();
        let entry = transcript.at(transcript.len() - 1).unwrap();
        crate::app::block::shown_text(&entry.body).to_string()
    }

    fn rows(&self, kind: OverlayKind) -> String {
        let rows = self.app.overlay_rows(kind, 76);
        rows.iter().map(|row| row.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    fn hint(&self) -> String {
        self.app.hint().map(ToString::to_string).unwrap_or_default()
    }

    fn delivery(&self, entry: EntryId) -> DeliveryState {
        match &self.app.transcript().get(entry).unwrap().body {
            Body::Said(Said { delivery: Some(delivery), .. }) => delivery.state(),
            other => panic!("{other:?}"),
        }
    }
}

fn sent_entry(effects: &[Effect]) -> EntryId {
    match effects {
        [Effect::Send { entry, .. }] => *entry,
        other => panic!("{other:?}"),
    }
}

#[test]
fn own_text_is_shown_at_once_as_queued_and_follows_its_receipts() {
    let mut bench = Bench::pair();
    let effects = bench.enter("hello");
    let entry = sent_entry(&effects);
    assert_eq!(bench.last_text(), "hello");
    assert_eq!(bench.delivery(entry), DeliveryState::Queued);
    bench.event(AppEvent::Sent { entry, result: Ok(MessageId(1)) });
    bench.receipt(1, "bbbb1111", DeliveryState::Sent);
    assert_eq!(bench.delivery(entry), DeliveryState::Sent);
    bench.receipt(1, "bbbb1111", DeliveryState::Delivered);
    assert_eq!(bench.delivery(entry), DeliveryState::Delivered);
    assert!(bench.app.composer().is_empty());
}

#[test]
fn a_receipt_that_overtakes_the_answer_is_not_lost() {
    let mut bench = Bench::pair();
    let first = sent_entry(&bench.enter("one"));
    let second = sent_entry(&bench.enter("two"));
    bench.receipt(1, "bbbb1111", DeliveryState::Delivered);
    bench.event(AppEvent::Sent { entry: first, result: Ok(MessageId(1)) });
    bench.event(AppEvent::Sent { entry: second, result: Ok(MessageId(2)) });
    assert_eq!(bench.delivery(first), DeliveryState::Delivered);
    assert_eq!(bench.delivery(second), DeliveryState::Queued);
}

#[test]
fn a_refused_text_is_marked_and_the_reason_told() {
    let mut bench = Bench::pair();
    let entry = sent_entry(&bench.enter("hello"));
    bench.event(AppEvent::Sent { entry, result: Err(SendError::NobodyHere.into()) });
    assert_eq!(bench.delivery(entry), DeliveryState::Failed);
    assert_eq!(bench.last_text(), "not sent: nobody else is here");
    let entry = sent_entry(&bench.enter("a long one"));
    let too_long = SendError::TooLong { bytes: 20, max: 10 };
    bench.event(AppEvent::Sent { entry, result: Err(too_long.into()) });
    assert!(bench.last_text().ends_with("send it in parts (Up brings it back)"), "{}", bench.last_text());
    bench.key(KeyCode::Up, KeyModifiers::NONE);
    assert_eq!(bench.app.composer().text(), "a long one");
}

#[test]
fn with_nobody_there_or_a_mistyped_command_the_text_stays() {
    let mut bench = Bench::with(Vec::new());
    assert_eq!(bench.enter("hello"), []);
    assert_eq!(
        (bench.app.composer().text(), bench.hint()),
        ("hello".into(), "nobody else is here yet".into())
    );
    bench.control('c');
    assert_eq!(bench.enter("/qiut"), []);
    assert_eq!(bench.app.composer().text(), "/qiut");
    assert!(bench.hint().contains("did you mean /quit?"), "{}", bench.hint());
}

#[test]
fn a_hint_that_does_not_fit_can_be_read_in_the_transcript() {
    let mut bench = Bench::with(Vec::new());
    let entries = bench.app.transcript().len();
    bench.enter("/qiut");
    assert!(bench.app.status_columns() >= bench.hint().len(), "{}", bench.hint());
    assert_eq!(bench.app.transcript().len(), entries);
    bench.event(AppEvent::Resize { columns: 40, rows: 10 });
    bench.enter("");
    assert_eq!(bench.last_text(), "there is no command /qiut: did you mean /quit? (// sends a slash)");
    assert_eq!(bench.hint(), bench.last_text());
}

#[test]
fn a_direct_text_goes_to_the_one_that_is_named() {
    let mut bench = Bench::with(vec![peer("bbbb1111", "bo"), peer("cccc1111", "bo")]);
    assert_eq!(bench.enter("/msg bo hi"), []);
    assert!(bench.hint().contains("bo#bbbb or bo#cccc"), "{}", bench.hint());
    bench.control('c');
    let effects = bench.enter("/msg bo#cc hi there");
    let [Effect::Send { to, text, kind, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((to, text.as_str()), (&Recipients::Peer(id("cccc1111")), "hi there"));
    assert_eq!(*kind, TextKind::Plain);
    assert_eq!(bench.last_text(), "(to bo#cccc alone) hi there");
}

#[test]
fn with_manual_connections_nothing_begins_before_connect() {
    let peers = vec![peer("bbbb1111", "bo"), peer("cccc1111", "cy")];
    let mut bench = Bench::on(Surface::Screen { columns: 80, rows: 24 }, ConnectPolicy::Manual, peers);
    assert_eq!(bench.last_text(), "nothing is connected until you write /connect");
    assert_eq!(bench.enter("/connect cy"), [Effect::Connect { peer_id: id("cccc1111") }]);
    bench.room(Event::ChannelOpen { peer_id: id("cccc1111"), display_name: Untrusted::new("cy") });
    assert_eq!(bench.enter("/connect"), [Effect::Connect { peer_id: id("bbbb1111") }]);
    assert_eq!(bench.enter("/connect cy"), []);
    assert_eq!(bench.hint(), "cy is connected");
}

#[test]
fn texts_that_come_while_one_reads_above_are_counted_and_marked() {
    let mut bench = Bench::pair();
    for index in 0..60 {
        bench.message("bbbb1111", &format!("line {index}"));
    }
    assert_eq!(bench.app.screen().unread, 0);
    bench.key(KeyCode::PageUp, KeyModifiers::NONE);
    let reading = bench.app.screen().viewport;
    assert_ne!(reading, Viewport::Newest);
    bench.message("bbbb1111", "new one");
    bench.message("bbbb1111", "new two");
    assert_eq!(
        (bench.app.screen().unread, bench.app.screen().viewport),
        (2, reading),
        "the view has not moved"
    );
    let line = bench.app.screen().unread_line.unwrap();
    assert_eq!(bench.app.transcript().index(line), Some(bench.app.transcript().len() - 2));
    bench.key(KeyCode::End, KeyModifiers::CONTROL);
    assert_eq!(bench.app.screen().unread, 0);
    assert_eq!(bench.app.screen().unread_line, Some(line), "the line stays until one answers");
    bench.enter("seen");
    assert_eq!(bench.app.screen().unread_line, None);
}

#[test]
fn an_unfocused_window_counts_and_rings_but_not_at_every_text() {
    let mut bench = Bench::pair();
    assert_eq!(bench.message("bbbb1111", "one"), [], "a terminal that tells nothing of focus is not rung");
    bench.event(AppEvent::Focus(false));
    assert_eq!(bench.message("bbbb1111", "two"), [Effect::Bell]);
    assert_eq!(bench.message("bbbb1111", "three"), []);
    assert_eq!(bench.app.screen().unread, 2);
    bench.after(BELL_INTERVAL.as_secs(), AppEvent::Focus(true));
    assert_eq!(bench.app.screen().unread, 0);
    assert_eq!(bench.message("bbbb1111", "four"), []);
}

#[test]
fn ctrl_c_clears_and_twice_on_an_empty_input_leaves() {
    let mut bench = Bench::pair();
    bench.event(AppEvent::Paste("draft".into()));
    bench.control('c');
    assert!(bench.app.composer().is_empty());
    bench.key(KeyCode::Up, KeyModifiers::NONE);
    assert_eq!(bench.app.composer().text(), "draft", "it is not lost");
    bench.control('c');
    assert_eq!(bench.control('c'), []);
    bench.after(INTERRUPT_TIME.as_secs(), AppEvent::Timer);
    assert_eq!(bench.control('c'), [], "too late: that was the first of two");
    assert_eq!(bench.control('c'), [Effect::Leave]);
    assert_eq!(bench.departed(Vec::new(), EndReason::Left), [Effect::Quit]);
}

#[test]
fn typing_is_told_and_never_for_commands_and_expires() {
    let mut bench = Bench::pair();
    let key = |c| AppEvent::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
    assert_eq!(bench.event(key('h')), [Effect::Typing { active: true }]);
    assert_eq!(bench.event(key('i')), [Effect::Typing { active: true }], "the room knows how often to tell");
    assert_eq!(bench.control('u'), [Effect::Typing { active: false }]);
    assert_eq!(bench.control('u'), []);
    assert_eq!(bench.event(key('/')), []);

    assert_eq!(bench.app.deadline(), None, "with nothing due no timer is armed");
    bench.room(Event::Typing { peer_id: id("bbbb1111"), active: true });
    assert_eq!(bench.app.deadline(), Some(bench.uptime + TYPING_TIME));
    bench.after(TYPING_TIME.as_secs(), AppEvent::Timer);
    assert!(bench.app.roster().members()[0].typing_until.is_none());
    assert_eq!(bench.app.deadline(), None);
}

#[test]
fn a_text_says_by_itself_that_it_is_finished() {
    let mut bench = Bench::pair();
    bench.event(AppEvent::Paste("hello".into()));
    let effects = bench.key(KeyCode::Enter, KeyModifiers::NONE);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Typing { .. })), "{effects:?}");
    assert_eq!(bench.control('u'), [], "nothing to take back");
    bench.event(AppEvent::Paste("/me half".into()));
    assert_eq!(bench.control('u'), [Effect::Typing { active: false }]);
}

#[test]
fn a_long_name_is_whole_in_the_roster_of_a_small_screen() {
    let name = "a rather long name that fills sixty-four bytes, as many as it may";
    let bench = Bench::with(vec![peer("bbbb1111", name)]);
    let rows = bench.app.overlay_rows(OverlayKind::Roster, 36);
    assert!(rows.iter().all(|row| row.text.as_str().len() <= 36), "{rows:?}");
    let whole = rows.iter().map(|row| row.text.as_str()).collect::<Vec<_>>().join(" ");
    assert!(whole.contains(name), "{whole}");
}

#[test]
fn the_network_view_asks_for_reports_only_while_it_is_open() {
    let mut bench = Bench::pair();
    assert_eq!(bench.control('n'), [Effect::FetchConnections]);
    assert_eq!(bench.event(AppEvent::Timer), [], "not before it is due");
    assert_eq!(bench.after(NETWORK_INTERVAL.as_secs(), AppEvent::Timer), [Effect::FetchConnections]);
    bench.key(KeyCode::Esc, KeyModifiers::NONE);
    assert_eq!((bench.app.screen().overlay, bench.app.deadline()), (None, None));
}

#[test]
fn keys_in_an_overlay_scroll_it_and_write_nothing() {
    let mut bench = Bench::pair();
    bench.key(KeyCode::F(1), KeyModifiers::NONE);
    bench.key(KeyCode::Char('x'), KeyModifiers::NONE);
    for _ in 0..100 {
        bench.key(KeyCode::Down, KeyModifiers::NONE);
    }
    let overlay = bench.app.screen().overlay.unwrap();
    assert_eq!(overlay.kind, OverlayKind::Help);
    assert!(overlay.scroll > 5 && overlay.scroll < 50, "it stops at the end: {}", overlay.scroll);
    bench.key(KeyCode::Esc, KeyModifiers::NONE);
    assert!(bench.app.screen().overlay.is_none() && bench.app.composer().is_empty());
}

#[test]
fn what_happens_in_the_room_is_told() {
    let mut bench = Bench::pair();
    bench.room(Event::Signaling(SignalingState::Away { reason: "connection refused".into() }));
    assert!(bench.last_text().starts_with("signaling is away (connection refused)"));
    bench.room(Event::Signaling(SignalingState::Connected));
    assert_eq!(bench.last_text(), "signaling is back");
    bench.room(Event::Rejoined { peer_id: id("dddd1111") });
    assert_eq!(bench.last_text(), "the server had forgotten us: joined again");
    bench.room(Event::PeerJoined(peer("cccc1111", "c\u{1b}y")));
    assert_eq!(bench.last_text(), "c␛y joined");
    bench.room(Event::PeerUpdated(peer("cccc1111", "cyril")));
    assert_eq!(bench.last_text(), "c␛y is now cyril");
    bench.room(Event::PeerLeft { peer_id: id("cccc1111"), reason: LeaveReason::Disconnected });
    assert_eq!(bench.last_text(), "cyril left (connection lost)");
    bench.room(Event::Connection { peer_id: id("bbbb1111"), state: ConnectionState::Failed, path: None });
    assert_eq!(bench.app.roster().members()[0].state, ConnectionState::Failed);
    bench.room(Event::ChannelOpen { peer_id: id("bbbb1111"), display_name: Untrusted::new("bob") });
    let texts: Vec<_> = bench.app.transcript().since(EntryId(0)).map(|entry| &entry.body).collect();
    let is_notice =
        |body: &&Body, wanted| matches!(body, Body::Notice { text, .. } if text.as_str() == wanted);
    assert!(is_notice(&texts[texts.len() - 2], "bo is now bob"), "{texts:?}");
    bench.event(AppEvent::Panicked("boom".into()));
    assert_eq!(bench.last_text(), "a part of the program failed: boom");
}
