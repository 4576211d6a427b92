//! Keys of operators: who has none sees nothing but health, keys are replaced under way, and no log repeats one.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::path::Path;

use kit::{
    DEADLINE, Peer, connect, http_get_with,
    process::{Process, command},
};
use patchcord_proto::v1::{
    CloseRoomRequest, ListRoomsRequest, WatchRoomsRequest, room_service_client::RoomServiceClient,
    watch_rooms_response::Event,
};
use tokio::time::timeout;
use tonic::{Code, Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

async fn tool(arguments: &[&str]) -> String {
    let output = command().args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A key, whose line is added to the file.
async fn add_key(name: &str, file: &Path) -> String {
    let key = tool(&["admin-key", "--name", name, "--file", file.to_str().unwrap()]).await;
    key.trim_end().to_owned()
}

fn with_key<T>(message: T, key: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    request
}

async fn list(process: &Process, key: &str) -> Result<usize, Status> {
    let mut rooms = RoomServiceClient::new(connect(process.admin).await);
    let listed = rooms.list_rooms(with_key(ListRoomsRequest::default(), key)).await?;
    Ok(listed.into_inner().rooms.len())
}

#[tokio::test]
async fn without_a_key_there_is_nothing_but_health() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let key = add_key("ops", &file).await;
    let process =
        Process::start(&["--admin-keys-file", file.to_str().unwrap(), "--log-level", "debug"]).await;
    let mut peer = Peer::open(connect(process.public).await).await.unwrap();
    peer.join("lobby", "peer").await;

    let channel = connect(process.admin).await;
    let refused =
        RoomServiceClient::new(channel.clone()).list_rooms(ListRoomsRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("authorization: Bearer KEY"), "{refused}");
    assert_eq!(list(&process, "pcadm_wrong").await.unwrap_err().code(), Code::Unauthenticated);
    let mut reflection =
        tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let refused = reflection.server_reflection_info(tokio_stream::empty()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(http_get_with(process.admin, "/livez", "").await.0, 200);
    assert_eq!(http_get_with(process.admin, "/readyz", "").await.0, 200);
    let (status, told) = http_get_with(process.admin, "/metrics", "").await;
    assert!(status == 401 && told.contains("Bearer KEY"), "{status} {told}");

    assert_eq!(list(&process, &key).await.unwrap(), 1);
    let header = format!("Authorization: Bearer {key}\r\n");
    let (status, metrics) = http_get_with(process.admin, "/metrics", &header).await;
    assert_eq!(status, 200);
    for line in [
        r#"patchcord_admin_denied_total{reason="no_key"} 3"#,
        r#"patchcord_admin_denied_total{reason="wrong_key"} 1"#,
    ] {
        assert!(metrics.lines().any(|have| have == line), "{line} is not in\n{metrics}");
    }
    let close = CloseRoomRequest { name: "lobby".to_owned(), message: String::new() };
    RoomServiceClient::new(channel).close_room(with_key(close, &key)).await.unwrap();
    process.terminate().await;
    let (_, log) = process.ended().await;
    let closed = log.lines().find(|line| line.contains("closed by an operator")).unwrap();
    assert!(closed.contains("\"operator\":\"key ops\""), "{closed}");
    assert!(!log.contains(&key) && !log.contains("pcadm_"), "{log}");
}

#[tokio::test]
async fn a_key_is_replaced_without_a_moment_when_nobody_gets_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let old = add_key("ops", &file).await;
    let process = Process::start(&["--admin-keys-file", file.to_str().unwrap()]).await;
    let new = add_key("ops-2", &file).await;
    process.signal("HUP").await;
    process.until_logged("keys of ops, ops-2", 1).await;
    for key in [&old, &new] {
        list(&process, key).await.unwrap();
    }
    let lines = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, lines.lines().last().unwrap()).unwrap();
    process.signal("HUP").await;
    process.until_logged("keys of ops-2", 1).await;
    assert_eq!(list(&process, &old).await.unwrap_err().code(), Code::Unauthenticated);
    list(&process, &new).await.unwrap();
    // Emptied by mistake: whoever could get in still can.
    std::fs::write(&file, "").unwrap();
    process.signal("HUP").await;
    process.until_logged("no key in it", 1).await;
    list(&process, &new).await.unwrap();
}

#[tokio::test]
async fn a_watch_ends_with_the_key_that_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let (old, new) = (add_key("ops", &file).await, add_key("ops-2", &file).await);
    let process = Process::start(&["--admin-keys-file", file.to_str().unwrap()]).await;
    let mut rooms = RoomServiceClient::new(connect(process.admin).await);
    let mut watches = Vec::new();
    for key in [&old, &new] {
        let request = with_key(WatchRoomsRequest::default(), key);
        let mut watch = rooms.watch_rooms(request).await.unwrap().into_inner();
        assert!(matches!(watch.message().await.unwrap().unwrap().event, Some(Event::Synced(_))));
        watches.push(watch);
    }
    let lines = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, lines.lines().last().unwrap()).unwrap();
    process.signal("HUP").await;
    let ended = timeout(DEADLINE, watches[0].message()).await.unwrap().unwrap_err();
    assert!(ended.code() == Code::Unauthenticated && ended.message().contains("no longer good"), "{ended}");
    let mut peer = Peer::open(connect(process.public).await).await.unwrap();
    peer.join("lobby", "peer").await;
    let change = timeout(DEADLINE, watches[1].message()).await.unwrap().unwrap().unwrap();
    assert!(matches!(change.event, Some(Event::Opened(_))), "the other goes on");
}

#[tokio::test]
async fn guessing_ends_soon() {
    let process = Process::start(&["--admin-token", "a-key-of-an-operator"]).await;
    list(&process, "a-key-of-an-operator").await.unwrap();
    let mut guesses = 0;
    let told = loop {
        let refused = list(&process, "a-key-of-another-one").await.unwrap_err();
        if refused.code() == Code::ResourceExhausted {
            break refused;
        }
        guesses += 1;
        assert!(guesses < 100, "guessing goes on");
    };
    assert!(told.message().contains("too many wrong keys"), "{told}");
}

#[tokio::test]
async fn a_door_that_others_reach_is_not_opened_without_a_lock() {
    let output = command().args(["--admin-listen", "0.0.0.0:0"]).output().await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
    for flag in ["--admin-keys-file", "--admin-token-file", "--admin-client-ca", "--admin-open"] {
        assert!(stderr.contains(flag), "{stderr}");
    }
    for (flags, warning) in [
        (&["--admin-open"][..], "the admin door on 0.0.0.0:"),
        (&["--admin-token", "a-key-of-an-operator"], "keys of operators can be read on the way"),
    ] {
        let process = Process::start_at("0.0.0.0:0", "0.0.0.0:0", flags).await;
        assert_eq!(process.logged(warning), 1, "{flags:?}");
        assert_eq!(process.logged("has neither TLS nor tokens"), 1);
    }
    let process = Process::start(&[]).await;
    assert_eq!(process.logged("\"level\":\"WARN\""), 0);
}

#[tokio::test]
async fn secrets_that_everybody_can_read_are_warned_of_once() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (key, signing, hashes) =
        (folder.path().join("key"), folder.path().join("signing"), folder.path().join("hashes"));
    std::fs::write(&key, "a-key-of-an-operator\n").unwrap();
    tool(&["key", "--kid", "hs", "--file", signing.to_str().unwrap()]).await;
    add_key("ops", &hashes).await;
    let flags = [
        ("--admin-token-file", &key),
        ("--token-keys-file", &signing),
        // Of what is in it nobody makes a key.
        ("--admin-keys-file", &hashes),
    ];
    let arguments: Vec<&str> =
        flags.iter().flat_map(|(flag, path)| [*flag, path.to_str().unwrap()]).collect();
    for (mode, times) in [(0o644, 1), (0o640, 0)] {
        for (_, path) in &flags {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let process = Process::start(&arguments).await;
        for (flag, _) in &flags[..2] {
            assert_eq!(process.logged(&format!("{flag}: ")), times, "{flag} {mode:o}");
        }
        assert_eq!(process.logged("every user of this machine"), 2 * times);
    }
}

#[tokio::test]
async fn wrong_settings_of_keys_are_one_line_that_repeats_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, "pcadm_put-here-by-mistake").unwrap();
    let path = file.to_str().unwrap();
    for (arguments, told) in [
        (&["--admin-token", "marked"][..], "16 characters"),
        (&["--admin-keys-file", path], "line 1"),
        (&["--admin-token-file", "/nonexistent/key"], "/nonexistent/key"),
        (&["--admin-token", "marked-and-long-enough", "--admin-token-file", path], "exclude each other"),
        (&["admin-key", "--name", "a b"], "--name"),
    ] {
        let output = command().args(arguments).output().await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{arguments:?}: {stderr}");
        assert!(stderr.contains(told), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("marked") && !stderr.contains("put-here"), "{stderr}");
    }
    let made = tool(&["admin-key", "--name", "ops"]).await;
    let [key, line] = made.lines().collect::<Vec<_>>()[..] else { panic!("{made}") };
    assert!(key.starts_with("pcadm_") && line.starts_with("ops sha256:"), "{made}");
}
