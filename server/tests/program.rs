//! The program: what it says of itself, how it takes bad configuration, what it logs, how it ends.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use kit::{
    DEADLINE, Peer, connect, join_request,
    process::{Process, command},
    raw::RawCall,
};
use patchcord_proto::v1::{
    SignalRequest,
    signal_request::{Candidate, Join, Message as Ask, Offer, Ping},
    signal_response::Message as Told,
};
use tokio::{io::AsyncWriteExt, net::TcpListener, time::timeout};

/// Nothing that one address or session may do at most, for what comes behind that.
const UNLIMITED: &[&str] = &["--requests-per-session-rate", "0", "--sessions-per-connection-max", "10000"];

async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = command();
    command.args(arguments).envs(variables.iter().copied());
    timeout(DEADLINE, command.output()).await.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn help_names_every_flag_its_variable_and_default() {
    let output = run(&["--help"], &[]).await;
    assert!(output.status.success());
    let help = text(&output.stdout);
    for words in [
        "--listen",
        "PATCHCORD_LISTEN",
        "0.0.0.0:50051",
        "--admin-listen",
        "PATCHCORD_ADMIN_LISTEN",
        "127.0.0.1:50052",
        "--no-admin",
        "--tls-cert",
        "PATCHCORD_TLS_CERT",
        "--tls-key",
        "--client-ca",
        "--admin-client-ca",
        "--admin-plain",
        "--admin-keys-file",
        "PATCHCORD_ADMIN_KEYS_FILE",
        "--admin-token",
        "--admin-token-file",
        "--admin-open",
        "--stun-url",
        "PATCHCORD_STUN_URL",
        "--turn-url",
        "PATCHCORD_TURN_URL",
        "--turn-secret",
        "PATCHCORD_TURN_SECRET",
        "--turn-secret-file",
        "--turn-ttl",
        "PATCHCORD_TURN_TTL",
        "[default: 300]",
        "--rooms-max",
        "100000",
        "--peers-per-room-max",
        "64",
        "--sessions-per-connection-max",
        "--connections-max",
        "[default: 65536]",
        "--connections-per-address-max",
        "[default: 256]",
        "--connections-per-address-rate",
        "--joins-per-address-rate",
        "--requests-per-session-rate",
        "PATCHCORD_REQUESTS_PER_SESSION_RATE",
        "--log-format",
        "--log-level",
        "PATCHCORD_LOG_LEVEL",
        "Exit codes",
    ] {
        assert!(help.contains(words), "{words} is not in:\n{help}");
    }
    let output = run(&["--version"], &[]).await;
    assert!(output.status.success());
    assert!(text(&output.stdout).starts_with("patchcord-server "));
}

/// Arguments, variables, and what the line has to name.
type Case = (&'static [&'static str], &'static [(&'static str, &'static str)], &'static str);

#[tokio::test]
async fn bad_configuration_is_one_line_and_exit_code_2() {
    let cases: [Case; 14] = [
        (&["--connections-max", "0"], &[], "--connections-max"),
        (&["--joins-per-address-rate", "2000000"], &[], "--joins-per-address-rate"),
        (&["--listen", "nonsense"], &[], "nonsense"),
        (&[], &[("PATCHCORD_LISTEN", "nonsense")], "nonsense"),
        (&["--frobnicate"], &[], "--frobnicate"),
        (&["surplus"], &[], "surplus"),
        (&["--turn-ttl", "5"], &[], "--turn-ttl"),
        (&["--stun-url", "http://x"], &[], "http://x"),
        (&["--turn-url", "turn:x"], &[], "--turn-secret"),
        (&["--turn-secret", "x"], &[], "--turn-url"),
        (&["--turn-url", "turn:x", "--turn-secret-file", "/nonexistent/secret"], &[], "/nonexistent/secret"),
        (&["--log-level", "=;="], &[], "--log-level"),
        (&["--log-format", "xml"], &[], "xml"),
        (&["--listen", "127.0.0.1:9", "--admin-listen", "127.0.0.1:9"], &[], "127.0.0.1:9"),
    ];
    for (arguments, variables, named) in cases {
        let output = run(arguments, variables).await;
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
        assert!(
            stderr.starts_with("patchcord-server: ") && stderr.contains(named),
            "{arguments:?}: {stderr}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn the_file_of_a_secret_is_read_once() {
    // A pipe holds what is in it for one reader only.
    let mut command = command();
    command.args(["--turn-url", "turn:x", "--turn-secret-file", "/dev/stdin", "--listen", "192.0.2.1:1"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b" north\n").await.unwrap();
    let output = timeout(DEADLINE, child.wait_with_output()).await.unwrap().unwrap();
    // Past the checks, it finds no place to listen.
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("192.0.2.1:1"), "{stderr}");
}

#[tokio::test]
async fn a_variable_set_to_nothing_is_not_set() {
    let names = "STUN_URL TURN_URL TURN_SECRET TURN_SECRET_FILE TLS_CERT TLS_KEY CLIENT_CA ADMIN_CLIENT_CA ADMIN_PLAIN \
                 ADMIN_KEYS_FILE ADMIN_TOKEN ADMIN_TOKEN_FILE ADMIN_OPEN";
    let empty: Vec<_> = names.split(' ').map(|name| format!("PATCHCORD_{name}")).collect();
    let variables: Vec<_> = empty.iter().map(|name| (name.as_str(), "")).collect();
    // Past the checks, it finds no place to listen.
    let output = run(&["--listen", "192.0.2.1:1"], &variables).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_secret_is_not_repeated_in_an_error() {
    let output = run(&["--turn-secret", "very-secret", "--turn-url", "nonsense"], &[]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(!text(&output.stderr).contains("very-secret"));
    let output = run(&["--help"], &[("PATCHCORD_TURN_SECRET", "very-secret")]).await;
    assert!(!text(&output.stdout).contains("very-secret"));
}

#[tokio::test]
async fn an_address_in_use_is_one_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for arguments in [
        ["--listen", &*address, "--admin-listen", "127.0.0.1:0"],
        ["--listen", "127.0.0.1:0", "--admin-listen", &*address],
    ] {
        let output = run(&arguments, &[]).await;
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(&address) && stderr.contains("in use"), "{stderr}");
    }
}

#[tokio::test]
async fn sigterm_ends_it_in_time_and_another_takes_its_ports_at_once() {
    let process = Process::start(&[]).await;
    let (public, admin) = (process.public.to_string(), process.admin.to_string());
    let mut peer = Peer::open(connect(process.public).await).await.unwrap();
    peer.join("lobby", "peer").await;
    // One that will not go: it answers nothing and reads nothing.
    let silent = tokio::net::TcpStream::connect(process.public).await.unwrap();
    let mut stuck = RawCall::open_with_window(process.public, 0).await;
    stuck.send_request(&join_request(1, "lobby", "stuck"));
    peer.peer_joined().await;

    let started = std::time::Instant::now();
    process.terminate().await;
    let (told, end) = peer.rest().await;
    assert!(matches!(told.as_slice(), [.., Told::GoAway(_)]), "{told:?}");
    assert_eq!(end.unwrap_err().code(), tonic::Code::Unavailable);
    let (status, _) = process.ended().await;
    assert!(status.success(), "{status}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());

    let next = Process::start_at(&public, &admin, &[]).await;
    let mut peer = Peer::open(connect(next.public).await).await.unwrap();
    peer.join("lobby", "peer").await;
    drop((silent, stuck));
}

#[tokio::test]
async fn sighup_reads_files_again_and_ends_nothing() {
    let process = Process::start(&[]).await;
    let mut peer = Peer::open(connect(process.public).await).await.unwrap();
    peer.join("lobby", "peer").await;
    process.signal("HUP").await;
    process.until_logged("nothing to reload", 1).await;
    peer.ask(Ask::Ping(Ping { nonce: 7 })).await;
    assert!(matches!(peer.told().await, Told::Pong(_)));
}

#[tokio::test]
async fn the_log_holds_no_description_candidate_token_or_raw_name() {
    let process = Process::start(&[
        "--log-level",
        "debug",
        "--turn-url",
        "turn:turn.example.org",
        "--turn-secret",
        "marked-secret",
    ])
    .await;
    let channel = connect(process.public).await;
    let mut one = Peer::open(channel.clone()).await.unwrap();
    let joined = one.join("room \"quoted\"", "one").await;
    let mut other = Peer::open(channel).await.unwrap();
    let join = Join {
        room: "room \"quoted\"".to_owned(),
        display_name: "marked-name".to_owned(),
        user_agent: String::new(),
        access_token: "marked-token".to_owned(),
    };
    other.send_request(SignalRequest { seq: 0, ack: 0, message: Some(Ask::Join(join)) }).await;
    let other_id = one.peer_joined().await;
    assert!(matches!(other.told().await, Told::Joined(_)));
    one.ask(Ask::Offer(Offer { to_peer_id: other_id.clone(), sdp: "marked-sdp".to_owned() })).await;
    other.told().await;
    let candidate = "marked-candidate".to_owned();
    one.ask(Ask::Candidate(Candidate { to_peer_id: other_id, candidate, ..Candidate::default() })).await;
    other.told().await;
    one.offer("marked-nobody", "marked-sdp").await;
    one.rejected().await;
    process.terminate().await;
    let (_, log) = process.ended().await;
    let credential = &joined.ice_servers[0].credential;
    for secret in ["marked-", "marked-secret", credential.as_str()] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    let joins: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let join = joins.iter().find(|event| event["message"] == "joined").unwrap();
    assert_eq!(join["room"], r#""room \"quoted\"""#);
}

#[tokio::test]
async fn memory_stays_bounded_whatever_peers_do_not_read() {
    let process = Process::start(UNLIMITED).await;
    let mut sender = Peer::open(connect(process.public).await).await.unwrap();
    sender.join("lobby", "sender").await;
    let mut stuck = Vec::new();
    for _ in 0..40 {
        let mut call = RawCall::open_with_window(process.public, 1024).await;
        call.send_request(&join_request(1, "lobby", "stuck"));
        stuck.push((sender.peer_joined().await, call));
    }
    let before = process.resident_kib();
    let sdp = "x".repeat(16 * 1024);
    // 20 times what an outbox takes: 40 peers would be sent 200 MiB.
    for _ in 0..320 {
        for (id, _) in &stuck {
            sender.offer(id, &sdp).await;
        }
        while let Told::Rejected(_) | Told::PeerLeft(_) = drain_one(&mut sender).await {}
    }
    let grown = process.resident_kib().saturating_sub(before);
    // An outbox and what the transport holds of it, for each.
    assert!(grown < 40 * 640, "{grown} KiB for 40 peers");
}

/// The next thing that is told, or a Pong once all before it is told.
async fn drain_one(peer: &mut Peer) -> Told {
    if peer.pinged != peer.seq {
        peer.ask(Ask::Ping(Ping { nonce: 0 })).await;
        peer.pinged = peer.seq;
    }
    peer.told().await
}

#[tokio::test]
async fn memory_stays_flat_under_joins_that_come_to_nothing() {
    let process = Process::start(UNLIMITED).await;
    let mut peer = Peer::open(connect(process.public).await).await.unwrap();
    peer.join("lobby", "peer").await;
    let mut resident = Vec::new();
    for _ in 0..4 {
        let requests = peer.requests.clone().unwrap();
        let sending = tokio::spawn(async move {
            for _ in 0..10_000 {
                requests.send(join_request(0, "elsewhere", "peer")).await.unwrap();
            }
        });
        for _ in 0..10_000 {
            peer.rejected().await;
        }
        sending.await.unwrap();
        resident.push(process.resident_kib());
    }
    assert!(resident[3] < resident[0] + 4 * 1024, "{resident:?} KiB");
}

#[tokio::test]
async fn running_out_of_file_descriptors_slows_accepting_down_and_passes() {
    let process = Process::start(&[]).await;
    process.limit_files(process.open_files() + 4);
    let mut sockets = Vec::new();
    for _ in 0..40 {
        sockets.push(tokio::net::TcpStream::connect(process.public).await.unwrap());
    }
    // A second lies between two lines of the log.
    process.until_logged("cannot accept", 2).await;
    drop(sockets);
    let mut peer = Peer::open(connect(process.public).await).await.unwrap();
    peer.join("lobby", "peer").await;
}
