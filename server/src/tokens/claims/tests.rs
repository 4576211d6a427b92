//! What is believed of a token and when, with the clock as an input.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::tokens::Permission;

const NOW: u64 = 1_800_000_000;
const TTL_MAX_S: u64 = 3_600;

fn rules() -> Rules {
    Rules { audience: "patchcord".to_owned(), ttl_max: Duration::from_secs(TTL_MAX_S) }
}

fn good() -> Value {
    json!({
        "aud": "patchcord", "sub": "ana", "jti": "7", "iat": NOW, "exp": NOW + 600,
        "room": "lobby", "perm": ["join", "send"],
    })
}

fn read(claims: &Value) -> Result<Claims, Denied> {
    Claims::read(claims.to_string().as_bytes(), &rules(), NOW)
}

fn with(member: &str, value: Value) -> Result<Claims, Denied> {
    let mut claims = good();
    claims[member] = value;
    read(&claims)
}

fn without(member: &str) -> Result<Claims, Denied> {
    let mut claims = good();
    claims.as_object_mut().unwrap().remove(member);
    read(&claims)
}

#[test]
fn what_a_good_token_says_is_taken() {
    let claims = read(&good()).unwrap();
    assert_eq!((claims.subject.as_str(), claims.token_id.as_str()), ("ana", "7"));
    assert!(claims.permissions.has(Permission::Join) && !claims.permissions.has(Permission::Create));
    for (member, value) in [
        ("aud", json!(["other", "patchcord"])),
        ("exp", json!(NOW as f64 + 600.5)),
        ("perm", json!(["join", "fly"])),
        ("nbf", json!(NOW)),
        ("iss", json!("https://example.org")),
        ("other", json!({"deep": [[[{}]]]})),
    ] {
        assert!(with(member, value.clone()).is_ok(), "{member}: {value}");
    }
    let no_names = [without("sub"), without("jti")].map(Result::unwrap);
    assert_eq!((no_names[0].subject.as_str(), no_names[1].token_id.as_str()), ("", ""));
}

#[test]
fn what_is_wrong_is_named() {
    assert_eq!(with("aud", json!("other")), Err(Denied::Audience));
    assert_eq!(with("aud", json!(["other"])), Err(Denied::Audience));
    assert_eq!(with("aud", json!([])), Err(Denied::Audience));
    assert_eq!(without("aud"), Err(Denied::Audience));
    assert_eq!(without("exp"), Err(Denied::Claim("exp is missing")));
    assert_eq!(without("iat"), Err(Denied::Claim("iat is missing")));
    // nbf is no time of issue, whatever it says.
    let mut claims = good();
    claims["nbf"] = claims["iat"].take();
    claims.as_object_mut().unwrap().remove("iat");
    assert_eq!(read(&claims), Err(Denied::Claim("iat is missing")));
    assert_eq!(without("room"), Err(Denied::Claim("room or room_prefix is missing")));
    assert_eq!(with("room_prefix", json!("")), Err(Denied::Claim("room and room_prefix exclude each other")));
    for no_name in ["", "a\u{1b}[2J", &"x".repeat(129)] {
        assert!(matches!(with("room", json!(no_name)), Err(Denied::Claim(_))), "{no_name}");
    }
    assert_eq!(without("perm"), Err(Denied::Claim("perm is missing")));
    // Milliseconds, and what is no time at all.
    assert_eq!(with("exp", json!(NOW * 1_000_000)), Err(Denied::Claim("exp is no time")));
    assert_eq!(with("exp", json!(-1)), Err(Denied::Claim("exp is no time")));
    assert_eq!(with("nbf", json!(1e300)), Err(Denied::Claim("nbf is no time")));
    assert_eq!(with("exp", json!("tomorrow")), Err(Denied::Malformed));
    assert_eq!(with("iat", json!("yesterday")), Err(Denied::Malformed));
    assert_eq!(with("room", json!(["lobby"])), Err(Denied::Malformed));
    assert_eq!(with("perm", json!("join")), Err(Denied::Malformed));
    assert_eq!(with("exp", json!(NOW + TTL_MAX_S + 1)), Err(Denied::LivesTooLong(rules().ttl_max)));
    for (member, value) in [("sub", "x".repeat(129)), ("jti", "a\u{1b}[2J".to_owned())] {
        assert!(matches!(with(member, json!(value)), Err(Denied::Claim(_))), "{member}");
    }
    for text in ["", "[]", "null", "7", "{", "{\"aud\":\"patchcord\"", "\u{feff}{}"] {
        let read = Claims::read(text.as_bytes(), &rules(), NOW);
        assert_eq!(read, Err(Denied::Malformed), "{text}");
    }
    let list = format!("[\"patchcord\",null,null,{NOW},null,{},\"lobby\",[\"join\"]]", NOW + 60);
    assert_eq!(Claims::read(list.as_bytes(), &rules(), NOW), Err(Denied::Malformed));
    let skipped = good().to_string().replacen('{', "{\"x\":\"\\ud800\",", 1);
    assert_eq!(Claims::read(skipped.as_bytes(), &rules(), NOW), Err(Denied::Malformed));
    let twice = good().to_string().replacen('{', &format!("{{\"exp\":{},", NOW + 9), 1);
    assert_eq!(Claims::read(twice.as_bytes(), &rules(), NOW), Err(Denied::Malformed));
    let deep = good().to_string().replacen('{', &format!("{{\"x\":{},", "[".repeat(4_000)), 1);
    assert_eq!(Claims::read(deep.as_bytes(), &rules(), NOW), Err(Denied::Malformed));
    let huge = good().to_string().replacen(&(NOW + 600).to_string(), "1e999", 1);
    assert_eq!(Claims::read(huge.as_bytes(), &rules(), NOW), Err(Denied::Malformed));
}

#[test]
fn clocks_may_differ_by_30_seconds_and_not_by_31() {
    let at = |exp: u64, iat: u64, now: u64| {
        let mut claims = good();
        (claims["exp"], claims["iat"]) = (json!(exp), json!(iat));
        Claims::read(claims.to_string().as_bytes(), &rules(), now)
    };
    assert!(at(NOW, NOW - 60, NOW + 30).is_ok());
    assert_eq!(at(NOW, NOW - 60, NOW + 31), Err(Denied::Expired(Duration::from_secs(31))));
    assert!(at(NOW + 60, NOW, NOW - 30).is_ok());
    assert_eq!(at(NOW + 60, NOW, NOW - 31), Err(Denied::NotYet(Duration::from_secs(31))));
    let begins = |nbf: u64| with("nbf", json!(nbf));
    assert!(begins(NOW + 30).is_ok());
    assert_eq!(begins(NOW + 31), Err(Denied::NotYet(Duration::from_secs(31))));
}

#[test]
fn rooms_are_one_or_those_that_begin_so() {
    let named = |name: &str, room: &str| RoomPattern::Name(name.to_owned()).covers(room);
    assert!(named("lobby", "lobby") && !named("lobby", "lobby2") && !named("lobby", "Lobby"));
    // A star is a sign like any other.
    assert!(named("team-*", "team-*") && !named("team-*", "team-a") && !named("*", "lobby"));
    assert!(!RoomPattern::Name("*".to_owned()).is_every());
    let begins = |prefix: &str, room: &str| RoomPattern::Prefix(prefix.to_owned()).covers(room);
    assert!(begins("team-", "team-") && begins("team-", "team-a") && !begins("team-", "team"));
    assert!(begins("a*", "a*b") && !begins("a*", "ab") && begins("", "anything"));
    assert!(RoomPattern::Prefix(String::new()).is_every() && !RoomPattern::Prefix("a".to_owned()).is_every());
}

proptest! {
    #[test]
    fn a_token_is_taken_within_its_time_and_the_leeway_and_never_outside(
        lives in 0u64..2 * TTL_MAX_S, age in -200i64..2 * TTL_MAX_S as i64 + 200,
    ) {
        let mut claims = read(&good()).unwrap();
        claims.issued_at = NOW;
        claims.expires_at = NOW + lives;
        let now = NOW.checked_add_signed(age).unwrap();
        let is_good = lives <= TTL_MAX_S && (-30..=lives as i64 + 30).contains(&age);
        prop_assert_eq!(claims.check(&rules(), now).is_ok(), is_good);
    }

    #[test]
    fn what_is_written_reads_back(
        subject in "[a-zä\"\\\\]{0,20}", room in "[!-~]{1,20}", begins: bool, perm in proptest::collection::vec(0usize..5, 0..5),
    ) {
        let claims = Claims {
            audience: "patchcord".to_owned(),
            subject,
            token_id: "7".to_owned(),
            issued_at: NOW,
            expires_at: NOW + 60,
            room: if begins { RoomPattern::Prefix(room) } else { RoomPattern::Name(room) },
            permissions: perm.into_iter().map(|index| Permission::ALL[index]).collect(),
        };
        prop_assert_eq!(Claims::read(&serde_json::to_vec(&claims).unwrap(), &rules(), NOW), Ok(claims));
    }

    #[test]
    fn nothing_that_is_signed_panics(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Claims::read(&payload, &rules(), NOW);
    }
}
