//! What a page in an operator's browser can make of an admin door that this machine alone reaches: nothing.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use kit::{Server, http};
use patchcord_proto::v1::GetRoomRequest;
use patchcord_server::{AdminSettings, Config};

const CLOSE_ROOM: &str = "/patchcord.v1.RoomService/CloseRoom";
/// CloseRoomRequest of the room "lobby", framed as gRPC does.
const LOBBY: &str = "\0\0\0\0\u{7}\n\u{5}lobby";

/// As a browser puts it on the wire: with a body if it posts.
async fn send(server: &Server, method: &str, path: &str, lines: &[&str]) -> (u16, String) {
    let body = if method == "POST" { LOBBY } else { "" };
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let head =
        format!("{method} {path} HTTP/1.1\r\n{lines}content-length: {}\r\nconnection: close", body.len());
    http(server.admin, &format!("{head}\r\n\r\n{body}")).await
}

async fn is_there(server: &Server, room: &str) -> bool {
    server.rooms().await.get_room(GetRoomRequest { name: room.to_owned() }).await.is_ok()
}

#[tokio::test]
async fn a_page_closes_no_room() {
    let server = Server::start().await;
    let (_peer, _) = server.join("lobby", "peer").await;
    let here = format!("host: {}", server.admin);
    let (origin, grpc) = ("origin: https://evil.example", "content-type: application/grpc");
    for (method, lines, status, told) in [
        // fetch() with mode "no-cors", and what a form sends; some browsers name no origin.
        ("POST", &[&*here, origin, "content-type: text/plain"][..], 403, "not for pages"),
        (
            "POST",
            &[&here, "origin: null", "content-type: application/x-www-form-urlencoded"],
            403,
            "not for pages",
        ),
        ("POST", &[&here, "content-type: text/plain"], 415, "speaks gRPC"),
        ("POST", &[&here], 415, "speaks gRPC"),
        ("GET", &[&here], 415, "speaks gRPC"),
        // What asks whether it may, and then would.
        ("OPTIONS", &[&here, origin, "access-control-request-method: POST"], 403, "not for pages"),
        ("POST", &[&here, origin, grpc], 200, ""),
        // A name of its own that leads here: then there is no other origin, and it may send anything.
        ("POST", &["host: evil.example:50052", grpc], 200, ""),
    ] {
        let (got, body) = send(&server, method, CLOSE_ROOM, lines).await;
        assert_eq!(got, status, "{lines:?}: {body}");
        assert!(body.contains(told), "{lines:?}: {body}");
        assert!(is_there(&server, "lobby").await, "{method} {lines:?} closed the room");
    }
    // Without any of that it would have.
    assert_eq!(send(&server, "POST", CLOSE_ROOM, &[&here, grpc]).await.0, 200);
    assert!(!is_there(&server, "lobby").await);
    let (_, metrics) = server.get("/metrics").await;
    for (reason, count) in [("from_page", 4), ("not_grpc", 3), ("host_name", 1)] {
        let line = format!("patchcord_admin_denied_total{{reason=\"{reason}\"}} {count}");
        assert!(metrics.lines().any(|have| have == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_page_whose_name_leads_here_reads_nothing_and_probes_are_answered_by_any_name() {
    let server = Server::start().await;
    let foreign = "host: evil.example:50052";
    let (status, told) = send(&server, "GET", "/metrics", &[foreign]).await;
    assert!(status == 403 && told.contains("by its address or localhost"), "{status} {told}");
    assert_eq!(send(&server, "GET", "/metrics", &["host: localhost:50052"]).await.0, 200);
    for page in ["/livez", "/readyz"] {
        assert_eq!(send(&server, "GET", page, &[foreign]).await.0, 200);
    }
}

#[tokio::test]
async fn a_door_that_is_open_on_purpose_or_asks_for_a_key_may_have_a_name() {
    let named = "host: server:50052";
    let open = AdminSettings { admin_open: true, ..AdminSettings::default() };
    let server = Server::start_with(Config { admin: open, ..Config::default() }).await;
    assert_eq!(send(&server, "GET", "/metrics", &[named]).await.0, 200);
    assert_eq!(send(&server, "GET", "/metrics", &[named, "origin: http://server:50052"]).await.0, 403);
    assert_eq!(send(&server, "POST", CLOSE_ROOM, &[named, "content-type: text/plain"]).await.0, 415);
    let key = AdminSettings {
        admin_token: Some("a-key-of-an-operator".to_owned().into()),
        ..AdminSettings::default()
    };
    let server = Server::start_with(Config { admin: key, ..Config::default() }).await;
    let key = "authorization: Bearer a-key-of-an-operator";
    assert_eq!(send(&server, "GET", "/metrics", &[named, key]).await.0, 200);
    assert_eq!(send(&server, "GET", "/metrics", &[named]).await.0, 401);
}
