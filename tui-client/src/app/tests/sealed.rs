//! A sealed room: no names before the proof, the code on demand, strings to compare, guesses counted.

use patchcord_peer::{Code, Identity, Judgement, ProblemCode, Shown};

use super::*;
use crate::identity::{How, KnownPeer, Trust};

const CODE: &str = "7k3m9xqd-acid-rope-yard";

fn bench(surface: Surface, made: bool, peers: Vec<Peer>) -> Bench {
    let invite = Invite { code: Code::parse(CODE).unwrap(), server: "http://host:50051".into(), made };
    Bench::of(Setup { invite: Some(invite), ..setup(surface, peers) })
}

fn on_screen(made: bool, peers: Vec<Peer>) -> Bench {
    bench(SCREEN, made, peers)
}

fn verified(peer_id: &str) -> Event {
    Event::Verified { peer_id: id(peer_id), string: string() }
}

fn open(peer_id: &str, name: &str) -> Event {
    Event::ChannelOpen { peer_id: id(peer_id), display_name: Untrusted::new(name) }
}

fn shown(bench: &Bench) -> Option<OverlayKind> {
    bench.app.screen().overlay.map(|overlay| overlay.kind)
}

#[test]
fn the_servers_word_for_a_name_is_not_shown_and_the_peers_own_is() {
    let mut bench = on_screen(false, vec![peer("bbbb1111", "sealed")]);
    assert_eq!(bench.app.roster().handle(&id("bbbb1111")).as_str(), "#bbbb");
    bench.room(Event::PeerJoined(peer("cccc1111", "ana, really")));
    assert_eq!(bench.last_text(), "#cccc joined, and is asked for the code");
    bench.room(Event::PeerUpdated(peer("cccc1111", "sealed")));
    assert_eq!(bench.app.roster().handle(&id("cccc1111")).as_str(), "#cccc");
    bench.room(verified("cccc1111"));
    bench.room(open("cccc1111", "cy"));
    assert_eq!(bench.last_text(), "chat with cy is open, verified: it knows the code");
    bench.room(Event::PeerUpdated(peer("cccc1111", "cyril")));
    assert_eq!(bench.last_text(), "cy is now cyril");
}

#[test]
fn a_peer_is_unverified_until_it_has_proved_itself_and_then_has_words_and_numbers() {
    let mut bench = on_screen(false, vec![peer("bbbb1111", "sealed"), peer("cccc1111", "sealed")]);
    bench.key(KeyCode::F(3), KeyModifiers::NONE);
    assert_eq!(shown(&bench), Some(OverlayKind::Verify));
    let before = bench.rows(OverlayKind::Verify);
    assert!(before.contains("#bbbb: unverified") && !before.contains("How to compare"), "{before}");
    bench.room(verified("bbbb1111"));
    bench.room(open("bbbb1111", "bo"));
    let after = bench.rows(OverlayKind::Verify);
    let numbers = string().numbers().map(|number| number.to_string()).join(" ");
    for part in ["bo: verified by the code", &string().words().join(" "), &numbers, "#cccc: unverified"] {
        assert!(after.contains(part), "{part}: {after}");
    }
    bench.key(KeyCode::Esc, KeyModifiers::NONE);
    assert_eq!(bench.enter("/verify bo"), []);
    let one = bench.rows(OverlayKind::Verify);
    assert!(one.contains("bo: verified") && !one.contains("#cccc"), "{one}");
    bench.key(KeyCode::Esc, KeyModifiers::NONE);
    bench.enter("/verify nobody");
    assert!(bench.hint().contains("nobody here is called"), "{}", bench.hint());
    bench.control('c');
    bench.enter("/who");
    assert!(bench.last_text().contains("bo: connected, verified (id bbbb1111)"), "{}", bench.last_text());
    assert!(bench.last_text().contains(", unverified (id cccc1111)"), "{}", bench.last_text());
}

#[test]
fn a_code_that_was_made_just_now_is_shown_until_somebody_has_used_it() {
    let mut bench = on_screen(true, Vec::new());
    assert_eq!(shown(&bench), Some(OverlayKind::Code));
    let text = bench.rows(OverlayKind::Code).replace("\n ", " ").replace("  ", " ");
    for part in [CODE, "patchcord join --server http://host:50051", "or in one line"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    bench.room(Event::PeerJoined(peer("bbbb1111", "sealed")));
    assert_eq!(shown(&bench), Some(OverlayKind::Code), "it may not know the code");
    bench.room(verified("bbbb1111"));
    assert_eq!(shown(&bench), None);
    bench.enter("/code");
    assert_eq!(shown(&bench), Some(OverlayKind::Code));
    bench.room(Event::PeerJoined(peer("cccc1111", "sealed")));
    bench.room(verified("cccc1111"));
    assert_eq!(shown(&bench), Some(OverlayKind::Code), "it was asked for");
    assert_eq!(shown(&on_screen(false, Vec::new())), None, "who typed the code knows it");
}

#[test]
fn the_qr_code_is_there_only_where_it_fits_whole() {
    let mut bench = on_screen(true, Vec::new());
    assert!(bench.app.qr_fits());
    for (columns, rows) in [(40, 10), (68, 24), (80, 22), (200, 22)] {
        bench.event(AppEvent::Resize { columns, rows });
        assert!(!bench.app.qr_fits(), "{columns}x{rows}");
    }
    bench.event(AppEvent::Resize { columns: 69, rows: 23 });
    assert!(bench.app.qr_fits(), "as the text says that stands there instead");
    bench.event(AppEvent::Resize { columns: 60, rows: 24 });
    assert!(bench.rows(OverlayKind::Code).contains("from 69 columns and 23 rows on"));
    assert!(!Bench::pair().app.qr_fits(), "an open room has none");
}

#[test]
fn wrong_words_are_told_with_how_many_more_the_code_stands() {
    let mut bench = on_screen(false, vec![peer("bbbb1111", "sealed")]);
    bench.room(Event::GuessesUsed { used: 3 });
    let message = "the words of the code do not match".to_owned();
    bench.room(Event::Problem { code: ProblemCode::OtherCode, peer_id: Some(id("bbbb1111")), message });
    assert_eq!(
        bench.last_text(),
        "#bbbb: the words of the code do not match (wrong words so far: 3; at 16 the code is used up)"
    );
    assert!(bench.rows(OverlayKind::Code).contains("Wrong words so far: 3"));
}

#[test]
fn on_lines_code_and_strings_are_entries() {
    let mut lines = bench(Surface::Lines, true, vec![peer("bbbb1111", "sealed")]);
    assert_eq!(lines.app.screen().overlay, None);
    lines.room(verified("bbbb1111"));
    lines.event(AppEvent::Line("/verify".into()));
    assert!(lines.last_text().contains(&string().to_string()), "{}", lines.last_text());
    lines.event(AppEvent::Line("/code".into()));
    assert!(lines.last_text().starts_with(CODE), "{}", lines.last_text());
}

#[test]
fn a_warning_names_who_is_imitated_before_the_channel_is_open() {
    let key = |number| Identity::from_seed(&[number; 32]).key();
    let at = "2026-11-28T12:00:00Z".parse().unwrap();
    let known = KnownPeer { key: key(1), how: How::Compared, at, name: SafeText::line("bo") };
    let invite = Invite { code: Code::parse(CODE).unwrap(), server: "http://host:50051".into(), made: false };
    let peers = vec![peer("bbbb1111", "sealed")];
    let trust = Trust::of(vec![known]);
    let mut bench = Bench::of(Setup { invite: Some(invite), trust, ..setup(SCREEN, peers) });
    bench.room(verified("bbbb1111"));
    let display_name = Untrusted::new("bo");
    let shown = Shown { peer_id: id("bbbb1111"), display_name, key: Some(key(2)), certificate: [1; 32] };
    bench.room(Event::Identity { shown, judgement: Judgement::Held });
    let warning = "WARNING: bo is not the bo that you verified on 2026-11-28";
    assert!(bench.last_text().starts_with(warning), "{}", bench.last_text());
    assert!(bench.last_text().contains("/refuse bo"), "{}", bench.last_text());
    bench.room(open("bbbb1111", "bo"));
    assert_eq!(bench.last_text(), "chat with bo is open, and blocked");
}
