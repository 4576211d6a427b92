//! Rooms through a real server and the real engine, over loopback.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that fails by unwrap has failed as it should")]

mod support;

use patchcord_peer::{
    ConnectPolicy, DeliveryState, EndReason, Event, InspectConfig, Inspector, JoinError, LeaveReason,
    ProblemCode, Recipients, Room, RoomChange, SendError, SignalingState, TextKind,
};
use support::{Member, PATIENCE, Server, connected};

async fn say(member: &Member, text: &str) -> patchcord_peer::MessageId {
    member.room.send(Recipients::Everybody, TextKind::Plain, text).await.expect("somebody is here")
}

fn is_delivered(wanted: patchcord_peer::MessageId) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Receipt { message_id, state: DeliveryState::Delivered, .. } if *message_id == wanted)
}

#[tokio::test]
async fn two_members_chat_and_each_step_of_a_text_is_told() {
    let server = Server::start().await;
    let (mut ana, mut bo) = connected(&server, "lobby").await;
    let id = say(&ana, "hi").await;
    bo.until_text("hi").await;
    ana.until(is_delivered(id)).await;
    let states: Vec<_> = ana
        .seen
        .iter()
        .filter_map(|event| match event {
            Event::Receipt { message_id, state, .. } if *message_id == id => Some(*state),
            _ => None,
        })
        .collect();
    assert_eq!(states, [DeliveryState::Queued, DeliveryState::Sent, DeliveryState::Delivered]);
}

#[tokio::test]
async fn a_text_to_one_member_is_direct_and_nobody_else_gets_it() {
    let server = Server::start().await;
    let (mut ana, mut bo) = connected(&server, "lobby").await;
    let mut cy = Member::join(server.config("lobby", "cy")).await;
    let (ana_id, bo_id, cy_id) = (ana.id(), bo.id(), cy.id());
    cy.until_open(&ana_id).await;
    ana.until_open(&cy_id).await;
    bo.until_open(&cy_id).await;
    ana.room.send(Recipients::Peer(cy_id), TextKind::Action, "whispers").await.unwrap();
    say(&ana, "aloud").await;
    cy.until_text("aloud").await;
    bo.until_text("aloud").await;
    assert!(cy.seen.iter().any(|event| matches!(event, Event::Message(message)
        if message.direct && message.kind == TextKind::Action && message.text.as_raw() == "whispers")));
    assert!(!bo.seen.iter().any(|event| matches!(event, Event::Message(message) if message.direct)));
    let nobody = ana.room.send(Recipients::Peer(ana_id), TextKind::Plain, "me?").await;
    assert_eq!(nobody, Err(SendError::NoSuchPeer));
    let _ = bo_id;
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_its_reason() {
    let server = Server::start().await;
    let ana = Member::join(server.config("lobby", "ana")).await;
    let send = async |text: String| ana.room.send(Recipients::Everybody, TextKind::Plain, text).await;
    assert_eq!(send("hi".into()).await, Err(SendError::NobodyHere));
    assert_eq!(send(String::new()).await, Err(SendError::Empty));
    assert_eq!(send("x".repeat(20_000)).await, Err(SendError::TooLong { bytes: 20_000, max: 15 * 1024 }));
}

#[tokio::test]
async fn leaving_delivers_what_was_said_just_before() {
    let server = Server::start().await;
    let mut ana = Member::join(server.config("lobby", "ana")).await;
    let bo = Member::join(server.config("lobby", "bo")).await;
    for number in 1..=50 {
        say(&bo, &format!("text {number}")).await;
    }
    drop(bo.events);
    let departure = tokio::time::timeout(PATIENCE, bo.room.leave()).await.unwrap();
    assert_eq!(departure.undelivered, []);
    let left = ana.until(|event| matches!(event, Event::PeerLeft { .. })).await;
    assert!(matches!(left, Event::PeerLeft { reason: LeaveReason::Left, .. }));
    let texts = ana.seen.iter().filter(|event| matches!(event, Event::Message(_))).count();
    assert_eq!(texts, 50);
}

#[tokio::test]
async fn nobody_begins_under_a_manual_policy_until_told() {
    let server = Server::start().await;
    let manual = |name| patchcord_peer::Config {
        connect_policy: ConnectPolicy::Manual,
        ..server.config("lobby", name)
    };
    for _ in 0..5 {
        let mut ana = Member::join(manual("ana")).await;
        let mut bo = Member::join(manual("bo")).await;
        let peer = ana.until_joined().await;
        assert!(ana.room.connections().await[0].opened_in.is_none());
        let (ana_id, bo_id) = (ana.id(), peer.id);
        let (from_ana, from_bo) =
            tokio::join!(ana.room.connect(bo_id.clone()), bo.room.connect(ana_id.clone()));
        assert_eq!((from_ana, from_bo), (Ok(()), Ok(())));
        ana.until_open(&bo_id).await;
        bo.until_open(&ana_id).await;
        say(&ana, "one").await;
        say(&bo, "two").await;
        bo.until_text("one").await;
        ana.until_text("two").await;
        tokio::join!(ana.room.leave(), bo.room.leave());
    }
}

#[tokio::test]
async fn a_chat_outlives_the_server() {
    let mut server = Server::start().await;
    let (mut ana, mut bo) = connected(&server, "lobby").await;
    server.kill();
    let is_away = |event: &Event| matches!(event, Event::Signaling(SignalingState::Away { .. }));
    let away = ana.until(is_away).await;
    assert!(
        matches!(&away, Event::Signaling(SignalingState::Away { reason }) if reason.contains("was lost")),
        "{away:?}"
    );
    bo.until(is_away).await;
    for number in 1..=100 {
        let id = say(&ana, &format!("still {number}")).await;
        bo.until_text(&format!("still {number}")).await;
        ana.until(is_delivered(id)).await;
    }
    ana.room.leave().await;
    bo.until(|event| matches!(event, Event::PeerLeft { .. })).await;
}

#[tokio::test]
async fn a_new_name_reaches_the_others() {
    let server = Server::start().await;
    let (ana, mut bo) = connected(&server, "lobby").await;
    ana.room.set_display_name("anna").await.unwrap();
    bo.until(|event| matches!(event, Event::PeerUpdated(peer) if peer.display_name.as_raw() == "anna")).await;
}

#[tokio::test]
async fn eight_members_are_a_full_mesh_and_the_ninth_is_told() {
    let server = Server::start().await;
    let mut members = Vec::new();
    for number in 0..8 {
        members.push(Member::join(server.config("crowd", &format!("peer{number}"))).await);
    }
    for index in 0..8 {
        for other in 0..8 {
            let id = members[other].id();
            let known = members[index]
                .seen
                .iter()
                .any(|event| matches!(event, Event::ChannelOpen { peer_id, .. } if *peer_id == id));
            if other != index && !known {
                members[index].until_open(&id).await;
            }
        }
    }
    let mut ninth = Member::join(server.config("crowd", "ninth")).await;
    ninth.until(|event| matches!(event, Event::Problem { code: ProblemCode::MeshFull, .. })).await;
    members[0].until(|event| matches!(event, Event::Problem { code: ProblemCode::MeshFull, .. })).await;
}

#[tokio::test]
async fn a_join_that_fails_says_why() {
    let server = Server::start().await;
    let refused = Room::join(server.config("", "ana")).await.unwrap_err();
    assert!(matches!(refused, JoinError::Refused { .. }), "{refused:?}");
    let mut config = server.config("lobby", "ana");
    config.server = "no url".into();
    assert!(matches!(Room::join(config.clone()).await.unwrap_err(), JoinError::InvalidServer { .. }));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config.server = format!("http://{free}");
    let unreachable = Room::join(config.clone()).await.unwrap_err();
    assert!(matches!(unreachable, JoinError::Unreachable { .. }), "{unreachable:?}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    config.server = format!("http://{}", silent.local_addr().unwrap());
    config.join_timeout = std::time::Duration::from_millis(300);
    let timeout = Room::join(config).await.unwrap_err();
    assert!(matches!(timeout, JoinError::Timeout { .. }), "{timeout:?}");
}

#[tokio::test]
async fn an_inspector_sees_rooms_as_they_change() {
    let server = Server::start().await;
    let mut inspector = Inspector::connect(&server.admin_url, &InspectConfig::default()).await.unwrap();
    let mut changes = inspector.watch("lob").await.unwrap();
    assert!(matches!(changes.recv().await.unwrap().unwrap(), RoomChange::Synced));
    let _elsewhere = Member::join(server.config("other", "cy")).await;
    let (_ana, _bo) = connected(&server, "lobby").await;
    let opened = tokio::time::timeout(PATIENCE, changes.recv()).await.unwrap().unwrap().unwrap();
    assert!(matches!(opened, RoomChange::Opened(room) if room.name.as_raw() == "lobby"));
    let rooms = inspector.rooms("lob").await.unwrap();
    assert_eq!(rooms.len(), 1);
    assert_eq!(rooms[0].peers.len(), 2);
    assert_eq!((rooms[0].counters.negotiations_begun, rooms[0].counters.negotiations_answered), (1, 1));
    assert_eq!(inspector.rooms("").await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_removed_member_is_told_and_the_others_see_it_leave() {
    use patchcord_proto::v1::{RemovePeerRequest, room_service_client::RoomServiceClient};
    let server = Server::start().await;
    let (mut ana, mut bo) = connected(&server, "lobby").await;
    let mut admin = RoomServiceClient::connect(server.admin_url.clone()).await.unwrap();
    let request = RemovePeerRequest {
        room_name: "lobby".into(),
        peer_id: bo.id().to_string(),
        message: "enough".into(),
    };
    admin.remove_peer(request).await.unwrap();
    let ended = bo.until(|event| matches!(event, Event::Ended(_))).await;
    assert!(matches!(ended, Event::Ended(EndReason::Removed { message }) if message.contains("enough")));
    assert!(bo.events.recv().await.is_none(), "nothing follows the end");
    let left = ana.until(|event| matches!(event, Event::PeerLeft { .. })).await;
    assert!(matches!(left, Event::PeerLeft { reason: LeaveReason::Removed, .. }));
}

#[tokio::test]
async fn a_newcomer_is_told_before_anything_about_it_even_to_a_user_that_lags() {
    let server = Server::start().await;
    let manual = |name| patchcord_peer::Config {
        connect_policy: ConnectPolicy::Manual,
        queued_texts_max: 10_000,
        ..server.config("lobby", name)
    };
    let _bo = Member::join(manual("bo")).await;
    let mut ana = Member::join(manual("ana")).await;
    let mut dan = Member::join(manual("dan")).await;
    // More receipts than the queue of events holds, none of which is read yet.
    for _ in 0..1500 {
        say(&ana, "waits").await;
    }
    let cy = Member::join(manual("cy")).await;
    dan.until_joined().await;
    for _ in 0..300 {
        say(&ana, "waits").await;
        tokio::task::yield_now().await;
    }
    let cy_id = cy.id();
    ana.until(|event| matches!(event, Event::PeerJoined(peer) if peer.id == cy_id)).await;
    let told_early = |event: &Event| matches!(event, Event::Receipt { peer_id, .. } if *peer_id == cy_id);
    assert!(!ana.seen.iter().any(told_early), "a receipt for somebody unknown");
}

#[tokio::test]
async fn typing_that_is_told_without_end_reaches_the_others_seldom_and_is_no_flood() {
    let server = Server::start().await;
    let (mut ana, mut bo) = connected(&server, "lobby").await;
    let begun = std::time::Instant::now();
    for round in 0..40 {
        for _ in 0..10 {
            ana.room.set_typing(true);
            ana.room.set_typing(false);
        }
        ana.room.set_typing(true);
        // The room has heard all of it when the text is there.
        let text = format!("text {round}");
        let id = say(&ana, &text).await;
        bo.until_text(&text).await;
        ana.until(is_delivered(id)).await;
    }
    let told = |active| {
        let is_told = |event: &&Event| matches!(event, Event::Typing { active: told, .. } if *told == active);
        bo.seen.iter().filter(is_told).count()
    };
    let intervals = 1 + begun.elapsed().as_secs() / 3;
    assert!(told(true) as u64 <= intervals && told(false) as u64 <= intervals, "{:?}", bo.seen);
    let is_misbehaviour =
        |event: &Event| matches!(event, Event::Problem { .. } | Event::ChannelClosed { .. });
    assert!(!bo.seen.iter().any(is_misbehaviour), "{:?}", bo.seen);
}

#[tokio::test]
async fn relay_only_without_a_turn_server_tells_both_sides_what_to_do() {
    let server = Server::start().await;
    let relay_only = |name| patchcord_peer::Config {
        ice_transport_policy: patchcord_peer::IceTransportPolicy::Relay,
        ..server.config("lobby", name)
    };
    let mut ana = Member::join(relay_only("ana")).await;
    let mut bo = Member::join(relay_only("bo")).await;
    let tells = |event: &Event| {
        matches!(event, Event::Problem { code: ProblemCode::ConnectionFailed, message, .. }
            if message.contains("needs a TURN server") && message.contains("--ice-server"))
    };
    for member in [&mut ana, &mut bo] {
        member.until(tells).await;
        let advice = member.room.connections().await[0].advice.clone();
        assert!(advice.is_some_and(|advice| advice.contains("--ice-server")));
    }
    // Whoever asks again is told again, and nobody was told twice before.
    ana.room.connect(bo.id()).await.unwrap();
    ana.until(tells).await;
    assert_eq!(ana.seen.iter().filter(|event| tells(event)).count(), 2, "{:?}", ana.seen);
    assert_eq!(bo.seen.iter().filter(|event| tells(event)).count(), 1, "{:?}", bo.seen);
}

#[tokio::test]
async fn both_members_of_an_open_room_are_given_the_same_string_to_compare() {
    let server = Server::start().await;
    let (mut ana, mut bo) = connected(&server, "lobby").await;
    let mut strings = Vec::new();
    for member in [&mut ana, &mut bo] {
        match member.until(|event| matches!(event, Event::ShortString { .. })).await {
            Event::ShortString { string, changed, .. } => strings.push((string, changed)),
            _ => unreachable!("only this was waited for"),
        }
    }
    assert_eq!(strings[0], strings[1]);
    assert!(!strings[0].1, "there was nothing to compare before");
}
