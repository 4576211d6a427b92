//! Whole tokens against a server's keys: what a forger, a thief or a wrong server could try.

use std::fs;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

struct Setup {
    folder: tempfile::TempDir,
    keys: KeySet,
    tokens: Arc<Tokens>,
}

/// A server with one key of each kind.
fn setup() -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let mut keys = KeySet::of(Jwk::random("hs", Algorithm::Hs256).unwrap());
    keys.add(Jwk::random("ed", Algorithm::EdDsa).unwrap()).unwrap();
    let path = folder.path().join("keys");
    write(&path, &keys);
    let config = Config { token_keys_file: Some(path), ..Config::default() };
    let tokens = Tokens::new(&config).unwrap().unwrap();
    Setup { folder, keys, tokens }
}

fn write(path: &std::path::Path, keys: &KeySet) {
    let mut public = KeySet::of(keys.keys()[0].public());
    keys.keys()[1..].iter().for_each(|key| public.add(key.public()).unwrap());
    fs::write(path, public.reveal()).unwrap();
}

fn claims() -> Claims {
    let now = unix_time(SystemTime::now());
    Claims {
        audience: "patchcord".to_owned(),
        subject: "ana".to_owned(),
        token_id: "7".to_owned(),
        issued_at: now,
        expires_at: now + 600,
        room: RoomPattern::Name("lobby".to_owned()),
        permissions: [Permission::Join].into_iter().collect(),
    }
}

fn lobby() -> RoomName {
    RoomName::parse("lobby", 128).unwrap()
}

impl Setup {
    fn admit(&self, token: &str) -> Result<Grant, Denied> {
        self.tokens.admit(token, &lobby(), SystemTime::now())
    }

    fn sign(&self, kid: &str) -> String {
        claims().sign(self.keys.get(kid).unwrap()).unwrap()
    }

    /// With another header over the same claims, signed as it should be.
    fn with_header(&self, header: &str, kid: &str) -> String {
        let payload = serde_json::to_vec(&claims()).unwrap();
        let signed =
            format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(payload));
        let signature = self.keys.get(kid).unwrap().sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

#[test]
fn either_kind_of_key_admits() {
    let setup = setup();
    for kid in ["hs", "ed"] {
        assert_eq!(*setup.admit(&setup.sign(kid)).unwrap().subject, *"ana");
    }
    let other = RoomName::parse("elsewhere", 128).unwrap();
    let token = setup.sign("hs");
    assert_eq!(setup.tokens.admit(&token, &other, SystemTime::now()), Err(Denied::OtherRoom));
    let nothing = Claims { permissions: Permissions::default(), ..claims() };
    let nothing = nothing.sign(setup.keys.get("hs").unwrap()).unwrap();
    assert_eq!(setup.admit(&nothing), Err(Denied::NoPermission(Permission::Join)));
}

#[test]
fn a_header_chooses_a_key_and_nothing_else() {
    let setup = setup();
    for (header, kid, denied) in [
        (r#"{"alg":"none","kid":"hs"}"#, "hs", Denied::Signature),
        (r#"{"alg":"HS384","kid":"hs"}"#, "hs", Denied::Signature),
        (r#"{"alg":"hs256","kid":"hs"}"#, "hs", Denied::Signature),
        (r#"{"alg":"EdDSA","kid":"hs"}"#, "hs", Denied::Signature),
        (r#"{"alg":"HS256","kid":"ed"}"#, "hs", Denied::Signature),
        (r#"{"alg":"HS256","kid":"hs"}"#, "ed", Denied::Signature),
        (r#"{"alg":"HS256","kid":"HS"}"#, "hs", Denied::UnknownKey),
        (r#"{"alg":"HS256","kid":"../../etc/passwd"}"#, "hs", Denied::UnknownKey),
        (r#"{"alg":"HS256","kid":"hs'--"}"#, "hs", Denied::UnknownKey),
        (r#"{"alg":"HS256","kid":""}"#, "hs", Denied::Malformed),
        (r#"{"alg":"HS256","kid":"hs\u0000"}"#, "hs", Denied::Malformed),
        (r#"{"alg":"HS256","kid":["hs"]}"#, "hs", Denied::Malformed),
        (r#"{"alg":"HS256"}"#, "hs", Denied::Malformed),
        (r#"{"kid":"hs"}"#, "hs", Denied::Malformed),
        (r#"{"alg":"HS256","kid":"hs","crit":["exp"]}"#, "hs", Denied::Malformed),
        (r#"{"alg":"HS256","kid":"hs","kid":"ed"}"#, "hs", Denied::Malformed),
        (r#"["HS256","hs",null]"#, "hs", Denied::Malformed),
        ("not JSON", "hs", Denied::Malformed),
    ] {
        assert_eq!(setup.admit(&setup.with_header(header, kid)), Err(denied), "{header}");
    }
    // What it may hold besides is not looked at.
    let odd = r#"{"alg":"HS256","kid":"hs","jku":"https://evil.example","jwk":{"kty":"oct","k":"AAAA"},"x5c":["A"]}"#;
    assert!(setup.admit(&setup.with_header(odd, "hs")).is_ok());
    // RFC 9864.
    assert!(setup.admit(&setup.with_header(r#"{"alg":"Ed25519","kid":"ed"}"#, "ed")).is_ok());
}

#[test]
fn a_public_half_is_no_secret_to_sign_with() {
    // The classic: what everybody may know of an EdDSA key, as the secret of an HMAC.
    let setup = setup();
    let public = KeySet::of(setup.keys.get("ed").unwrap().public()).reveal();
    let x = public.split("\"x\": \"").nth(1).unwrap().split('"').next().unwrap();
    let text = format!(r#"{{"keys":[{{"kty":"oct","kid":"ed","alg":"HS256","k":"{x}"}}]}}"#);
    let forger = KeySet::parse(&text).unwrap();
    assert_eq!(setup.admit(&claims().sign(&forger.keys()[0]).unwrap()), Err(Denied::Signature));
}

#[test]
fn what_is_no_token_is_said_to_be_none() {
    let setup = setup();
    let token = setup.sign("hs");
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(setup.admit(""), Err(Denied::Missing));
    assert_eq!(setup.admit(&format!("{signed}.")), Err(Denied::Signature));
    assert_eq!(setup.admit(signed), Err(Denied::Malformed));
    assert_eq!(setup.admit(&format!("\"{token}\"")), Err(Denied::Malformed));
    assert_eq!(setup.admit(&format!("Bearer {token}")), Err(Denied::Malformed));
    assert_eq!(setup.admit(&"a".repeat(64 * 1024)), Err(Denied::Malformed));
    assert_eq!(setup.admit(&format!("{}.{token}", "a".repeat(64 * 1024))), Err(Denied::Malformed));
    for odd in [".", "..", "...", "a.b.c", "....", "é.é.é", "=.=.="] {
        assert!(setup.admit(odd).is_err(), "{odd}");
    }
}

#[test]
fn a_key_taken_out_admits_nobody_and_a_new_one_does_without_a_restart() {
    let setup = setup();
    let path = setup.folder.path().join("keys");
    let old = setup.sign("hs");
    let new_key = Jwk::random("new", Algorithm::Hs256).unwrap();
    let new = claims().sign(&new_key).unwrap();
    assert_eq!(setup.admit(&new), Err(Denied::UnknownKey));
    let mut both = setup.keys.clone();
    both.add(new_key.clone()).unwrap();
    write(&path, &both);
    assert_eq!(setup.tokens.reload().unwrap(), "keys hs, ed, new");
    assert!(setup.admit(&old).is_ok() && setup.admit(&new).is_ok());
    write(&path, &KeySet::of(new_key));
    setup.tokens.reload().unwrap();
    assert_eq!(setup.admit(&old), Err(Denied::UnknownKey));
    assert!(setup.admit(&new).is_ok());
    // What cannot be read changes nothing.
    for text in ["", "{\"keys\":[]}", &setup.keys.reveal()] {
        fs::write(&path, text).unwrap();
        setup.tokens.reload().unwrap_err();
        assert!(setup.admit(&new).is_ok() && setup.admit(&old).is_err());
    }
}

#[test]
fn administration_needs_the_permission_and_every_room() {
    let setup = setup();
    let operator = |room: RoomPattern, permission: Permission| {
        let permissions = [permission].into_iter().collect();
        let claims = Claims { room, permissions, ..claims() };
        let token = claims.sign(setup.keys.get("ed").unwrap()).unwrap();
        setup.tokens.admit_operator(&token, SystemTime::now())
    };
    let (name, prefix) =
        (|text: &str| RoomPattern::Name(text.into()), |text: &str| RoomPattern::Prefix(text.into()));
    assert!(operator(prefix(""), Permission::Admin).is_ok());
    for (room, permission) in [
        (name("lobby"), Permission::Admin),
        (name("*"), Permission::Admin),
        (prefix("*"), Permission::Admin),
        (prefix(""), Permission::Join),
    ] {
        let denied = operator(room.clone(), permission);
        assert_eq!(denied, Err(Denied::NoPermission(Permission::Admin)), "{room:?}");
    }
}

#[test]
fn messages_fit_and_hold_nothing_of_the_token() {
    let day = Duration::from_secs(86_400);
    for denied in [Denied::Missing, Denied::Signature, Denied::Expired(day), Denied::LivesTooLong(day * 365)]
    {
        assert!(denied.to_string().len() <= 256, "{denied}");
    }
    assert!(Denied::Expired(Duration::from_secs(300)).to_string().contains("has expired 5 min ago"));
}

proptest! {
    #[test]
    fn no_other_text_than_what_was_signed_admits(index: prop::sample::Index, byte in b'!'..=b'~') {
        let setup = setup();
        for kid in ["hs", "ed"] {
            let token = setup.sign(kid);
            let mut other = token.clone().into_bytes();
            let at = index.index(other.len());
            prop_assume!(other[at] != byte);
            other[at] = byte;
            let other = String::from_utf8(other).unwrap();
            prop_assert!(setup.admit(&other).is_err(), "{} {}", token, other);
        }
    }
}
