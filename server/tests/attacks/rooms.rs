//! Attacks on rooms: too many of them, and looking for those of others.

use std::net::{IpAddr, Ipv4Addr};

use patchcord_proto::v1::signal_request::Message as Ask;
use patchcord_proto::v1::{
    ListRoomsRequest,
    room_service_client::RoomServiceClient,
    signal_request::Offer,
    signal_response::{Message as Told, Rejected, rejected::Code},
};
use tonic::transport::{Channel, Endpoint};

use super::{
    kit::{Peer, connect as call},
    target::Target,
};

/// A connection from one of the attackers' addresses.
async fn call_from(target: &Target, attacker: u8) -> Channel {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2 + attacker));
    let endpoint = Endpoint::from_shared(format!("http://{}", target.public)).unwrap();
    endpoint.local_address(Some(address)).connect().await.unwrap()
}

/// As many rooms as can be opened.
pub async fn room_flood(target: &Target) -> String {
    let mut peers = Vec::new();
    let attackers: u8 = target.scale(1, 10);
    let mut refusals = Vec::new();
    for attacker in 0..attackers {
        let before = refusals.len();
        // On a busy machine more are permitted by the time that they have come.
        for number in 0..60 {
            let channel = call_from(target, attacker).await;
            for stream in 0..8 {
                let mut peer = Peer::open(channel.clone()).await.unwrap();
                peer.ask_join(&format!("room-{attacker}-{number}-{stream}"), "flooder").await;
                match peer.told().await {
                    Told::Joined(_) => peers.push(peer),
                    Told::Rejected(rejected) => refusals.push(rejected),
                    other => panic!("{other:?}"),
                }
            }
            if refusals.len() > before {
                break;
            }
            let Err(status) = Peer::open(channel).await else { panic!("a ninth session") };
            assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        }
        assert!(refusals.len() > before, "somewhere it ends");
    }
    let refused = &refusals[0];
    assert_eq!((refused.code(), refused.retryable), (Code::RateLimited, true));
    assert!(refused.retry_after.is_some());
    let each_kib = target.peak_kib() / peers.len() as u64;
    // With its share of a connection.
    assert!(each_kib < 64, "{each_kib} KiB");
    // Elsewhere people meet as ever.
    let mut other = Peer::open(call(target.public).await).await.unwrap();
    other.join("elsewhere", "other").await;
    let rooms = peers.len() / usize::from(attackers);
    format!("RATE_LIMITED after {rooms} rooms of one address, {each_kib} KiB each")
}

/// Looks for rooms and peers that one was not told of.
pub async fn room_enumeration(target: &Target) -> String {
    let channel = call_from(target, 0).await;
    let listed = RoomServiceClient::new(channel.clone()).list_rooms(ListRoomsRequest::default()).await;
    assert_eq!(listed.unwrap_err().code(), tonic::Code::Unimplemented);
    let mut hidden = Peer::open(channel.clone()).await.unwrap();
    let hidden_id = hidden.join("hidden", "hidden").await.peer_id;
    let mut prober = Peer::open(channel).await.unwrap();
    prober.join("probe", "prober").await;
    // One that exists elsewhere and one that nobody has are answered alike.
    let mut answers: Vec<Rejected> = Vec::new();
    for to_peer_id in [hidden_id, "a".repeat(16)] {
        prober.ask(Ask::Offer(Offer { to_peer_id, sdp: "v=0".to_owned() })).await;
        answers.push(Rejected { request_seq: 0, ..prober.rejected().await });
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].code(), Code::NoSuchPeer);
    // Guessing names is joining, and joins are counted.
    let mut guesses = 0;
    'guessing: for _ in 0..60 {
        let channel = call_from(target, 1).await;
        for _ in 0..8 {
            let mut guesser = Peer::open(channel.clone()).await.unwrap();
            guesser.ask_join(&format!("guess-{guesses}"), "guesser").await;
            match guesser.told().await {
                Told::Joined(joined) => assert!(joined.peers.is_empty()),
                Told::Rejected(rejected) => {
                    assert_eq!(rejected.code(), Code::RateLimited);
                    break 'guessing;
                }
                other => panic!("{other:?}"),
            }
            guesses += 1;
        }
    }
    assert!(guesses < 480, "nothing stops it");
    format!("no list, NO_SUCH_PEER alike for hidden and absent, RATE_LIMITED after {guesses} guesses")
}
