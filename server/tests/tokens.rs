//! Who may join, and what: tokens at the doors of a real server, and what an operator can do about them.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::time::{Duration, SystemTime};

use kit::{
    Peer, Server, connect,
    issuer::{ALL, Issuer},
    process::Process,
};
use patchcord_proto::v1::{
    GetRoomRequest, LeaveReason, PeerState, RevokeTokenRequest, RevokeTokenResponse,
    revoke_token_request::What,
    signal_request::{Join, Message as Ask},
    signal_response::{Message as Told, Rejected, go_away::Action, rejected::Code},
};
use patchcord_server::{
    Config,
    tokens::{Algorithm, Claims, Jwk, Permission, RoomPattern},
};
use tonic::Status;

async fn ask_to_join(peer: &mut Peer, room: &str, token: &str) {
    let join = Join {
        room: room.to_owned(),
        display_name: "peer".to_owned(),
        user_agent: String::new(),
        access_token: token.to_owned(),
    };
    peer.ask(Ask::Join(join)).await;
}

/// Joins the lobby, or is refused.
async fn join(peer: &mut Peer, token: &str) -> Result<Vec<String>, Rejected> {
    ask_to_join(peer, "lobby", token).await;
    match peer.told().await {
        Told::Joined(joined) => {
            peer.id = joined.peer_id;
            Ok(joined.permissions)
        }
        Told::Rejected(rejected) => Err(rejected),
        other => panic!("{other:?}"),
    }
}

async fn joined(server: &Server, token: &str) -> Peer {
    let mut peer = server.stream().await;
    join(&mut peer, token).await.unwrap();
    peer
}

async fn revoke(server: &Server, what: What, message: &str) -> Result<RevokeTokenResponse, Status> {
    let request = RevokeTokenRequest { what: Some(what), message: message.to_owned() };
    server.rooms().await.revoke_token(request).await.map(tonic::Response::into_inner)
}

async fn refused(server: &Server, token: &str) -> String {
    let rejected = join(&mut server.stream().await, token).await.unwrap_err();
    assert_eq!((rejected.code(), rejected.retryable), (Code::NotPermitted, false));
    rejected.message
}

#[tokio::test]
async fn a_server_with_keys_lets_in_who_has_a_token_and_tells_others_what_is_wrong() {
    let issuer = Issuer::new();
    let server = Server::start_with(issuer.config()).await;
    let good = issuer.claims("ana", ALL);
    let sign = |claims: Claims| claims.sign(&issuer.key).unwrap();
    let expired =
        Claims { issued_at: good.issued_at - 900, expires_at: good.issued_at - 300, ..good.clone() };
    let elsewhere = Claims { room: RoomPattern::Prefix("team-".to_owned()), ..good.clone() };
    let other_server = Claims { audience: "other".to_owned(), ..good.clone() };
    let forger = Jwk::random("north", Algorithm::EdDsa).unwrap();
    for (token, named) in [
        (String::new(), "lets in who has a token"),
        ("nonsense".to_owned(), "is no token"),
        (sign(expired), "expired 5 min ago by the server's clock"),
        (sign(elsewhere), "another room"),
        (sign(other_server), "another server"),
        (good.sign(&forger).unwrap(), "not signed"),
        (good.sign(&Jwk::random("south", Algorithm::Hs256).unwrap()).unwrap(), "not in use here"),
        (issuer.token("ana", &[Permission::Send]), "\"join\""),
        (issuer.token("ana", &[Permission::Join]), "nobody is in this one"),
    ] {
        let message = refused(&server, &token).await;
        assert!(message.contains(named), "{named}: {message}");
    }
    // On the same stream, after a refusal.
    let mut peer = server.stream().await;
    assert_eq!(join(&mut peer, "nonsense").await.unwrap_err().reason, "malformed");
    assert_eq!(join(&mut peer, &sign(good)).await.unwrap(), ["join", "create", "send", "turn"]);
    // Who may not open a room may enter one.
    assert_eq!(
        join(&mut server.stream().await, &issuer.token("bo", &[Permission::Join])).await.unwrap(),
        ["join"]
    );
    let request = GetRoomRequest { name: "lobby".to_owned() };
    let room = server.rooms().await.get_room(request).await.unwrap().into_inner().room.unwrap();
    assert_eq!((room.peers[0].subject.as_str(), room.peers[0].token_id.as_str()), ("ana", "of-ana"));
    let (_, metrics) = server.get("/metrics").await;
    for line in ["{reason=\"expired\"} 1", "{reason=\"signature\"} 1", "{reason=\"malformed\"} 2"] {
        assert!(metrics.contains(&format!("patchcord_tokens_refused_total{line}")), "{line}:\n{metrics}");
    }
}

#[tokio::test]
async fn permissions_stay_with_the_session() {
    let issuer = Issuer::new();
    let turn = Config {
        turn_urls: vec!["turn:turn.example.org".to_owned()],
        turn_secret: Some("north".to_owned().into()),
        ..issuer.config()
    };
    let server = Server::start_with(turn).await;
    let mut sender = joined(&server, &issuer.token("ana", ALL)).await;
    let mut listener = server.stream().await;
    ask_to_join(&mut listener, "lobby", &issuer.token("bo", &[Permission::Join])).await;
    let (listener_id, ice_servers) = match listener.told().await {
        Told::Joined(joined) => (joined.peer_id, joined.ice_servers),
        other => panic!("{other:?}"),
    };
    assert!(ice_servers.is_empty(), "no credentials without the permission: {ice_servers:?}");
    sender.peer_joined().await;
    listener.offer(&sender.id, "v=0").await;
    let rejected = listener.rejected().await;
    assert_eq!(rejected.code(), Code::NotPermitted);
    assert!(rejected.message.contains("\"send\""), "{}", rejected.message);
    sender.offer(&listener_id, "v=0").await;
    assert!(matches!(listener.told().await, Told::Offer(_)));
}

#[tokio::test]
async fn a_revoked_token_ends_its_sessions_at_once_and_admits_nobody_after_a_restart_either() {
    let issuer = Issuer::new();
    let revoked_file = Some(issuer.folder.path().join("revoked"));
    let config = Config { revoked_file, ..issuer.config() };
    let mut server = Server::start_with(config.clone()).await;
    let (ana, bo) = (issuer.token("ana", ALL), issuer.token("bo", ALL));
    let mut ana_peer = joined(&server, &ana).await;
    let mut bo_peer = joined(&server, &bo).await;
    ana_peer.peer_joined().await;
    let done = revoke(&server, What::TokenId("of-bo".to_owned()), "lost laptop").await.unwrap();
    assert_eq!((done.sessions_ended, done.survives_restart), (1, true));
    let (told, end) = bo_peer.rest().await;
    match told.as_slice() {
        [Told::GoAway(away)] => {
            assert_eq!((away.reason(), away.action()), (LeaveReason::Removed, Action::Stop));
            assert_eq!(away.message, "your token was revoked: lost laptop");
        }
        told => panic!("{told:?}"),
    }
    assert_eq!(end.unwrap_err().code(), tonic::Code::Aborted);
    assert_eq!(ana_peer.peer_left().await, (bo_peer.id.clone(), LeaveReason::Removed));
    assert!(refused(&server, &bo).await.contains("revoked"));
    // Another token of bo is good, until all of bo's are taken back.
    let other =
        Claims { token_id: "other".to_owned(), ..issuer.claims("bo", ALL) }.sign(&issuer.key).unwrap();
    let _again = joined(&server, &other).await;
    let done = revoke(&server, What::Subject("bo".to_owned()), "").await.unwrap();
    assert_eq!(done.sessions_ended, 1);
    assert!(refused(&server, &other).await.contains("revoked"));

    server.begin_stop();
    server.stopped().await;
    let server = Server::start_with(config).await;
    assert!(refused(&server, &bo).await.contains("revoked"));
    assert!(refused(&server, &other).await.contains("revoked"));
    joined(&server, &ana).await;
}

#[tokio::test]
async fn a_revoked_key_ends_what_it_let_in_whether_attached_or_not() {
    let issuer = Issuer::new();
    let south = Jwk::random("south", Algorithm::EdDsa).unwrap();
    issuer.publish(&[&issuer.key, &south]);
    // Nobody who is detached leaves by itself in this time.
    let server = Server::start_with(Config { grace_time_s: 600, ..issuer.config() }).await;
    let mut bo = joined(&server, &issuer.claims("bo", ALL).sign(&south).unwrap()).await;
    let mut ana = joined(&server, &issuer.token("ana", ALL)).await;
    bo.peer_joined().await;
    let cy = joined(&server, &issuer.token("cy", ALL)).await;
    let cy_id = cy.id.clone();
    bo.peer_joined().await;
    ana.peer_joined().await;
    drop(cy);
    assert_eq!(bo.peer_is(PeerState::Detached).await, cy_id);
    ana.peer_is(PeerState::Detached).await;
    let done = revoke(&server, What::KeyId("north".to_owned()), "it was stolen").await.unwrap();
    assert_eq!(done.sessions_ended, 2);
    let (told, _) = ana.rest().await;
    assert!(
        matches!(told.as_slice(), [.., Told::GoAway(away)] if away.message.ends_with("it was stolen")),
        "{told:?}"
    );
    let mut left = [bo.peer_left().await.0, bo.peer_left().await.0];
    left.sort();
    let mut gone = [ana.id.clone(), cy_id];
    gone.sort();
    assert_eq!(left, gone);
    assert!(refused(&server, &issuer.token("dee", ALL)).await.contains("revoked"));
    joined(&server, &issuer.claims("dee", ALL).sign(&south).unwrap()).await;
    bo.peer_joined().await;
}

#[tokio::test]
async fn what_cannot_be_revoked_is_said() {
    let open = Server::start().await;
    let refused = revoke(&open, What::Subject("ana".to_owned()), "").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    let issuer = Issuer::new();
    let server = Server::start_with(issuer.config()).await;
    for (what, message) in [
        (What::Subject(String::new()), ""),
        (What::TokenId("a\u{7}".to_owned()), ""),
        (What::TokenId("x".repeat(129)), ""),
        (What::KeyId("a b".to_owned()), ""),
        (What::TokenId("7".to_owned()), "\u{1b}[2J"),
    ] {
        assert_eq!(revoke(&server, what, message).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    }
    let nothing = RevokeTokenRequest { what: None, message: String::new() };
    let refused = server.rooms().await.revoke_token(nothing).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let done = revoke(&server, What::TokenId("7".to_owned()), "").await.unwrap();
    assert_eq!((done.sessions_ended, done.survives_restart), (0, false));
    let until = SystemTime::try_from(done.until.unwrap()).unwrap();
    assert!(until > SystemTime::now() + Duration::from_secs(86_400));
}

#[tokio::test]
async fn keys_are_changed_without_a_restart_and_open_sessions_live_on() {
    let issuer = Issuer::new();
    let keys_file = issuer.keys_file.to_str().unwrap();
    let process = Process::start(&["--token-keys-file", keys_file]).await;
    let old = issuer.token("ana", ALL);
    let new_key = Jwk::random("new", Algorithm::Hs256).unwrap();
    let new = issuer.claims("bo", ALL).sign(&new_key).unwrap();
    let mut ana = Peer::open(connect(process.public).await).await.unwrap();
    join(&mut ana, &old).await.unwrap();
    let mut bo = Peer::open(connect(process.public).await).await.unwrap();
    assert!(join(&mut bo, &new).await.unwrap_err().message.contains("not in use here"));
    issuer.publish(&[&new_key]);
    process.signal("HUP").await;
    process.until_logged("keys new", 1).await;
    let mut late = Peer::open(connect(process.public).await).await.unwrap();
    assert!(join(&mut late, &old).await.unwrap_err().message.contains("not in use here"));
    let mut bo = Peer::open(connect(process.public).await).await.unwrap();
    join(&mut bo, &new).await.unwrap();
    // The one whose key is gone is still there.
    ana.peer_joined().await;
    bo.offer(&ana.id, "v=0").await;
    assert!(matches!(ana.told().await, Told::Offer(_)));
    // A file that holds no keys changes nothing.
    std::fs::write(&issuer.keys_file, "no keys").unwrap();
    process.signal("HUP").await;
    process.until_logged("no JWK Set", 1).await;
    let mut again = Peer::open(connect(process.public).await).await.unwrap();
    join(&mut again, &new).await.unwrap();
    process.terminate().await;
    let (_, log) = process.ended().await;
    for secret in [&old, &new].map(|token| token.rsplit_once('.').unwrap().1) {
        assert!(!log.contains(secret), "a signature is in the log");
    }
    assert!(log.contains("\"subject\":\"ana\""), "{log}");
}
