//! What presents itself as a token: only what a key of the server has signed admits, and only as its claims say.
#![no_main]

use std::{sync::LazyLock, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use patchcord_fuzz::steps;
use patchcord_server::tokens::{Claims, KeySet, Permission, RoomPattern, Rules, verify};
use serde_json::Value;

const NOW: u64 = 1_800_000_000;
const TTL_MAX_S: u64 = 3_600;

/// The keys of RFC 7515 appendix A.1 and RFC 8037 appendix A.1: deterministic, so a corpus can hold what they sign.
const KEYS: &str = r#"{"keys":[
    {"kty":"oct","kid":"hs","alg":"HS256",
     "k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
    {"kty":"OKP","crv":"Ed25519","kid":"ed","alg":"EdDSA",
     "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

struct World {
    keys: KeySet,
    rules: Rules,
    /// All that was ever signed.
    issued: Vec<(String, Claims)>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let keys = KeySet::parse(KEYS).expect("the standards' keys are keys");
    let rules = Rules { audience: "patchcord".to_owned(), ttl_max: Duration::from_secs(TTL_MAX_S) };
    let claims = Claims {
        audience: "patchcord".to_owned(),
        subject: "ana".to_owned(),
        token_id: "7".to_owned(),
        issued_at: NOW - 60,
        expires_at: NOW + 600,
        room: RoomPattern::Name("lobby".to_owned()),
        permissions: [Permission::Join].into_iter().collect(),
    };
    let issued = keys.keys().iter().map(|key| (claims.sign(key).expect("it can sign"), claims.clone()));
    World { issued: issued.collect(), keys, rules }
});

fuzz_target!(|input: &[u8]| {
    let Some((mode, rest)) = input.split_first() else { return };
    match mode % 4 {
        0 => present(&String::from_utf8_lossy(rest)),
        1 => mutate(rest),
        2 => sign_anything(rest),
        _ => sign_under_any_header(rest),
    }
});

/// Nothing admits that was not issued, letter by letter.
fn present(token: &str) {
    if let Ok(claims) = verify(token, &WORLD.keys, &WORLD.rules, NOW) {
        let (_, issued) = WORLD.issued.iter().find(|(issued, _)| issued == token).expect("nobody issued this");
        assert_eq!(&claims, issued);
    }
}

/// Letters of an issued token changed, taken out and put in.
fn mutate(input: &[u8]) {
    let Some((which, rest)) = input.split_first() else { return };
    let mut token = WORLD.issued[usize::from(*which) % WORLD.issued.len()].0.clone().into_bytes();
    for (what, step) in steps(rest).take(16) {
        let [high, low, byte, ..] = *step else { continue };
        let at = usize::from(u16::from_be_bytes([high, low])) % token.len().max(1);
        match what % 4 {
            0 if at < token.len() => token[at] ^= byte,
            1 if at < token.len() => drop(token.remove(at)),
            2 => token.insert(at, byte),
            _ => token.truncate(at),
        }
    }
    present(&String::from_utf8_lossy(&token));
}

/// Whatever the issuer signs: what is admitted keeps every rule, read by another parser.
fn sign_anything(payload: &[u8]) {
    let header = r#"{"alg":"HS256","kid":"hs"}"#;
    let Ok(claims) = verify(&signed(header.as_bytes(), payload), &WORLD.keys, &WORLD.rules, NOW) else { return };
    let read: Value = serde_json::from_slice(payload).expect("what is admitted is JSON");
    let names = |aud: &Value| aud == "patchcord";
    assert!(names(&read["aud"]) || read["aud"].as_array().is_some_and(|all| all.iter().any(names)));
    let time = |name: &str| read[name].as_f64();
    let expires_at = time("exp").expect("it has an end");
    assert!(expires_at + 31.0 > NOW as f64 && claims.expires_at - claims.issued_at.min(claims.expires_at) <= TTL_MAX_S);
    assert_eq!(time("iat").expect("it was issued") as u64, claims.issued_at);
    assert!(time("nbf").is_none_or(|at| at < (NOW + 31) as f64));
    let perm = read["perm"].as_array().expect("it permits something or nothing");
    assert!(claims.permissions.iter().all(|one| perm.iter().any(|name| name == one.as_str())));
    match (read["room"].as_str(), read["room_prefix"].as_str()) {
        (Some(name), None) => assert_eq!(RoomPattern::Name(name.to_owned()), claims.room),
        (None, Some(prefix)) => assert_eq!(RoomPattern::Prefix(prefix.to_owned()), claims.room),
        rooms => panic!("it is for {rooms:?}"),
    }
    assert!(claims.subject.len() <= 128 && !claims.subject.chars().any(char::is_control));
    assert!(claims.token_id.len() <= 128 && !claims.token_id.chars().any(char::is_control));
}

/// The header names a key; what it says besides is not believed.
fn sign_under_any_header(header: &[u8]) {
    let payload = serde_json::to_vec(&WORLD.issued[0].1).expect("claims are JSON");
    if verify(&signed(header, &payload), &WORLD.keys, &WORLD.rules, NOW).is_ok() {
        let read: Value = serde_json::from_slice(header).expect("a header is JSON");
        assert!(read["kid"] == "hs" && read["alg"] == "HS256" && read["crit"].is_null(), "{read}");
    }
}

/// By the first key, whatever the header says.
fn signed(header: &[u8], payload: &[u8]) -> String {
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = WORLD.keys.keys()[0].sign(message.as_bytes()).expect("it can sign");
    format!("{message}.{}", encode(&signature))
}
