//! TLS at both doors: what is shown and asked for, certificates that change under open streams, and who cannot hold it.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::net::SocketAddr;

use kit::{
    DEADLINE, Peer,
    process::{Process, command},
    tls::{Authority, Pair},
};
use patchcord_proto::v1::{
    CloseRoomRequest,
    room_service_client::RoomServiceClient,
    signal_request::{Message as Ask, Ping},
    signal_response::Message as Told,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tonic::Code;

async fn start(authority: &Authority, more: &[&str]) -> Process {
    let flags = authority.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Process::start(&flags).await
}

async fn join(authority: &Authority, address: SocketAddr, shown: Option<&Pair>) -> Peer {
    let mut peer = Peer::open(authority.connect(address, shown).await.unwrap()).await.unwrap();
    peer.join("lobby", "peer").await;
    peer
}

async fn is_alive(peer: &mut Peer) {
    peer.ask(Ask::Ping(Ping { nonce: 1 })).await;
    assert!(matches!(peer.told().await, Told::Pong(_)));
}

/// Waits until /metrics has a line that begins so.
async fn until_counted(authority: &Authority, process: &Process, line: &str) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let (_, metrics) = authority.get(process.admin, "/metrics", "", None).await;
        if metrics.lines().any(|have| have.starts_with(line)) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn both_doors_speak_it_in_both_versions_and_offer_what_they_serve() {
    let authority = Authority::new();
    authority.install("server");
    let process = start(&authority, &[]).await;
    let mut peer = join(&authority, process.public, None).await;
    is_alive(&mut peer).await;
    let rooms = RoomServiceClient::new(authority.connect(process.admin, None).await.unwrap())
        .list_rooms(patchcord_proto::v1::ListRoomsRequest::default())
        .await
        .unwrap();
    assert_eq!(rooms.into_inner().rooms.len(), 1);
    assert_eq!(authority.get(process.admin, "/readyz", "", None).await, (200, "ready\n".to_owned()));
    for version in [&TLS12, &TLS13] {
        let stream = authority.handshake(process.public, None, version, "h2").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    }
    let other = authority.handshake(process.public, None, &TLS13, "http/1.1").await;
    assert!(other.is_err(), "the public door offered http/1.1");
    let line = r#"patchcord_tls_handshakes_failed_total{reason="nothing_in_common"} 1"#;
    until_counted(&authority, &process, line).await;
}

#[tokio::test]
async fn certificates_change_on_sighup_under_an_open_stream_or_not_at_all() {
    let authority = Authority::new();
    let (first, second) = (authority.issue("first"), authority.issue("second"));
    first.write(authority.folder.path(), "server");
    let process = start(&authority, &[]).await;
    let mut peer = join(&authority, process.public, None).await;
    assert_eq!(authority.shown_at(process.public).await, first.der());

    second.write(authority.folder.path(), "server");
    process.signal("HUP").await;
    process.until_logged("reloaded\",\"", 2).await;
    for door in [process.public, process.admin] {
        assert_eq!(authority.shown_at(door).await, second.der());
    }
    is_alive(&mut peer).await;

    // The key of another certificate, then what is none.
    std::fs::write(authority.path("server.key"), &first.key).unwrap();
    process.signal("HUP").await;
    process.until_logged("not the key of the certificate", 2).await;
    std::fs::write(authority.path("server.pem"), "nonsense").unwrap();
    process.signal("HUP").await;
    process.until_logged("no certificate in PEM form", 2).await;
    assert_eq!(authority.shown_at(process.public).await, second.der());
    is_alive(&mut peer).await;
    let failed = r#"patchcord_reloads_total{what="public_tls",outcome="failed"} 2"#;
    until_counted(&authority, &process, failed).await;
}

#[tokio::test]
async fn a_certificate_is_renewed_without_a_signal_when_its_link_leads_elsewhere() {
    let authority = Authority::new();
    let (first, second) = (authority.issue("first"), authority.issue("second"));
    for (folder, pair) in [("1", &first), ("2", &second)] {
        std::fs::create_dir(authority.path(folder)).unwrap();
        pair.write(authority.path(folder).as_ref(), "server");
    }
    let lead_to = |folder: &str| {
        let fresh = authority.path("fresh");
        std::os::unix::fs::symlink(folder, &fresh).unwrap();
        std::fs::rename(fresh, authority.path("live")).unwrap();
    };
    lead_to("1");
    let [cert, key] = ["live/server.pem", "live/server.key"].map(|name| authority.path(name));
    let process = Process::start(&["--tls-cert", &cert, "--tls-key", &key]).await;
    assert_eq!(authority.shown_at(process.public).await, first.der());
    lead_to("2");
    process.until_logged("reloaded\",\"", 2).await;
    assert_eq!(authority.shown_at(process.public).await, second.der());
}

#[tokio::test]
async fn it_ends_in_order_over_tls_too() {
    let authority = Authority::new();
    authority.install("server");
    let process = start(&authority, &[]).await;
    let mut peer = join(&authority, process.public, None).await;
    let mute = authority.handshake(process.public, None, &TLS13, "h2").await.unwrap();
    process.terminate().await;
    let (told, end) = peer.rest().await;
    assert!(matches!(told.as_slice(), [.., Told::GoAway(_)]), "{told:?}");
    assert_eq!(end.unwrap_err().code(), Code::Unavailable);
    let (status, log) = process.ended().await;
    assert!(status.success(), "{status}: {log}");
    drop(mute);
}

#[tokio::test]
async fn the_public_door_takes_only_clients_whose_authority_it_knows() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.install("server");
    let ca = authority.path("ca.pem");
    let process = start(&authority, &["--client-ca", &ca]).await;
    let mut peer = join(&authority, process.public, Some(&authority.issue("ana"))).await;
    is_alive(&mut peer).await;
    let stranger = other.issue("ana");
    for shown in [None, Some(&stranger)] {
        // In TLS 1.3 a client hears of it after it is done, so it shows at the first call at the latest.
        let refused = match authority.connect(process.public, shown).await {
            Err(_) => true,
            Ok(channel) => Peer::open(channel).await.is_err(),
        };
        assert!(refused);
    }
    // How often depends on how often a client tries.
    for reason in ["no_client_certificate", "client_certificate"] {
        let line = format!("patchcord_tls_handshakes_failed_total{{reason=\"{reason}\"}}");
        until_counted(&authority, &process, &line).await;
    }
}

#[tokio::test]
async fn the_admin_door_shows_strangers_only_whether_it_is_well() {
    let authority = Authority::new();
    authority.install("server");
    let ca = authority.path("ca.pem");
    let process = start(&authority, &["--admin-client-ca", &ca]).await;
    let _peer = join(&authority, process.public, None).await;
    assert_eq!(authority.get(process.admin, "/livez", "", None).await.0, 200);
    let (status, told) = authority.get(process.admin, "/metrics", "", None).await;
    assert!(status == 403 && told.contains("client certificate"), "{status} {told}");
    let close = CloseRoomRequest { name: "lobby".to_owned(), message: String::new() };
    let stranger = authority.connect(process.admin, None).await.unwrap();
    let refused = RoomServiceClient::new(stranger).close_room(close.clone()).await.unwrap_err();
    assert!(refused.code() == Code::Unauthenticated && refused.message().contains("client certificate"));

    let ops = authority.issue("ops of night");
    assert_eq!(authority.get(process.admin, "/metrics", "", Some(&ops)).await.0, 200);
    let channel = authority.connect(process.admin, Some(&ops)).await.unwrap();
    RoomServiceClient::new(channel).close_room(close).await.unwrap();
    process.until_logged("certificate ops of night", 1).await;
}

#[tokio::test]
async fn who_speaks_plain_is_told_to_speak_tls() {
    let authority = Authority::new();
    authority.install("server");
    let process = start(&authority, &[]).await;
    let say = async |address: SocketAddr, words: &[u8]| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(words).await.unwrap();
        let mut answer = Vec::new();
        // What is not read of it resets the connection, after the answer.
        let _ = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap();
        answer
    };
    let answer = say(process.admin, b"GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert!(answer.starts_with(b"HTTP/1.1 400 ") && answer.ends_with(b"write https://\n"));
    let answer = say(process.public, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(answer.ends_with(b"this port speaks TLS: write https://"));
    let plain = tonic::transport::Endpoint::from_shared(format!("http://{}", process.public)).unwrap();
    if let Ok(channel) = plain.connect().await {
        assert!(Peer::open(channel).await.is_err());
    }
    assert_eq!(say(process.public, b"\xff\xfe garbage").await, b"");
    until_counted(&authority, &process, r#"patchcord_tls_handshakes_failed_total{reason="plain"}"#).await;
}

#[tokio::test]
async fn handshakes_that_stall_drip_or_are_garbage_are_ended_and_hold_nobody_up() {
    let authority = Authority::new();
    authority.install("server");
    let process = start(&authority, &["--connections-per-address-rate", "0"]).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(process.public).await.unwrap());
        // The header of a record of 512 bytes, and no record.
        let mut begun = TcpStream::connect(process.public).await.unwrap();
        begun.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
        silent.push(begun);
    }
    let mut dripping = TcpStream::connect(process.public).await.unwrap();
    let drip = tokio::spawn(async move {
        // A record that will be whole in 4 minutes, if it is for the client.
        let record = [[22, 3, 1, 1, 0, 1, 0, 0, 252].as_slice(), &[0; 252]].concat();
        for byte in record {
            if dripping.write_all(&[byte]).await.is_err() {
                return true;
            }
            let gone = timeout(std::time::Duration::from_secs(1), dripping.read_u8()).await;
            if gone.is_ok_and(|read| read.is_err()) {
                return true;
            }
        }
        false
    });
    // All of TLS, but then nothing: the deadline is for the preface inside.
    let mut mute = authority.handshake(process.public, None, &TLS13, "h2").await.unwrap();
    for _ in 0..20 {
        let mut garbage = TcpStream::connect(process.public).await.unwrap();
        garbage.write_all(&[&[22, 3, 1, 0, 64][..], &[0x55; 64]].concat()).await.unwrap();
        let mut alert = Vec::new();
        // It may be reset, for not all of it was read.
        let _ = timeout(DEADLINE, garbage.read_to_end(&mut alert)).await.expect("garbage is still held");
    }
    let mut peer = join(&authority, process.public, None).await;
    is_alive(&mut peer).await;
    for mut stream in silent {
        let mut nothing = Vec::new();
        let _ =
            timeout(DEADLINE, stream.read_to_end(&mut nothing)).await.expect("a silent one is still held");
    }
    let _ = timeout(DEADLINE, mute.read_to_end(&mut Vec::new())).await.expect("a mute one is still held");
    assert!(timeout(DEADLINE, drip).await.unwrap().unwrap(), "a dripping one was let go on");
    is_alive(&mut peer).await;
    until_counted(&authority, &process, r#"patchcord_connections_cut_total{reason="preface_timeout"} 82"#)
        .await;
    until_counted(&authority, &process, r#"patchcord_tls_handshakes_failed_total{reason="malformed"} 20"#)
        .await;
}

#[tokio::test]
async fn what_is_wrong_with_the_files_is_said_before_anything_is_bound() {
    let authority = Authority::new();
    authority.install("server");
    authority.install("other");
    let [cert, key, other, none] =
        ["server.pem", "server.key", "other.key", "none.pem"].map(|name| authority.path(name));
    let cases: [(&[&str], &str); 7] = [
        (&["--tls-cert", &cert], "--tls-cert needs --tls-key"),
        (&["--tls-key", &key], "--tls-key needs --tls-cert"),
        (&["--client-ca", &cert], "--client-ca needs --tls-cert and --tls-key"),
        (&["--tls-cert", &cert, "--tls-key", &other], "not the key of the certificate"),
        (&["--tls-cert", &none, "--tls-key", &key], "--tls-cert: cannot read"),
        (&["--tls-cert", &cert, "--tls-key", &cert], "there is no private key"),
        (
            &["--tls-cert", &cert, "--tls-key", &key, "--admin-client-ca", &cert, "--admin-plain"],
            "--admin-client-ca and --admin-plain exclude each other",
        ),
    ];
    for (arguments, told) in cases {
        let output = command().args(arguments).output().await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{arguments:?}: {stderr}");
        assert!(stderr.contains(told), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn an_admin_door_for_this_machine_may_stay_plain_and_health_checks_know() {
    let authority = Authority::new();
    authority.install("server");
    for (more, plain) in [(&[][..], "false"), (&["--admin-plain"], "true")] {
        let process = start(&authority, more).await;
        let [_, cert, _, key] = authority.flags();
        let admin = process.admin.to_string();
        let variables = [
            ("PATCHCORD_ADMIN_LISTEN", admin.as_str()),
            ("PATCHCORD_TLS_CERT", &cert),
            ("PATCHCORD_TLS_KEY", &key),
            ("PATCHCORD_ADMIN_PLAIN", plain),
        ];
        let ready = async || command().arg("ready").envs(variables).output().await.unwrap();
        let output = ready().await;
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"ready\n"[..]), "{output:?}");
        process.terminate().await;
        process.ended().await;
        let output = ready().await;
        assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{output:?}");
    }
    let half = command().arg("ready").env("PATCHCORD_TLS_CERT", "cert.pem").output().await.unwrap();
    assert_eq!(half.status.code(), Some(2), "{half:?}");
}
