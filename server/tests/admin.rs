//! Operators look into rooms and act on them; neither door serves what is the other's.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use kit::{DEADLINE, Peer, Server, connect, pair};
use patchcord_proto::v1::{
    CloseRoomRequest, GetRoomRequest, LeaveReason, ListRoomsRequest, PeerState, RemovePeerRequest, Room,
    WatchRoomsRequest,
    room_service_client::RoomServiceClient,
    signal_request::{Answer, Message as Ask, UpdateProfile},
    signal_response::{Message as Told, go_away::Action},
    watch_rooms_response::Event,
};
use tokio::time::timeout;
use tonic::{Code, Streaming};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::{v1, v1alpha};

async fn get_room(server: &Server, name: &str) -> Result<Room, tonic::Status> {
    let response = server.rooms().await.get_room(GetRoomRequest { name: name.to_owned() }).await?;
    Ok(response.into_inner().room.unwrap())
}

#[tokio::test]
async fn a_room_shows_its_peers_and_what_went_through_it() {
    let server = Server::start().await;
    assert_eq!(get_room(&server, "lobby").await.unwrap_err().code(), Code::NotFound);
    let (mut one, mut other) = pair(&server, "lobby").await;
    let (one_id, other_id) = (one.id.clone(), other.id.clone());
    other.offer(&one_id, "v=0").await;
    one.told().await;
    one.ask(Ask::Answer(Answer { to_peer_id: other_id.clone(), sdp: "v=0".to_owned() })).await;
    one.candidate(&other_id, "c").await;
    one.candidate(&other_id, "").await;
    for _ in 0..3 {
        other.told().await;
    }
    let room = get_room(&server, "lobby").await.unwrap();
    let counters = room.counters.unwrap();
    assert_eq!((counters.offers, counters.answers, counters.candidates, counters.sealed), (1, 1, 2, 0));
    assert_eq!((counters.negotiations_begun, counters.negotiations_answered), (1, 1));
    assert!(room.created_at.is_some() && room.age.is_some());
    let ids: Vec<_> = room.peers.iter().map(|peer| peer.peer_id.as_str()).collect();
    assert_eq!(ids, [&one_id, &other_id]);
    assert_eq!((room.peers[0].display_name.as_str(), room.peers[0].user_agent.as_str()), ("one", "test/1"));
    assert_eq!(room.peers[0].state(), PeerState::Attached);
    assert!(room.peers[0].address.parse::<SocketAddr>().unwrap().ip().is_loopback());
    drop((one, other));
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while get_room(&server, "lobby").await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "the room outlives its peers");
    }
}

#[tokio::test]
async fn rooms_are_listed_in_pages_by_name_and_prefix() {
    let server = Server::start().await;
    let mut peers = Vec::new();
    for number in [3, 1, 5, 2, 4] {
        peers.push(server.join(&format!("room-{number}"), "peer").await);
    }
    peers.push(server.join("elsewhere", "peer").await);
    let mut rooms = server.rooms().await;
    let mut request =
        ListRoomsRequest { page_size: 2, page_token: String::new(), name_prefix: "room-".to_owned() };
    let mut pages = Vec::new();
    loop {
        let page = rooms.list_rooms(request.clone()).await.unwrap().into_inner();
        assert_eq!(page.total_rooms, 6);
        pages.push(page.rooms.iter().map(|room| room.name.clone()).collect::<Vec<_>>());
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(pages, [vec!["room-1", "room-2"], vec!["room-3", "room-4"], vec!["room-5"]]);
    let all = rooms.list_rooms(ListRoomsRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.rooms[0].name, "elsewhere");
    assert_eq!(all.rooms.len(), 6);
    for bad in [
        ListRoomsRequest { page_size: 1_001, ..ListRoomsRequest::default() },
        ListRoomsRequest { page_token: "room-1".to_owned(), ..ListRoomsRequest::default() },
    ] {
        assert_eq!(rooms.list_rooms(bad).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_removed_peer_is_told_to_stay_away_and_the_others_that_it_was_removed() {
    let server = Server::start().await;
    let (mut one, mut other) = pair(&server, "lobby").await;
    let mut rooms = server.rooms().await;
    let remove = |room: &str, peer_id: &str, message: &str| RemovePeerRequest {
        room_name: room.to_owned(),
        peer_id: peer_id.to_owned(),
        message: message.to_owned(),
    };
    for (room, peer_id) in
        [("lobby", "aaaaaaaaaaaaaaaa"), ("elsewhere", &*other.id), ("", ""), ("lobby", "x")]
    {
        assert_eq!(rooms.remove_peer(remove(room, peer_id, "")).await.unwrap_err().code(), Code::NotFound);
    }
    let rude = rooms.remove_peer(remove("lobby", &other.id, "\u{1b}[2J")).await.unwrap_err();
    assert_eq!(rude.code(), Code::InvalidArgument);
    rooms.remove_peer(remove("lobby", &other.id, "enough")).await.unwrap();
    let (told, end) = other.rest().await;
    match told.as_slice() {
        [Told::GoAway(away)] => {
            assert_eq!((away.reason(), away.action()), (LeaveReason::Removed, Action::Stop));
            assert_eq!((away.message.as_str(), away.reconnect_after), ("enough", None));
        }
        told => panic!("{told:?}"),
    }
    assert_eq!(end.unwrap_err().code(), Code::Aborted);
    assert_eq!(one.peer_left().await, (other.id.clone(), LeaveReason::Removed));
    assert_eq!(rooms.remove_peer(remove("lobby", &other.id, "")).await.unwrap_err().code(), Code::NotFound);
    // Told once: what comes next is the next thing that happens.
    let (_third, _) = server.join("lobby", "third").await;
    one.peer_joined().await;
}

#[tokio::test]
async fn a_closed_room_ends_all_its_sessions() {
    let server = Server::start().await;
    let (mut one, mut other) = pair(&server, "lobby").await;
    let mut rooms = server.rooms().await;
    let close = |name: &str| CloseRoomRequest { name: name.to_owned(), message: "closing time".to_owned() };
    assert_eq!(rooms.close_room(close("elsewhere")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(rooms.close_room(close("lobby")).await.unwrap().into_inner().peers_removed, 2);
    for peer in [&mut one, &mut other] {
        let (told, end) = peer.rest().await;
        match told.as_slice() {
            [Told::GoAway(away)] => {
                assert_eq!((away.reason(), away.action()), (LeaveReason::RoomClosed, Action::Stop));
            }
            told => panic!("{told:?}"),
        }
        assert_eq!(end.unwrap_err().code(), Code::Aborted);
    }
    assert_eq!(get_room(&server, "lobby").await.unwrap_err().code(), Code::NotFound);
    assert!(server.join("lobby", "again").await.1.peers.is_empty());
}

async fn watch(server: &Server, name_prefix: &str) -> Streaming<patchcord_proto::v1::WatchRoomsResponse> {
    let request = WatchRoomsRequest { name_prefix: name_prefix.to_owned() };
    server.rooms().await.watch_rooms(request).await.unwrap().into_inner()
}

async fn next(watch: &mut Streaming<patchcord_proto::v1::WatchRoomsResponse>) -> Event {
    timeout(DEADLINE, watch.message()).await.unwrap().unwrap().unwrap().event.unwrap()
}

#[tokio::test]
async fn a_watcher_sees_what_is_there_and_then_what_changes() {
    let server = Server::start().await;
    let (mut one, mut other) = pair(&server, "lobby").await;
    let mut changes = watch(&server, "lob").await;
    match next(&mut changes).await {
        Event::Opened(opened) => assert_eq!(opened.room.unwrap().peers.len(), 2),
        other => panic!("{other:?}"),
    }
    assert!(matches!(next(&mut changes).await, Event::Synced(_)));

    let (_hidden, _) = server.join("elsewhere", "hidden").await;
    other.offer(&one.id.clone(), "v=0").await;
    match next(&mut changes).await {
        Event::Activity(activity) => assert_eq!(activity.counters.unwrap().offers, 1),
        other => panic!("{other:?}"),
    }
    one.told().await;
    one.ask(Ask::UpdateProfile(UpdateProfile { display_name: "renamed".to_owned() })).await;
    match next(&mut changes).await {
        Event::Updated(updated) => assert_eq!(updated.peer.unwrap().display_name, "renamed"),
        other => panic!("{other:?}"),
    }
    for (peer, last) in [(one, false), (other, true)] {
        let mut peer = peer;
        peer.leave().await;
        match next(&mut changes).await {
            Event::Left(left) => assert_eq!((&left.peer_id, left.reason()), (&peer.id, LeaveReason::Left)),
            other => panic!("{other:?}"),
        }
        if last {
            assert!(matches!(next(&mut changes).await, Event::Closed(closed) if closed.room_name == "lobby"));
        }
    }
    let (again, _) = server.join("lobby-2", "again").await;
    match next(&mut changes).await {
        Event::Opened(opened) => {
            let room = opened.room.unwrap();
            assert_eq!((room.name.as_str(), room.peers.len()), ("lobby-2", 0));
        }
        other => panic!("{other:?}"),
    }
    match next(&mut changes).await {
        Event::Joined(joined) => assert_eq!(joined.peer.unwrap().peer_id, again.id),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_door_serves_its_own() {
    let server = Server::start().await;
    let mut rooms = RoomServiceClient::new(server.channel().await);
    assert_eq!(rooms.list_rooms(ListRoomsRequest::default()).await.unwrap_err().code(), Code::Unimplemented);
    let Err(status) = Peer::open(connect(server.admin).await).await else {
        panic!("signaling on the admin door")
    };
    assert_eq!(status.code(), Code::Unimplemented);
}

async fn listed_v1(address: SocketAddr) -> Vec<String> {
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(connect(address).await);
    let list = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut responses =
        client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    match responses.message().await.unwrap().unwrap().message_response.unwrap() {
        v1::server_reflection_response::MessageResponse::ListServicesResponse(list) => {
            list.service.into_iter().map(|service| service.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

async fn listed_v1alpha(address: SocketAddr) -> Vec<String> {
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(connect(address).await);
    let list = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut responses =
        client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    match responses.message().await.unwrap().unwrap().message_response.unwrap() {
        v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list) => {
            list.service.into_iter().map(|service| service.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn reflection_lists_what_the_door_serves() {
    let server = Server::start().await;
    for (address, own) in [(server.public, "SignalingService"), (server.admin, "RoomService")] {
        let expected = [
            &format!("patchcord.v1.{own}"),
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        ];
        assert_eq!(listed_v1(address).await, expected);
        assert_eq!(listed_v1alpha(address).await, expected);
    }
}

#[tokio::test]
async fn health_is_told_by_service() {
    let server = Server::start().await;
    let public = ["", "patchcord.v1.SignalingService"];
    let admin = ["", "patchcord.v1.SignalingService", "patchcord.v1.RoomService"];
    for (address, services) in [(server.public, public.as_slice()), (server.admin, admin.as_slice())] {
        let mut client = HealthClient::new(connect(address).await);
        for service in services {
            let request = HealthCheckRequest { service: (*service).to_owned() };
            assert_eq!(client.check(request).await.unwrap().into_inner().status, 1, "{service}");
        }
        let request = HealthCheckRequest { service: "nonsense".to_owned() };
        assert_eq!(client.check(request).await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test]
async fn metrics_and_probes_are_plain_http() {
    let server = Server::start().await;
    let (mut one, mut other) = pair(&server, "lobby").await;
    other.offer(&one.id.clone(), "v=0").await;
    one.told().await;
    other.offer("nobody", "v=0").await;
    other.rejected().await;
    assert_eq!(server.get("/livez").await, (200, "alive\n".to_owned()));
    assert_eq!(server.get("/readyz").await, (200, "ready\n".to_owned()));
    let (status, metrics) = server.get("/metrics").await;
    assert_eq!(status, 200);
    let values: BTreeMap<&str, &str> = metrics.lines().filter_map(|line| line.rsplit_once(' ')).collect();
    for (name, value) in [
        ("patchcord_sessions", "2"),
        ("patchcord_streams", "2"),
        ("patchcord_rooms", "1"),
        ("patchcord_joins_total", "2"),
        ("patchcord_relayed_messages_total{kind=\"offer\"}", "1"),
        ("patchcord_rejections_total{code=\"CODE_NO_SUCH_PEER\"}", "1"),
        ("patchcord_outbox_overflows_total", "0"),
        ("patchcord_relay_latency_seconds_count", "1"),
    ] {
        assert_eq!(values.get(name), Some(&value), "{name}");
    }
    // The public door speaks HTTP/2 alone.
    let http1 = timeout(Duration::from_secs(10), async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut socket = tokio::net::TcpStream::connect(server.public).await.unwrap();
        socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        answer
    });
    assert!(!http1.await.unwrap().starts_with(b"HTTP/1.1 200"));
}
