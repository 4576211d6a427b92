//! Tokens as keys of the admin door: where that is said, and for as long as they are good.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use kit::{Server, issuer::Issuer};
use patchcord_proto::v1::{RevokeTokenRequest, WatchRoomsRequest, revoke_token_request::What};
use patchcord_server::{
    AdminSettings, Config,
    tokens::{Claims, Permission, RoomPattern},
};
use tokio::time::timeout;

/// What the admin door answers to a bearer.
async fn at_the_admin_door(server: &Server, bearer: &str) -> (u16, String) {
    let line = format!("Authorization: Bearer {bearer}\r\n");
    kit::http_get_with(server.admin, "/metrics", &line).await
}

#[tokio::test]
async fn where_the_admin_door_takes_tokens_one_that_permits_administration_is_a_key() {
    let issuer = Issuer::new();
    let admin = AdminSettings {
        admin_token: Some("a-key-of-an-operator".to_owned().into()),
        admin_by_token: true,
        ..AdminSettings::default()
    };
    let server = Server::start_with(Config { admin, ..issuer.config() }).await;
    let token = |prefix: &str, permission: Permission| {
        let claims =
            Claims { room: RoomPattern::Prefix(prefix.to_owned()), ..issuer.claims("ops", &[permission]) };
        claims.sign(&issuer.key).unwrap()
    };
    let good = token("", Permission::Admin);
    assert_eq!(at_the_admin_door(&server, &good).await.0, 200);
    // One that is refused says why, for its bearer has no other place to learn it.
    let claims = issuer.claims("ops", &[Permission::Admin]);
    let expired =
        Claims { issued_at: claims.issued_at - 900, expires_at: claims.issued_at - 300, ..claims.clone() };
    let other_server = Claims { audience: "other".to_owned(), ..claims };
    for (token, told) in [
        (token("lobby", Permission::Admin), "does not permit administration"),
        (token("", Permission::Join), "does not permit administration"),
        (expired.sign(&issuer.key).unwrap(), "expired 5 min ago"),
        (other_server.sign(&issuer.key).unwrap(), "another server"),
        ("no.token.either".to_owned(), "is no token"),
        ("a-wrong-key".to_owned(), "does not know this key"),
    ] {
        let (status, body) = at_the_admin_door(&server, &token).await;
        assert!(status == 401 && body.contains(told), "{told}: {status} {body}");
    }
    let mut watch = tonic::Request::new(WatchRoomsRequest::default());
    watch.metadata_mut().insert("authorization", format!("Bearer {good}").parse().unwrap());
    let mut watch = server.rooms().await.watch_rooms(watch).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    let request = RevokeTokenRequest { what: Some(What::Subject("ops".to_owned())), message: String::new() };
    let mut request = tonic::Request::new(request);
    request.metadata_mut().insert("authorization", "Bearer a-key-of-an-operator".parse().unwrap());
    server.rooms().await.revoke_token(request).await.unwrap();
    let ended = timeout(kit::DEADLINE, watch.message()).await.unwrap().unwrap_err();
    assert_eq!(ended.code(), tonic::Code::Unauthenticated, "it sees what it may not");
    let (status, body) = at_the_admin_door(&server, &good).await;
    assert!(status == 401 && body.contains("was revoked"), "{status} {body}");
    let (_, metrics) = at_the_admin_door(&server, "a-key-of-an-operator").await;
    for line in [
        "patchcord_tokens_refused_total{reason=\"expired\"} 1",
        "patchcord_tokens_refused_total{reason=\"no_admin\"} 2",
        "patchcord_admin_denied_total{reason=\"token\"} 6",
        "patchcord_admin_denied_total{reason=\"wrong_key\"} 1",
    ] {
        assert!(metrics.lines().any(|have| have == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn tokens_are_keys_of_the_admin_door_only_where_that_is_said() {
    let issuer = Issuer::new();
    let claims =
        Claims { room: RoomPattern::Prefix(String::new()), ..issuer.claims("ops", &[Permission::Admin]) };
    let token = claims.sign(&issuer.key).unwrap();
    let admin = AdminSettings {
        admin_token: Some("a-key-of-an-operator".to_owned().into()),
        ..AdminSettings::default()
    };
    let server = Server::start_with(Config { admin, ..issuer.config() }).await;
    let (status, body) = at_the_admin_door(&server, &token).await;
    assert!(status == 401 && body.contains("does not know this key"), "{status} {body}");
    // Said so, they are enough to ask for.
    let admin = AdminSettings { admin_by_token: true, ..AdminSettings::default() };
    let server = Server::start_with(Config { admin: admin.clone(), ..issuer.config() }).await;
    assert_eq!(server.get("/metrics").await.0, 401);
    assert_eq!(at_the_admin_door(&server, &token).await.0, 200);
    let without_keys = Config { admin, ..Config::default() }.checked().unwrap_err().to_string();
    assert_eq!(without_keys, "--admin-by-token needs --token-keys-file");
}
