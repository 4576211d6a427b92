//! What one connection makes of another that does more than it should.

use std::{net::Ipv4Addr, time::Duration};

use super::*;
use crate::negotiation::connection_identity;

mod lossy;
mod restart;

const PATIENCE: Duration = Duration::from_secs(20);

async fn connection() -> Connection {
    let config = ConnectionConfig {
        certificate: Certificate::generate().unwrap(),
        ice_servers: Vec::new(),
        ca_certificate: None,
        ice_transport_policy: IceTransportPolicy::All,
        ip_policy: crate::IpPolicy::default(),
        verified: false,
        local_addresses: vec![Ipv4Addr::LOCALHOST.into()],
    };
    Connection::new(&config).await.expect("loopback is there")
}

/// Negotiates, passes candidates, and reads both until `b` has an event that is `wanted`.
async fn connect(a: &mut Connection, b: &mut Connection, wanted: fn(&ConnectionEvent) -> bool) {
    connect_seeing(a, b, wanted, &mut |_| {}).await;
}

/// The same, and shows every candidate.
async fn connect_seeing(
    a: &mut Connection,
    b: &mut Connection,
    wanted: fn(&ConnectionEvent) -> bool,
    see: &mut dyn FnMut(&Candidate),
) {
    let offer = a.describe(DescriptionKind::Offer).await.unwrap();
    b.set_remote(DescriptionKind::Offer, offer).await.unwrap();
    let answer = b.describe(DescriptionKind::Answer).await.unwrap();
    a.set_remote(DescriptionKind::Answer, answer).await.unwrap();
    let connected = async {
        loop {
            tokio::select! {
                event = a.next_event(true) => if let ConnectionEvent::LocalCandidate(candidate) = event {
                    see(&candidate);
                    b.add_candidate(candidate).await.unwrap();
                },
                event = b.next_event(true) => match event {
                    ConnectionEvent::LocalCandidate(candidate) => {
                        see(&candidate);
                        a.add_candidate(candidate).await.unwrap();
                    }
                    event if wanted(&event) => return,
                    _ => {}
                },
            }
        }
    };
    tokio::time::timeout(PATIENCE, connected).await.expect("the event comes");
}

/// The first bytes of a DTLS 1.2 ClientHello, as a stranger sends it who has guessed the port.
const CLIENT_HELLO: [u8; 25] =
    [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_that_floods_client_hellos_does_not_prevent_a_connection() {
    // scripts/test --long asks for as many as there is time for.
    let (rounds_max, time_max) = match std::env::var_os("PATCHCORD_LONG") {
        Some(_) => (1000, Duration::from_secs(30)),
        None => (20, Duration::MAX),
    };
    let (begun, mut rounds) = (std::time::Instant::now(), 0);
    while rounds < rounds_max && (rounds < 20 || begun.elapsed() < time_max) {
        rounds += 1;
        let (mut a, mut b) = (connection().await, connection().await);
        let mut floods = tokio::task::JoinSet::new();
        let mut flood = |candidate: &Candidate| {
            let Some(port) = candidate.candidate.split(' ').nth(5).and_then(|port| port.parse::<u16>().ok())
            else {
                return;
            };
            floods.spawn(async move {
                let stranger = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                for _ in 0..2000 {
                    // The port may be closed already.
                    let _ = stranger.send_to(&CLIENT_HELLO, (Ipv4Addr::LOCALHOST, port)).await;
                }
            });
        };
        let is_open = |event: &ConnectionEvent| matches!(event, ConnectionEvent::ChannelOpen);
        connect_seeing(&mut a, &mut b, is_open, &mut flood).await;
    }
}

#[tokio::test]
async fn a_channel_that_the_peer_opens_on_its_own_is_reported() {
    let (mut a, mut b) = (connection().await, connection().await);
    let _foreign = a.engine.create_data_channel("foreign", None).await.unwrap();
    connect(&mut a, &mut b, |event| matches!(event, ConnectionEvent::ForeignChannel)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_the_moment_a_channel_opens_arrives() {
    for _ in 0..50 {
        let (mut a, mut b) = (connection().await, connection().await);
        let channel = a.channel();
        let sender = tokio::spawn(async move {
            while channel.send(Bytes::from_static(b"first")).await.is_err() {
                tokio::task::yield_now().await;
            }
        });
        connect(&mut a, &mut b, |event| matches!(event, ConnectionEvent::ChannelMessage(_))).await;
        sender.await.unwrap();
    }
}

#[tokio::test]
async fn each_sees_the_certificate_of_the_other_and_a_connection_names_itself_in_every_description() {
    let config = |certificate: &Certificate| ConnectionConfig {
        certificate: certificate.clone(),
        ice_servers: Vec::new(),
        ca_certificate: None,
        ice_transport_policy: IceTransportPolicy::All,
        ip_policy: crate::IpPolicy::default(),
        verified: false,
        local_addresses: vec![Ipv4Addr::LOCALHOST.into()],
    };
    let certificates = [Certificate::generate().unwrap(), Certificate::generate().unwrap()];
    let mut a = Connection::new(&config(&certificates[0])).await.unwrap();
    let mut b = Connection::new(&config(&certificates[1])).await.unwrap();
    let mut again = Connection::new(&config(&certificates[0])).await.unwrap();
    assert_eq!(a.remote_fingerprint().await, None);
    connect(&mut a, &mut b, |event| matches!(event, ConnectionEvent::ChannelOpen)).await;
    assert_eq!(b.remote_fingerprint().await, Some(certificates[0].fingerprint()));
    assert_eq!(a.remote_fingerprint().await, Some(certificates[1].fingerprint()));
    let first = a.describe(DescriptionKind::Offer).await.unwrap();
    a.rollback().await.unwrap();
    a.restart_ice();
    let restarted = a.describe(DescriptionKind::Offer).await.unwrap();
    let another = again.describe(DescriptionKind::Offer).await.unwrap();
    assert_ne!(connection_identity(&first), None);
    assert_eq!(connection_identity(&first), connection_identity(&restarted));
    assert_ne!(connection_identity(&first), connection_identity(&another));
}
