//! Peers that are remembered, and peers that are called like one and are not: what is shown, what is asked, what is decided.

use patchcord_peer::{Identity, IdentityKey, Judgement, Shown};

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
    Bench::of(Setup { trust: Trust::of(remembered), ..setup(surface, peers) })
}

fn on_screen(remembered: Vec<KnownPeer>) -> Bench {
    bench(SCREEN, remembered, vec![peer("bbbb1111", "bo")])
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

fn verification(bench: &Bench) -> Verification {
    bench.app.roster().get(&id("bbbb1111")).unwrap().verification
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
    assert!(bench.rows(OverlayKind::Verify).contains(&expected), "{}", bench.rows(OverlayKind::Verify));

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
        assert!(
            bench.rows(OverlayKind::Verify).contains("blocked: /verify bo yes"),
            "{}",
            bench.rows(OverlayKind::Verify)
        );
        bench.key(KeyCode::Esc, KeyModifiers::NONE);
        // What it writes is not there; what is written to it waits.
        let entry = sent_entry(&bench.enter("hello"));
        assert_eq!(bench.delivery(entry), DeliveryState::Queued);
        let decision = Decision::Verified { shown: shown("bo", new_key, 1), string: string() };
        assert_eq!(
            bench.enter("/verify bo yes"),
            [Effect::Decide { peer_id: id("bbbb1111"), decision: decision.clone() }]
        );
        assert_eq!(verification(&bench), Verification::Changed, "until it is carried out");
        let outcome = match new_key {
            Some(_) => Outcome::Remembered { forgotten: vec![known(1, "bo")] },
            None => Outcome::Session { why: "it shows no identity key".into() },
        };
        let judgement = if new_key.is_some() { Judgement::Known } else { Judgement::New };
        bench.room(Event::Identity { shown: shown("bo", new_key, 1), judgement });
        bench.event(AppEvent::Decided { peer_id: id("bbbb1111"), decision, result: Ok(outcome) });
        assert_eq!(verification(&bench), Verification::Verified);
        let old = format!("the key that was known as bo before, {}, is forgotten", key(1).short());
        assert_eq!(bench.last_text().contains(&old), new_key.is_some(), "{}", bench.last_text());
        assert!(!who(&mut bench).contains("blocked"));
    }
}

/// The user has compared, and that was carried out.
fn compared(shown: Shown, outcome: Outcome) -> AppEvent {
    let decision = Decision::Verified { shown, string: string() };
    AppEvent::Decided { peer_id: id("bbbb1111"), decision, result: Ok(outcome) }
}

#[test]
fn what_was_decided_about_another_identity_than_the_one_of_now_does_not_release_it() {
    let session = || Outcome::Session { why: "it has no key".into() };
    let was = || shown("bo", None, 1);
    // Another certificate, or a name that makes it one that imitates somebody.
    for now in [shown("bo", None, 2), shown("carol", None, 1)] {
        let mut bench = on_screen(vec![known(1, "bo"), known(3, "carol")]);
        appears(&mut bench, was(), Judgement::Held);
        bench.room(Event::Identity { shown: now, judgement: Judgement::Held });
        bench.event(compared(was(), session()));
        assert_eq!(verification(&bench), Verification::Changed);
        assert!(bench.app.roster().get(&id("bbbb1111")).unwrap().held);
        assert!(bench.last_text().contains("compare again, /verify bo"), "{}", bench.last_text());
    }
    let mut bench = on_screen(Vec::new());
    appears(&mut bench, was(), Judgement::New);
    bench.room(Event::Identity { shown: shown("bob", None, 1), judgement: Judgement::New });
    bench.event(compared(was(), session()));
    assert_eq!(verification(&bench), Verification::Verified, "a name that is nobody's changes nothing");
}

#[test]
fn in_an_open_room_a_peer_is_verified_when_the_user_says_so_and_another_certificate_is_loud() {
    let mut bench = on_screen(Vec::new());
    assert_eq!(bench.enter("/verify bo yes"), [], "there is nothing to compare");
    bench.control('c');
    appears(&mut bench, shown("bo", None, 1), Judgement::New);
    assert_eq!(verification(&bench), Verification::Unverified);
    bench.enter("/verify bo");
    let rows = bench.rows(OverlayKind::Verify);
    assert!(rows.contains("bo: unverified") && rows.contains(&string().to_string()), "{rows}");
    bench.key(KeyCode::Esc, KeyModifiers::NONE);
    bench.event(compared(shown("bo", None, 1), Outcome::Session { why: "it has no key".into() }));
    assert_eq!(verification(&bench), Verification::Verified);
    let told = bench.last_text();
    assert!(told.contains("for as long as this room is open here: it has no key"), "{told}");
    // Another channel to the same program.
    appears(&mut bench, shown("bo", None, 1), Judgement::New);
    assert_eq!(verification(&bench), Verification::Verified);
    let other = Event::Identity { shown: shown("bo", None, 2), judgement: Judgement::Held };
    assert_eq!(bench.room(other), [Effect::Bell]);
    assert_eq!(verification(&bench), Verification::Changed);
    let told = bench.last_text();
    assert!(told.starts_with("WARNING: bo is not the one that you verified: it shows another"), "{told}");
}

#[test]
fn a_warning_says_no_more_of_the_one_that_is_imitated_than_is_known() {
    let mut bench = on_screen(vec![KnownPeer { how: How::Code, ..known(1, "bo") }]);
    appears(&mut bench, shown("bo", None, 1), Judgement::Held);
    let warned =
        bench.app.transcript().since(EntryId(0)).map(|entry| block::shown_text(&entry.body).to_string());
    let expected = "WARNING: bo is not the bo that knew a code with you on 2026-11-28";
    assert_eq!(warned.filter(|text| text.starts_with(expected)).count(), 1);
}

#[test]
fn of_two_with_one_name_yes_decides_about_neither_and_says_what_to_write() {
    let mut bench = bench(SCREEN, Vec::new(), vec![peer("bbbb1111", "bo"), peer("cccc1111", "bo")]);
    assert_eq!(bench.enter("/verify bo yes"), []);
    assert!(bench.hint().contains("bo#bbbb or bo#cccc"), "{}", bench.hint());
}

#[test]
fn on_a_small_screen_the_roster_says_as_whom_one_is_known_and_that_one_is_blocked() {
    let mut bench = on_screen(vec![known(1, "bo")]);
    appears(&mut bench, shown("carol", Some(key(1)), 1), Judgement::Known);
    let rows = bench.rows(OverlayKind::Roster);
    assert!(rows.contains("verified, remembered as bo since 2026-11-28 (compared)"), "{rows}");
    bench.room(Event::Identity { shown: shown("bo", None, 2), judgement: Judgement::Held });
    let rows = bench.rows(OverlayKind::Roster);
    assert!(rows.contains("changed!\n  blocked: /verify or /refuse decides"), "{rows}");
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
