//! Who gets in with what, and what who does not is told.

use std::net::Ipv4Addr;

use axum::http::{HeaderValue, header::CONTENT_TYPE};

use super::*;
use crate::config::{KeySources, WRONG_KEY_BURST_S};

const KEY: &str = "a-key-of-an-operator";
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn auth(with_keys: bool, with_certificate: bool) -> AdminAuth {
    let token = Some(KEY.to_owned().into());
    let keys = AdminKeys::new(KeySources { keys_file: None, token, token_file: None }).unwrap();
    AdminAuth::new(with_keys.then(|| Arc::new(keys)), with_certificate, Arc::default())
}

fn headers(authorization: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap())])
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_has_to_be_shown() {
    let (none, good) = (HeaderMap::new(), headers(&format!("Bearer {KEY}")));
    let now = Instant::now();
    let told = |auth: &AdminAuth, certificate: Option<&str>, headers: &HeaderMap| match auth.admit(
        ADDRESS,
        certificate,
        headers,
        now,
    ) {
        Ok(operator) => operator.to_string(),
        Err(denied) => denied.as_str().to_owned(),
    };
    let (open, by_key, by_certificate, by_both) =
        (auth(false, false), auth(true, false), auth(false, true), auth(true, true));
    assert!(!open.asks() && by_key.asks() && by_certificate.asks());
    assert_eq!(told(&open, None, &none), "anybody");
    assert_eq!(told(&by_key, None, &none), "no_key");
    assert_eq!(told(&by_key, None, &good), "key admin-token");
    assert_eq!(told(&by_certificate, None, &good), "no_certificate");
    assert_eq!(told(&by_certificate, Some("ops"), &none), "certificate ops");
    assert_eq!(told(&by_both, Some("ops"), &none), "no_key");
    assert_eq!(told(&by_both, None, &good), "no_certificate");
    assert_eq!(told(&by_both, Some("ops"), &good), "key admin-token, certificate ops");
    for (authorization, expected) in [
        (format!("bearer {KEY}"), "key admin-token"),
        (format!("BEARER   {KEY} "), "key admin-token"),
        (format!("Basic {KEY}"), "no_key"),
        (KEY.to_owned(), "no_key"),
        ("Bearer".to_owned(), "no_key"),
        ("Bearer ".to_owned(), "wrong_key"),
        (format!("Bearer {KEY}x"), "wrong_key"),
    ] {
        let sent = headers(&authorization);
        assert_eq!(told(&by_key, None, &sent), expected, "{authorization}");
    }
}

#[tokio::test(start_paused = true)]
async fn guesses_are_throttled_by_address_and_a_key_that_can_be_guessed_too_while_they_are() {
    let auth = auth(true, false);
    let (good, wrong) = (headers(&format!("Bearer {KEY}")), headers("Bearer wrong"));
    let now = Instant::now();
    for _ in 0..WRONG_KEY_BURST_S {
        auth.admit(ADDRESS, None, &good, now).unwrap();
        assert_eq!(auth.admit(ADDRESS, None, &wrong, now), Err(Denied::WrongKey));
    }
    // A guess that is refused unread tells nothing, and one that is right would.
    for headers in [&wrong, &good] {
        let denied = auth.admit(ADDRESS, None, headers, now).unwrap_err();
        assert_eq!(denied, Denied::TooManyWrongKeys(Duration::from_secs(1)));
        assert!(denied.message().contains("wait 1 s"), "{}", denied.message());
    }
    let other = IpAddr::from([192, 0, 2, 2]);
    auth.admit(other, None, &good, now).unwrap();
    auth.admit(ADDRESS, None, &good, now + Duration::from_secs(1)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_guesses_locks_out_nobody_who_has_a_key_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let key = AdminKey::random("ops").unwrap();
    std::fs::write(&path, key.to_string()).unwrap();
    let keys = AdminKeys::new(KeySources { keys_file: Some(path), token: None, token_file: None }).unwrap();
    let auth = AdminAuth::new(Some(Arc::new(keys)), false, Arc::default());
    let now = Instant::now();
    let wrong = headers("Bearer wrong");
    while auth.admit(ADDRESS, None, &wrong, now) == Err(Denied::WrongKey) {}
    let denied = auth.admit(ADDRESS, None, &wrong, now).unwrap_err();
    assert!(matches!(denied, Denied::TooManyWrongKeys(_)), "{denied:?}");
    let good = headers(&format!("Bearer {}", key.reveal()));
    assert_eq!(auth.admit(ADDRESS, None, &good, now).unwrap().to_string(), "key ops");
}

#[test]
fn each_refusal_says_what_to_do_in_the_protocol_that_was_asked_in() {
    let grpc = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"))]);
    let code = |denied: Denied| {
        let response = denied.response(&grpc);
        (response.status().as_u16(), response.headers()["grpc-status"].to_str().unwrap().to_owned())
    };
    let busy = Denied::TooManyWrongKeys(Duration::from_millis(300));
    assert_eq!(code(Denied::NoKey), (200, "16".to_owned()));
    assert_eq!(code(busy), (200, "8".to_owned()));
    let plain = |denied: Denied| denied.response(&HeaderMap::new());
    assert_eq!(plain(Denied::WrongKey).status(), StatusCode::UNAUTHORIZED);
    assert_eq!(plain(Denied::NoKey).headers()[WWW_AUTHENTICATE], "Bearer");
    assert_eq!(plain(Denied::NoCertificate).status(), StatusCode::FORBIDDEN);
    assert_eq!(
        (plain(busy).status().as_u16(), plain(busy).headers()[RETRY_AFTER].as_bytes()),
        (429, &b"1"[..])
    );
    assert!(Denied::NoKey.message().contains("authorization: Bearer KEY"));
}
