//! Probing from the outside: the NAT as servers show it, TLS, limits, and that a probe ends when nobody reads.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that fails by unwrap has failed as it should")]

mod support;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use patchcord_peer::{
    Config, IceServer,
    probe::{Filtering, Finding, Nat, PROBE_TIMEOUT, Trouble, probe},
};
use rtc_stun::{
    addr::MappedAddress,
    attributes::{ATTR_CHANGE_REQUEST, ATTR_OTHER_ADDRESS},
    message::{BINDING_SUCCESS, Message},
    xoraddr::XorMappedAddress,
};
use support::Server;
use tokio::net::{TcpListener, UdpSocket};

/// A STUN server that claims to see `mapped` and to answer at `other` as well.
async fn stun_server(mapped: Option<&str>, other: Option<SocketAddr>) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let mapped: Option<SocketAddr> = mapped.map(|mapped| mapped.parse().unwrap());
    tokio::spawn(async move {
        let mut datagram = [0; 1500];
        loop {
            let (length, source) = socket.recv_from(&mut datagram).await.unwrap();
            let mut request = Message::new();
            request.unmarshal_binary(&datagram[..length]).unwrap();
            let mut response = Message::new();
            response.transaction_id = request.transaction_id;
            response.set_type(BINDING_SUCCESS);
            response.write_header();
            let seen = mapped.unwrap_or(source);
            let seen = XorMappedAddress { ip: seen.ip(), port: seen.port() };
            response.build(&[Box::new(request), Box::new(BINDING_SUCCESS), Box::new(seen)]).unwrap();
            if let Some(other) = other {
                let other = MappedAddress { ip: other.ip(), port: other.port() };
                other.add_to_as(&mut response, ATTR_OTHER_ADDRESS).unwrap();
            }
            socket.send_to(&response.raw, source).await.unwrap();
        }
    });
    address
}

/// The findings about STUN and NAT where the signaling server is away.
async fn nat_before(servers: &[SocketAddr]) -> (Vec<Result<SocketAddr, Trouble>>, Vec<Nat>) {
    let urls = servers.iter().map(|server| format!("stun:{server}")).collect();
    let mut config = nobody_there();
    config.ice_servers = vec![IceServer { urls, username: String::new(), credential: String::new() }];
    let mut findings = probe(config);
    let (mut seen, mut nats) = (Vec::new(), Vec::new());
    while let Some(finding) = findings.recv().await {
        match finding {
            Finding::Stun { outcome, .. } => seen.push(outcome.map(|(mapped, _)| mapped)),
            Finding::Nat { nat, .. } => nats.push(nat),
            _ => {}
        }
    }
    (seen, nats)
}

/// How a server with two addresses meets the wish that it answer from the other.
#[derive(Clone, Copy)]
enum Meets {
    Fully,
    ByAnAnswerFromHere,
    ByNoAnswerThatComesThrough,
}

/// What is let in, by the word of a server that has two addresses.
async fn filtering_before(meets: Meets) -> Filtering {
    let second = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).await.unwrap();
    let first = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (server, other) = (first.local_addr().unwrap(), second.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut at_first, mut at_second) = ([0; 1500], [0; 1500]);
        loop {
            let (datagram, source, mut socket) = tokio::select! {
                received = first.recv_from(&mut at_first) => {
                    let (length, source) = received.unwrap();
                    (&at_first[..length], source, &first)
                }
                received = second.recv_from(&mut at_second) => {
                    let (length, source) = received.unwrap();
                    (&at_second[..length], source, &second)
                }
            };
            let mut request = Message::new();
            request.unmarshal_binary(datagram).unwrap();
            if request.get(ATTR_CHANGE_REQUEST).is_ok() {
                match meets {
                    Meets::Fully => socket = &second,
                    Meets::ByAnAnswerFromHere => {}
                    Meets::ByNoAnswerThatComesThrough => continue,
                }
            }
            let mut response = Message::new();
            let seen = XorMappedAddress { ip: source.ip(), port: source.port() };
            response.build(&[Box::new(request), Box::new(BINDING_SUCCESS), Box::new(seen)]).unwrap();
            let told = MappedAddress { ip: other.ip(), port: other.port() };
            told.add_to_as(&mut response, ATTR_OTHER_ADDRESS).unwrap();
            socket.send_to(&response.raw, source).await.unwrap();
        }
    });
    let mut config = nobody_there();
    let urls = vec![format!("stun:{server}")];
    config.ice_servers = vec![IceServer { urls, username: String::new(), credential: String::new() }];
    let mut findings = probe(config);
    while let Some(finding) = findings.recv().await {
        if let Finding::Nat { filtering, .. } = finding {
            return filtering;
        }
    }
    panic!("nothing about a NAT");
}

/// Where the signaling server is away.
fn nobody_there() -> Config {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    Config::new(format!("http://{closed}"), "", "")
}

const MAPPED: &str = "198.51.100.1:7000";
const OTHER: &str = "198.51.100.1:7001";

#[tokio::test]
async fn a_server_that_sees_our_own_address_shows_that_nothing_translates_it() {
    let server = stun_server(None, None).await;
    let (seen, nats) = nat_before(&[server]).await;
    let address = *seen[0].as_ref().unwrap();
    assert!(address.ip().is_loopback());
    assert_eq!(nats, [Nat::None { address }]);
}

#[tokio::test]
async fn servers_that_see_different_ports_show_a_symmetric_nat() {
    let servers = [stun_server(Some(MAPPED), None).await, stun_server(Some(OTHER), None).await];
    let (mapped, other) = (MAPPED.parse().unwrap(), OTHER.parse().unwrap());
    assert_eq!(
        nat_before(&servers).await,
        (vec![Ok(mapped), Ok(other)], vec![Nat::EndpointDependent { mapped, other }])
    );
}

#[tokio::test]
async fn one_server_leaves_the_kind_open_unless_it_has_another_address() {
    let mapped = MAPPED.parse().unwrap();
    let alone = stun_server(Some(MAPPED), None).await;
    assert_eq!(nat_before(&[alone]).await.1, [Nat::Unclear { mapped }]);

    let second = stun_server(Some(OTHER), None).await;
    let first = stun_server(Some(MAPPED), Some(second)).await;
    let (seen, nats) = nat_before(&[first]).await;
    assert_eq!(seen, [Ok(mapped)], "only what was named is told");
    assert_eq!(nats, [Nat::EndpointDependent { mapped, other: OTHER.parse().unwrap() }]);
}

#[tokio::test]
async fn what_is_let_in_shows_by_an_answer_from_where_nothing_was_sent() {
    assert_eq!(filtering_before(Meets::Fully).await, Filtering::EndpointIndependent);
    assert_eq!(filtering_before(Meets::ByNoAnswerThatComesThrough).await, Filtering::EndpointDependent);
    assert_eq!(filtering_before(Meets::ByAnAnswerFromHere).await, Filtering::Unknown);
}

#[tokio::test]
async fn answers_that_are_none_do_not_count() {
    let liar = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = liar.local_addr().unwrap();
    tokio::spawn(async move {
        let mut datagram = [0; 1500];
        loop {
            let (length, source) = liar.recv_from(&mut datagram).await.unwrap();
            // What was asked, an id that nobody used, and noise.
            liar.send_to(&datagram[..length], source).await.unwrap();
            datagram[0] = 1;
            datagram[8] ^= 1;
            liar.send_to(&datagram[..length], source).await.unwrap();
            liar.send_to(b"noise", source).await.unwrap();
        }
    });
    let (seen, nats) = nat_before(&[address]).await;
    assert!(matches!(seen[..], [Err(Trouble::NoAnswer(_))]), "{seen:?}");
    assert_eq!(nats, [Nat::Unknown]);
}

#[tokio::test]
async fn a_probe_of_silent_servers_ends_in_time() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let deaf = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (tcp, udp) = (silent.local_addr().unwrap(), deaf.local_addr().unwrap());
    let urls = vec![
        format!("stun:{udp}"),
        format!("stuns:{tcp}"),
        format!("turn:{udp}"),
        format!("turn:{tcp}?transport=tcp"),
        format!("turns:{tcp}"),
    ];
    let mut config = Config::new(format!("http://{tcp}"), "", "");
    config.ice_servers = vec![IceServer { urls, username: "u".into(), credential: "c".into() }];
    let mut findings = probe(config);
    let all = async {
        let mut all = Vec::new();
        while let Some(finding) = findings.recv().await {
            all.push(finding);
        }
        all
    };
    let all = tokio::time::timeout(PROBE_TIMEOUT, all).await.expect("every step has its limit");
    let silent = all.iter().filter(|finding| {
        matches!(
            finding,
            Finding::Stun { outcome: Err(Trouble::NoAnswer(_)), .. }
                | Finding::Turn { outcome: Err(Trouble::NoAnswer(_)), .. }
                | Finding::Grpc { outcome: Err(Trouble::NoAnswer(_)) }
        )
    });
    assert_eq!(silent.count(), 6, "{all:#?}");
}

#[tokio::test]
async fn a_probe_ends_when_nobody_reads() {
    let server = Server::start().await;
    let mut findings = probe(server.config("", ""));
    assert!(matches!(findings.recv().await, Some(Finding::Dns { outcome: Ok(_), .. })));
    findings.close();
    // What was told before is read, and no more comes.
    let rest = async { while findings.recv().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), rest).await.expect("it ends");
}
