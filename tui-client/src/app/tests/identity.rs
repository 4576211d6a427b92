//! Peers that are remembered, and peers that are called like one and are not: what is shown, what is asked, what is decided.

use patchcord_peer::{Identity, IdentityKey, Judgement, ShortString, Shown};

use super::*;
use crate::{
    app::roster::Verification,
    identity::{Decision, How, KnownPeer, Outcome, Trust},
    safe_text::SafeText,
};

fn key(number: u8) -> IdentityKey {
    Identity::from_seed(&[number; 32]).key()
}

fn known(number: u8, name: &str) -> KnownPeer {
    let at = "2026-11-28T12:00:00Z".parse().unwrap();
    KnownPeer { key: key(number), how: How::Compared, at, name: SafeText::line(name) }
}

fn bench(surface: Surface, remembered: Vec<KnownPeer>, peers: Vec<Peer>) -> Bench {
    let info = RoomInfo {
        peer_id: id("meme2222"),
        room: "lobby".into(),
        display_name: "me".into(),
        peers,
        server: "patchcord-server/0".into(),
        permissions: Vec::new(),
    };
    let setup = Setup { trust: Trust::of(remembered), ..Setup::new(info, surface, TimeZone::UTC) };
    let uptime = Duration::from_secs(100);
    Bench { app: App::new(setup, Moment { wall: Timestamp::UNIX_EPOCH, uptime }), uptime }
}

fn on_screen(remembered: Vec<KnownPeer>) -> Bench {
    let surface = Surface::Screen { columns: 80, rows: 24 };
    bench(surface, remembered, vec![peer("bbbb1111", "bo")])
}

fn shown(name: &str, key: Option<IdentityKey>, certificate: u8) -> Shown {
    Shown { peer_id: id("bbbb1111"), display_name: Untrusted::new(name), key, certificate: [certificate; 32] }
}

/// As the room tells it, by the judge of the same trust.
fn appears(bench: &mut Bench, shown: Shown, judgement: Judgement) -> Vec<Effect> {
    let display_name = shown.display_name.clone();
    let effects = bench.room(Event::Identity { shown, judgement });
    bench.room(Event::ChannelOpen { peer_id: id("bbbb1111"), display_name });
    bench.room(Event::ShortString { peer_id: id("bbbb1111"), string: string(), changed: false });
    effects
}

fn string() -> ShortString {
    ShortString::new([7; 10])
}

fn verification(bench: &Bench) -> Verification {
    bench.app.roster().get(&id("bbbb1111")).unwrap().verification
}

fn rows(bench: &Bench) -> String {
    let rows = bench.app.overlay_rows(OverlayKind::Verify, 76);
    rows.iter().map(|row| row.text.as_str()).collect::<Vec<_>>().join("\n")
}

fn who(bench: &mut Bench) -> String {
    bench.enter("/who");
    bench.last_text().to_owned()
}

#[test]
fn who_is_remembered_is_verified_at_once_under_whatever_name() {
    let mut bench = on_screen(vec![known(1, "bo")]);
    assert_eq!(appears(&mut bench, shown("bo", Some(key(1)), 1), Judgement::Known), []);
    assert_eq!(verification(&bench), Verification::Verified);
    assert_eq!(bench.last_text(), "chat with bo is open, verified, remembered since 2026-11-28 (compared)");
    assert!(who(&mut bench).contains("verified, remembered since 2026-11-28 (compared)"));
    bench.enter("/verify");
    let expected = format!("identity key: {}, remembered since", key(1).short());
    assert!(rows(&bench).contains(&expected), "{}", rows(&bench));

    let mut bench = on_screen(vec![known(1, "bo")]);
    appears(&mut bench, shown("carol", Some(key(1)), 1), Judgement::Known);
    assert_eq!(verification(&bench), Verification::Verified);
    assert!(who(&mut bench).contains("verified, remembered as bo since 2026-11-28 (compared)"));
}

#[test]
fn whoever_is_called_like_one_who_is_remembered_is_loud_and_blocked_until_the_user_decides() {
    for (new_key, words) in [(Some(key(2)), "its key is"), (None, "it shows no key")] {
        let mut bench = on_screen(vec![known(1, "bo")]);
        let effects =
            bench.room(Event::Identity { shown: shown("bo", new_key, 1), judgement: Judgement::Held });
        assert_eq!(effects, [Effect::Bell]);
        assert_eq!(verification(&bench), Verification::Changed);
        let told = bench.last_text().to_owned();
        assert!(told.starts_with("WARNING: bo is not the bo that you verified on 2026-11-28"), "{told}");
        assert!(told.contains(words) && told.contains(&key(1).short()), "{told}");
        assert!(told.contains("/verify bo yes") && told.contains("/refuse bo"), "{told}");
        bench.room(Event::ChannelOpen { peer_id: id("bbbb1111"), display_name: Untrusted::new("bo") });
        assert_eq!(bench.last_text(), "chat with bo is open, and blocked");
        assert_eq!(bench.enter("/verify bo yes"), [], "there is nothing to compare yet");
        bench.control('c');
        bench.room(Event::ShortString { peer_id: id("bbbb1111"), string: string(), changed: false });
        assert!(who(&mut bench).contains("changed! (blocked"));
        bench.enter("/verify bo");
        assert!(rows(&bench).contains("blocked: /verify bo yes"), "{}", rows(&bench));
        bench.key(KeyCode::Esc, KeyModifiers::NONE);
        // What it writes is not there; what is written to it waits.
        bench.enter("hello");
        let decision = Decision::Verified { shown: shown("bo", new_key, 1), string: string() };
        assert_eq!(bench.enter("/verify bo yes"), [Effect::Decide { peer_id: id("bbbb1111"), decision }]);
        assert_eq!(verification(&bench), Verification::Changed, "until it is carried out");
        let outcome = match new_key {
            Some(_) => Outcome::Remembered,
            None => Outcome::Session { why: "it shows no identity key".into() },
        };
        let judgement = if new_key.is_some() { Judgement::Known } else { Judgement::New };
        bench.room(Event::Identity { shown: shown("bo", new_key, 1), judgement });
        bench.event(AppEvent::Decided { peer_id: id("bbbb1111"), outcome });
        assert_eq!(verification(&bench), Verification::Verified);
        assert!(!who(&mut bench).contains("blocked"));
    }
}

#[test]
fn a_peer_that_is_refused_is_said_to_be_and_how_it_comes_back() {
    let mut bench = on_screen(vec![known(1, "bo")]);
    appears(&mut bench, shown("bo", None, 1), Judgement::Held);
    let decision = Decision::Refuse;
    assert_eq!(bench.enter("/refuse bo"), [Effect::Decide { peer_id: id("bbbb1111"), decision }]);
    bench.event(AppEvent::Decided { peer_id: id("bbbb1111"), outcome: Outcome::Refused });
    assert_eq!(bench.last_text(), "bo is refused and disconnected: /connect bo takes it back");
    assert_eq!(bench.enter("/refuse nobody"), []);
}

#[test]
fn it_is_told_once_however_often_a_peer_that_is_held_changes_its_name() {
    let mut bench = on_screen(vec![known(1, "bo")]);
    appears(&mut bench, shown("bo", Some(key(2)), 1), Judgement::Held);
    let told = bench.last_text().to_owned();
    assert_eq!(
        bench.room(Event::Identity { shown: shown("xx", Some(key(2)), 1), judgement: Judgement::Held }),
        []
    );
    assert_eq!(bench.last_text(), told);
    let other = Event::Identity { shown: shown("bo", Some(key(3)), 2), judgement: Judgement::Held };
    assert_eq!(bench.room(other), [Effect::Bell], "another key is news");
}

#[test]
fn what_could_not_be_compared_on_this_channel_does_not_count() {
    let mut bench = on_screen(Vec::new());
    appears(&mut bench, shown("bo", Some(key(2)), 1), Judgement::New);
    bench.room(Event::Identity { shown: shown("bo", Some(key(2)), 9), judgement: Judgement::New });
    assert_eq!(bench.enter("/verify bo yes"), [], "the string was of another certificate");
}

#[test]
fn lines_tell_the_same_and_take_the_same_decisions() {
    let mut bench = bench(Surface::Lines, vec![known(1, "bo")], vec![peer("bbbb1111", "bo")]);
    appears(&mut bench, shown("bo", None, 1), Judgement::Held);
    let decided = bench.event(AppEvent::Line("/verify bo yes".into()));
    assert!(
        matches!(&decided[..], [Effect::Decide { decision: Decision::Verified { .. }, .. }]),
        "{decided:?}"
    );
    let refused = bench.event(AppEvent::Line("/refuse bo".into()));
    assert!(matches!(&refused[..], [Effect::Decide { decision: Decision::Refuse, .. }]), "{refused:?}");
}
