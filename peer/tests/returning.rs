//! The stream to the server is cut, or the server is replaced by one that knows nothing: chats go on, nothing
//! said through the server is lost, and everybody finds everybody again.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod support;

use patchcord_peer::{
    Config, ConnectPolicy, Event, LeaveReason, PeerId, Recipients, SignalingState, TextKind,
};
use support::{Member, Server, connected, wire::Wire};

fn through(wire: &Wire, config: Config) -> Config {
    Config { server: wire.url.clone(), ..config }
}

async fn until_signaling(member: &mut Member, wanted: SignalingState) {
    member.until(|event| matches!(event, Event::Signaling(state) if *state == wanted)).await;
}

async fn until_away(member: &mut Member) {
    member.until(|event| matches!(event, Event::Signaling(SignalingState::Away { .. }))).await;
}

async fn chat(one: &mut Member, other: &mut Member, text: &str) {
    one.room.send(Recipients::Everybody, TextKind::Plain, text).await.unwrap();
    other.until_text(text).await;
}

fn nobody_came_or_went(member: &Member, but: &[PeerId]) {
    let told = member.seen.iter().filter(|event| match event {
        Event::PeerJoined(peer) => !but.contains(&peer.id),
        Event::PeerLeft { peer_id, .. } => !but.contains(peer_id),
        Event::ChannelClosed { .. } | Event::Rejoined { .. } => true,
        _ => false,
    });
    assert_eq!(told.count(), 0, "{:?}", member.seen);
}

#[tokio::test]
async fn a_cut_stream_is_resumed_and_the_channel_never_knows() {
    let server = Server::start().await;
    let wire = Wire::to(&server.url).await;
    let mut ana = Member::join(server.config("lobby", "ana")).await;
    let mut bo = Member::join(through(&wire, server.config("lobby", "bo"))).await;
    let (ana_id, bo_id) = (ana.id(), bo.id());
    ana.until_open(&bo_id).await;
    bo.until_open(&ana_id).await;
    for round in 0..5 {
        wire.cut();
        until_away(&mut bo).await;
        chat(&mut bo, &mut ana, &format!("while away {round}")).await;
        until_signaling(&mut bo, SignalingState::Connected).await;
        chat(&mut ana, &mut bo, &format!("and back {round}")).await;
    }
    // Said through the server, over the stream that there is now.
    bo.room.set_display_name("bob").await.unwrap();
    ana.until(|event| matches!(event, Event::PeerUpdated(peer) if peer.display_name.as_raw() == "bob")).await;
    nobody_came_or_went(&ana, std::slice::from_ref(&bo_id));
    nobody_came_or_went(&bo, &[]);
    assert_eq!(ana.seen.iter().filter(|event| matches!(event, Event::PeerJoined(_))).count(), 1);
}

#[tokio::test]
async fn a_negotiation_whose_stream_is_cut_in_its_middle_still_connects() {
    let server = Server::start().await;
    for round in 0..20 {
        let wire = Wire::to(&server.url).await;
        let room = format!("room {round}");
        let mut ana =
            Member::join(Config { connect_policy: ConnectPolicy::Manual, ..server.config(&room, "ana") })
                .await;
        let mut bo = Member::join(Config {
            connect_policy: ConnectPolicy::Manual,
            ..through(&wire, server.config(&room, "bo"))
        })
        .await;
        let (ana_id, bo_id) = (ana.id(), bo.id());
        ana.until_joined().await;
        // Each round cuts after so many more bytes of the negotiation.
        wire.cut_after(50 * round);
        ana.room.connect(bo_id.clone()).await.unwrap();
        ana.until_open(&bo_id).await;
        bo.until_open(&ana_id).await;
        chat(&mut ana, &mut bo, "through").await;
    }
}

#[tokio::test]
async fn a_newcomer_is_met_after_the_stream_is_back() {
    let server = Server::start().await;
    let wire = Wire::to(&server.url).await;
    let mut bo = Member::join(through(&wire, server.config("lobby", "bo"))).await;
    wire.refuse();
    wire.cut();
    until_away(&mut bo).await;
    let mut cy = Member::join(server.config("lobby", "cy")).await;
    assert!(!cy.room.info().peers[0].attached);
    wire.accept();
    until_signaling(&mut bo, SignalingState::Connected).await;
    let (bo_id, cy_id) = (bo.id(), cy.id());
    bo.until_open(&cy_id).await;
    cy.until_open(&bo_id).await;
}

#[tokio::test]
async fn after_a_restart_everybody_is_there_again_and_newcomers_reach_all() {
    let mut server = Server::start().await;
    let (mut ana, mut bo) = connected(&server, "lobby").await;
    let (ana_id, bo_id) = (ana.id(), bo.id());
    server.kill();
    until_away(&mut ana).await;
    until_away(&mut bo).await;
    chat(&mut ana, &mut bo, "nobody between us").await;
    let server = server.restart().await;
    for member in [&mut ana, &mut bo] {
        let rejoined = member.until(|event| matches!(event, Event::Rejoined { .. })).await;
        assert!(!matches!(rejoined, Event::Rejoined { peer_id } if peer_id == ana_id || peer_id == bo_id));
    }
    let mut cy = Member::join(server.config("lobby", "cy")).await;
    let cy_id = cy.id();
    ana.until_open(&cy_id).await;
    bo.until_open(&cy_id).await;
    let mut names: Vec<_> =
        cy.room.info().peers.iter().map(|peer| peer.display_name.as_raw().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["ana", "bo"]);
    chat(&mut cy, &mut ana, "hello all").await;
    bo.until_text("hello all").await;
    chat(&mut ana, &mut bo, "still us").await;
    // The two kept their channel and each other's ids.
    for member in [&ana, &bo] {
        let strangers = member.seen.iter().filter(
            |event| matches!(event, Event::PeerJoined(peer) if ![&bo_id, &cy_id].contains(&&peer.id)),
        );
        assert_eq!(strangers.count(), 0, "{:?}", member.seen);
        assert!(
            !member
                .seen
                .iter()
                .any(|event| matches!(event, Event::ChannelClosed { .. } | Event::PeerLeft { .. }))
        );
    }
    bo.room.leave().await;
    let left = ana.until(|event| matches!(event, Event::PeerLeft { .. })).await;
    assert!(matches!(left, Event::PeerLeft { peer_id, reason: LeaveReason::Left } if peer_id == bo_id));
}

#[tokio::test]
async fn who_leaves_while_away_is_gone_for_the_others() {
    let server = Server::start().await;
    let wire = Wire::to(&server.url).await;
    let mut ana = Member::join(server.config("lobby", "ana")).await;
    let mut bo = Member::join(through(&wire, server.config("lobby", "bo"))).await;
    let (ana_id, bo_id) = (ana.id(), bo.id());
    ana.until_open(&bo_id).await;
    bo.until_open(&ana_id).await;
    wire.refuse();
    wire.cut();
    until_away(&mut bo).await;
    bo.room.send(Recipients::Everybody, TextKind::Plain, "last").await.unwrap();
    let departure = bo.room.leave().await;
    assert!(departure.undelivered.is_empty());
    ana.until_text("last").await;
    ana.until(|event| matches!(event, Event::ChannelClosed { peer_id } if *peer_id == bo_id)).await;
}
