//! The guard of the doors: who is let in, for how long without a word, and what stays open to whom.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::net::SocketAddr;

use kit::{DEADLINE, Peer, Server, connect, http_get, join_request, process::Process, raw::RawCall};
use patchcord_proto::v1::{
    LeaveReason, SignalRequest,
    signal_request::{Message as Ask, Ping, Resume},
    signal_response::{Message as Told, rejected::Code},
};
use patchcord_server::{Allowances, Config};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

fn with(allowances: Allowances) -> Config {
    Config { allowances, ..Config::default() }
}

/// Waits until the server has closed it.
async fn closed(socket: &mut TcpStream) {
    let _ = timeout(DEADLINE, socket.read_to_end(&mut Vec::new())).await.expect("the server closes it");
}

async fn counted(server: &Server, line: &str) -> bool {
    let (_, text) = server.get("/metrics").await;
    text.lines().any(|have| have == line)
}

/// Connected and served.
async fn is_served(address: SocketAddr) -> bool {
    // A reset may come before this end knows that it is connected.
    let Ok(mut socket) = TcpStream::connect(address).await else { return false };
    let written = socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let mut settings = [0; 9];
    let read = timeout(DEADLINE, socket.read_exact(&mut settings)).await.unwrap();
    written.is_ok() && read.is_ok()
}

#[tokio::test]
async fn silence_is_closed_at_both_doors_and_a_session_is_not() {
    let server = Server::start().await;
    let (mut peer, _) = server.join("lobby", "peer").await;
    let mut silent = Vec::new();
    for address in [server.public, server.admin] {
        for said in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /livez HTTP/1.1\r\n"] {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(said).await.unwrap();
            silent.push(socket);
        }
    }
    // The public door speaks no HTTP/1, and says so at once to the one that does.
    for socket in &mut silent {
        closed(socket).await;
    }
    assert!(counted(&server, "patchcord_connections_cut_total{reason=\"preface_timeout\"} 7").await);
    peer.ask(Ask::Ping(Ping { nonce: 1 })).await;
    assert!(matches!(peer.told().await, Told::Pong(_)));
}

#[tokio::test]
async fn an_address_has_its_share_and_gets_it_back() {
    let allowances = Allowances { connections_per_address_max: 4, ..Allowances::unlimited() };
    let server = Server::start_with(with(allowances)).await;
    let mut calls = Vec::new();
    for number in 0..4 {
        let mut call = RawCall::open(server.public).await;
        call.send_request(&join_request(1, "lobby", &format!("peer {number}")));
        while !matches!(call.response().await.unwrap().message, Some(Told::Joined(_))) {}
        calls.push(call);
    }
    assert!(!is_served(server.public).await);
    let refused = "patchcord_connections_refused_total{reason=\"too_many_of_address\"}";
    assert!(counted(&server, &format!("{refused} 1")).await);
    // Operators are not concerned.
    assert_eq!(server.get("/readyz").await.0, 200);
    drop(calls.pop());
    while !is_served(server.public).await {}
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_refused() {
    let allowances = Allowances { connections_per_address_rate: 1, ..Allowances::unlimited() };
    let server = Server::start_with(with(allowances)).await;
    let mut served = 0;
    while is_served(server.public).await {
        served += 1;
        assert!(served < 1_000, "nothing stops it");
    }
    // Five at once, and one a second more.
    assert!(served >= 5, "{served}");
    let (_, text) = server.get("/metrics").await;
    assert!(text.contains("patchcord_connections_refused_total{reason=\"too_often\"}"), "{text}");
}

#[tokio::test]
async fn an_address_that_joins_too_often_is_told_when_to_come_back() {
    let allowances = Allowances { joins_per_address_rate: 1, ..Allowances::unlimited() };
    let server = Server::start_with(with(allowances)).await;
    let (mut joined, mut refused) = (Vec::new(), None);
    while refused.is_none() {
        let mut peer = server.stream().await;
        peer.ask_join(&format!("room {}", joined.len()), "peer").await;
        match peer.told().await {
            Told::Joined(_) => joined.push(peer),
            Told::Rejected(rejected) => refused = Some((peer, rejected)),
            other => panic!("{other:?}"),
        }
        assert!(joined.len() < 1_000, "nothing stops it");
    }
    let (mut peer, rejected) = refused.unwrap();
    assert!(joined.len() >= 20, "{}", joined.len());
    assert_eq!((rejected.code(), rejected.retryable), (Code::RateLimited, true));
    // Whoever waits as told is let in, on the same stream.
    let wait = rejected.retry_after.unwrap().try_into().unwrap();
    tokio::time::sleep(wait).await;
    peer.join("lobby", "late").await;
}

#[tokio::test]
async fn an_address_whose_resumptions_fail_is_told_to_wait_and_a_good_one_is_not() {
    let allowances = Allowances { joins_per_address_rate: 1, ..Allowances::default() };
    let server = Server::start_with(with(allowances)).await;
    let (holder, joined) = server.join("lobby", "holder").await;
    let ask = |resume_token| {
        let resume = Resume { resume_token, last_seq: holder.last_seq };
        SignalRequest { seq: 0, ack: 0, message: Some(Ask::Resume(resume)) }
    };
    let mut prober = server.stream().await;
    let mut unknown = 0;
    let refused = loop {
        prober.send_request(ask(vec![7; 32].into())).await;
        let rejected = prober.rejected().await;
        match rejected.code() {
            Code::SessionUnknown => unknown += 1,
            _ => break rejected,
        }
        assert!(unknown < 1_000, "nothing stops it");
    };
    assert!(unknown >= 20, "{unknown}");
    assert_eq!((refused.code(), refused.retryable), (Code::RateLimited, true));
    assert!(refused.retry_after.is_some());
    prober.send_request(ask(joined.resume_token)).await;
    assert!(matches!(prober.told().await, Told::Resumed(_)));
}

#[tokio::test]
async fn a_session_that_asks_too_fast_is_told_to_wait_and_then_ended() {
    let allowances = Allowances { requests_per_session_rate: 10, ..Allowances::unlimited() };
    let server = Server::start_with(with(allowances)).await;
    let (mut watcher, _) = server.join("lobby", "watcher").await;
    let (mut peer, _) = server.join("lobby", "peer").await;
    assert_eq!(watcher.peer_joined().await, peer.id);
    let (mut answered, mut refused) = (0, 0);
    let end = loop {
        peer.ask(Ask::Ping(Ping { nonce: peer.seq })).await;
        match peer.response().await {
            Ok(Some(response)) => match response.message {
                Some(Told::Pong(_)) => answered += 1,
                Some(Told::Rejected(rejected)) => {
                    assert_eq!((rejected.code(), rejected.retryable), (Code::RateLimited, true));
                    assert_eq!(rejected.request_seq, peer.seq);
                    refused += 1;
                }
                other => panic!("{other:?}"),
            },
            Ok(None) => panic!("ended in order"),
            Err(status) => break status,
        }
        assert!(refused < 100_000, "nothing stops it");
    };
    // The join is one of 400 that may come at once.
    assert!(answered >= 399 && refused >= 1_000, "{answered} {refused}");
    assert_eq!(end.code(), tonic::Code::ResourceExhausted);
    assert_eq!(watcher.peer_left().await, (peer.id, LeaveReason::RulesBroken));
}

#[tokio::test]
async fn with_few_files_half_are_for_the_public_door_and_the_rest_go_on() {
    let process = Process::start_with_limit("-n 64").await;
    let mut sockets = Vec::new();
    for _ in 0..80 {
        // A reset may come before this end knows that it is connected.
        sockets.extend(TcpStream::connect(process.public).await.ok());
    }
    process.until_logged("connections refused", 1).await;
    let (status, text) = http_get(process.admin, "/metrics").await;
    assert_eq!(status, 200);
    // The question's own is one more.
    assert!(text.lines().any(|line| line == "patchcord_connections 33"), "{text}");
    assert!(
        text.lines().any(|line| line == "patchcord_connections_refused_total{reason=\"too_many\"} 48"),
        "{text}"
    );
    assert_eq!(process.logged("cannot accept"), 0);
    drop(sockets);
    while !is_served(process.public).await {}
    let mut peer = Peer::open(connect(process.public).await).await.unwrap();
    peer.join("lobby", "peer").await;
}

#[tokio::test]
async fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let process = Process::start_with_limit("-S -n 64").await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{line}");
    assert_ne!(numbers[0], "64");
}
