//! Who is verified, as far as a program tells its library, through a real server and the real engine.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that fails by unwrap has failed as it should")]

mod support;

use patchcord_peer::{Code, Config, Event, Recipients, Room, SendError, ShortString, TextKind};
use support::{Member, Server, connected};

async fn is_verified(room: &Room) -> bool {
    room.connections().await.iter().all(|report| report.verified)
}

fn string(event: Event) -> ShortString {
    match event {
        Event::ShortString { string, .. } => string,
        _ => unreachable!("only this was waited for"),
    }
}

#[tokio::test]
async fn a_peer_is_verified_once_the_string_of_its_open_channel_was_compared() {
    let server = Server::start().await;
    let (mut ana, mut bo) = connected(&server, "lobby").await;
    let compared = string(ana.until(|event| matches!(event, Event::ShortString { .. })).await);
    assert_eq!(string(bo.until(|event| matches!(event, Event::ShortString { .. })).await), compared);
    assert!(!is_verified(&ana.room).await);
    ana.room.compared(bo.id(), ShortString::new([7; 10])).await.unwrap();
    assert!(!is_verified(&ana.room).await, "of no channel that is open");
    ana.room.compared(bo.id(), compared).await.unwrap();
    assert!(is_verified(&ana.room).await);
    assert!(!is_verified(&bo.room).await, "its own user has said nothing");
    assert_eq!(ana.room.compared(ana.id(), compared).await, Err(SendError::NoSuchPeer));
}

#[tokio::test]
async fn who_proved_that_it_knows_the_code_is_verified() {
    let server = Server::start().await;
    let code = Code::generate().unwrap();
    let sealed = |name| Config {
        local_addresses: vec![std::net::Ipv4Addr::LOCALHOST.into()],
        ..Config::sealed(&server.url, code.clone(), name)
    };
    let mut ana = Member::join(sealed("ana")).await;
    let mut bo = Member::join(sealed("bo")).await;
    let ana_id = ana.id();
    bo.until_open(&ana_id).await;
    bo.room.send(Recipients::Everybody, TextKind::Plain, "hi").await.unwrap();
    ana.until_text("hi").await;
    assert!(is_verified(&ana.room).await && is_verified(&bo.room).await);
}
