//! Keys as the standards write them, and what is refused of a file.

use super::*;

/// RFC 8037 appendix A.1, with an id and an algorithm.
const RFC_8037: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA",
    "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// RFC 7515 appendix A.1.
const RFC_7515: &str = r#"{"keys":[{"kty":"oct","kid":"b","alg":"HS256",
    "k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;

fn only(text: &str) -> Jwk {
    KeySet::parse(text).unwrap().keys()[0].clone()
}

#[test]
fn signatures_are_those_of_the_standards() {
    // RFC 8037 appendix A.4.
    let key = only(RFC_8037);
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        bytes("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
    assert_eq!(key.sign(message), signature);
    assert!(key.public().verify(message, &signature.unwrap()));
    assert_eq!(key.public().sign(message), None);
    // RFC 7515 appendix A.1.1.
    let key = only(RFC_7515);
    let message =
        b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0\
        dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    assert_eq!(key.sign(message), bytes("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
}

#[test]
fn what_is_written_is_read_and_shows_nothing_secret() {
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa] {
        let key = Jwk::random("2026-11", algorithm).unwrap();
        let text = KeySet::of(key.clone()).reveal();
        let read = only(&text);
        let signature = key.sign(b"message").unwrap();
        assert!(read.public().verify(b"message", &signature));
        assert!(!read.verify(b"massage", &signature));
        assert!(!Jwk::random("2026-11", algorithm).unwrap().verify(b"message", &signature));
        assert_eq!(format!("{read:?}"), r#"Jwk { id: "2026-11", .. }"#);
        let public = KeySet::of(key.public()).reveal();
        assert!(!public.contains("\"d\""));
        assert!(!only(&public).is_private());
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_without_what_is_in_it() {
    let short = r#"{"keys":[{"kty":"oct","kid":"b","alg":"HS256","k":"c2VjcmV0"}]}"#;
    let rsa = r#"{"keys":[{"kty":"RSA","kid":"b","alg":"RS256","n":"AQAB","e":"AQAB"}]}"#;
    let swapped = RFC_8037.replace("EdDSA", "HS256");
    let other_half = RFC_8037.replace("11qY", "11qZ");
    let no_id = RFC_7515.replace("\"kid\":\"b\",", "");
    let encrypts = RFC_7515.replace("\"kid\"", "\"use\":\"enc\",\"kid\"");
    let no_alg = RFC_7515.replace("\"alg\":\"HS256\",", "");
    let twice = RFC_7515.replace("\"kid\":\"b\"", "\"kid\":\"b\",\"kid\":\"c\"");
    let two = RFC_7515.replace("]}", &format!(",{}", &RFC_7515[9..]));
    for (text, named) in [
        ("", "no JWK Set"),
        ("{\"keys\":7}", "no JWK Set"),
        ("{\"keys\":[]}", "no key"),
        (short, "\"b\" needs 32 to 256 bytes"),
        (rsa, "\"b\" is neither"),
        (&swapped, "\"a\" is neither"),
        (&other_half, "\"a\" needs the 32 bytes"),
        (&no_id, "its key 1 has no kid"),
        (&encrypts, "not for signatures"),
        (&no_alg, "\"b\" is neither"),
        (&twice, "no JWK Set"),
        (&two, "two of its keys"),
    ] {
        let error = KeySet::parse(text).unwrap_err().to_string();
        assert!(error.contains(named), "{text}: {error}");
        assert!(!error.contains("c2Vj") && !error.contains("AyM1"), "{error}");
    }
}

#[test]
fn a_set_is_bounded() {
    let mut set = KeySet::of(Jwk::random("0", Algorithm::Hs256).unwrap());
    for id in 1..KEYS_MAX {
        set.add(Jwk::random(&id.to_string(), Algorithm::Hs256).unwrap()).unwrap();
    }
    let more = Jwk::random("more", Algorithm::Hs256).unwrap();
    assert_eq!(set.add(more), Err(KeySetError::TooMany(KEYS_MAX + 1)));
    for id in ["", "with space", "line\n", "é", &"x".repeat(129)] {
        assert_eq!(Jwk::random(id, Algorithm::Hs256).unwrap_err(), KeyUnfit::Id, "{id:?}");
    }
}
