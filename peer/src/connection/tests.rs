//! What one connection makes of another that does more than it should.

use std::net::Ipv4Addr;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

async fn connection() -> Connection {
    let config = ConnectionConfig {
        ice_servers: Vec::new(),
        ice_transport_policy: IceTransportPolicy::All,
        local_addresses: vec![Ipv4Addr::LOCALHOST.into()],
    };
    Connection::new(&config).await.expect("loopback is there")
}

/// Negotiates, passes candidates, and reads both until `b` has an event that is `wanted`.
async fn connect(a: &mut Connection, b: &mut Connection, wanted: fn(&ConnectionEvent) -> bool) {
    let offer = a.describe(DescriptionKind::Offer).await.unwrap();
    b.set_remote(DescriptionKind::Offer, offer).await.unwrap();
    let answer = b.describe(DescriptionKind::Answer).await.unwrap();
    a.set_remote(DescriptionKind::Answer, answer).await.unwrap();
    let connected = async {
        loop {
            tokio::select! {
                event = a.next_event(true) => if let ConnectionEvent::LocalCandidate(candidate) = event {
                    b.add_candidate(candidate).await.unwrap();
                },
                event = b.next_event(true) => match event {
                    ConnectionEvent::LocalCandidate(candidate) => a.add_candidate(candidate).await.unwrap(),
                    event if wanted(&event) => return,
                    _ => {}
                },
            }
        }
    };
    tokio::time::timeout(PATIENCE, connected).await.expect("the event comes");
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
