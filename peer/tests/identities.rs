//! Identity keys through a real server and the real engine: proved before anything is said, judged by the program, and a peer
//! that is held neither heard nor told anything until it is released.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that fails by unwrap has failed as it should")]

mod support;

use std::sync::{Arc, Mutex};

use patchcord_peer::{
    Code, Config, ConnectionState, DeliveryState, Event, Identity, IdentityKey, Judge, Judgement, MessageId,
    ProblemCode, Recipients, SendError, Shown, TextKind,
};
use support::{Member, PATIENCE, Server};

fn identity(number: u8) -> Option<Identity> {
    Some(Identity::from_seed(&[number; 32]))
}

fn key(number: u8) -> Option<IdentityKey> {
    identity(number).map(|identity| identity.key())
}

/// Holds whoever is called "bo", until told otherwise.
#[derive(Clone, Default)]
struct Opinion(Arc<Mutex<Option<Judgement>>>);

impl Opinion {
    fn judge(&self) -> Option<Judge> {
        let opinion = self.clone();
        let judge = move |shown: &Shown| match *opinion.0.lock().unwrap() {
            Some(judgement) => judgement,
            None if shown.display_name.as_raw() == "bo" => Judgement::Held,
            None => Judgement::New,
        };
        Some(Judge::new(judge))
    }

    fn set(&self, judgement: Judgement) {
        *self.0.lock().unwrap() = Some(judgement);
    }
}

fn judged(event: &Event) -> Option<(Option<IdentityKey>, Judgement)> {
    match event {
        Event::Identity { shown, judgement } => Some((shown.key, *judgement)),
        _ => None,
    }
}

async fn say(member: &Member, text: &str) -> MessageId {
    member.room.send(Recipients::Everybody, TextKind::Plain, text).await.unwrap()
}

fn is_receipt(of: MessageId, wanted: DeliveryState) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Receipt { message_id, state, .. } if *message_id == of && *state == wanted)
}

/// Whatever the order in which several peers are heard.
async fn has(member: &mut Member, wanted: impl Fn(&Event) -> bool) {
    if !member.seen.iter().any(&wanted) {
        member.until(wanted).await;
    }
}

async fn has_text(member: &mut Member, text: &str) {
    has(member, |event| matches!(event, Event::Message(message) if message.text.as_raw() == text)).await;
}

fn texts(member: &Member) -> Vec<&str> {
    let texts = member.seen.iter().filter_map(|event| match event {
        Event::Message(message) => Some(message.text.as_raw()),
        _ => None,
    });
    texts.collect()
}

#[tokio::test]
async fn a_proved_key_is_told_before_the_channel_is_open_in_open_and_in_sealed_rooms() {
    let server = Server::start().await;
    let code = Code::generate().unwrap();
    let sealed = |name| Config {
        local_addresses: vec![std::net::Ipv4Addr::LOCALHOST.into()],
        ..Config::sealed(&server.url, code.clone(), name)
    };
    let pairs =
        [[server.config("lobby", "ana"), server.config("lobby", "bo")], [sealed("ana"), sealed("bo")]];
    for [ana, bo] in pairs {
        let mut ana = Member::join(Config { identity: identity(1), ..ana }).await;
        let mut bo = Member::join(bo).await;
        let (ana_id, bo_id) = (ana.id(), bo.id());
        ana.until_joined().await;
        say(&ana, "early").await;
        ana.until_open(&bo_id).await;
        has_text(&mut bo, "early").await;
        assert_eq!(ana.seen.iter().find_map(judged), Some((None, Judgement::New)));
        assert_eq!(bo.seen.iter().find_map(judged), Some((key(1), Judgement::New)));
        let at = |wanted: fn(&Event) -> bool| bo.seen.iter().position(wanted).unwrap();
        let told = at(|event| matches!(event, Event::Identity { .. }));
        assert!(told < at(|event| matches!(event, Event::ChannelOpen { .. })));
        let Event::Identity { shown, .. } = &bo.seen[told] else { unreachable!("it was found") };
        assert_eq!((&shown.peer_id, shown.display_name.as_raw()), (&ana_id, "ana"));
    }
}

#[tokio::test]
async fn a_peer_that_is_held_is_neither_heard_nor_told_anything_and_once_released_all_comes_once() {
    let server = Server::start().await;
    let opinion = Opinion::default();
    let mut ana = Member::join(Config { judge: opinion.judge(), ..server.config("lobby", "ana") }).await;
    let mut bo = Member::join(Config { identity: identity(2), ..server.config("lobby", "bo") }).await;
    let mut cy = Member::join(server.config("lobby", "cy")).await;
    let (ana_id, bo_id, cy_id) = (ana.id(), bo.id(), cy.id());
    bo.until_open(&ana_id).await;
    let (mut held, mut open) = (false, false);
    ana.until(|event| {
        held |= judged(event) == Some((key(2), Judgement::Held));
        open |= matches!(event, Event::ChannelOpen { peer_id, .. } if *peer_id == cy_id);
        held && open
    })
    .await;
    let mut to_open = 2;
    cy.until(|event| {
        to_open -= usize::from(matches!(event, Event::ChannelOpen { .. }));
        to_open == 0
    })
    .await;
    for number in 1..=50 {
        say(&bo, &format!("of bo {number}")).await;
    }
    bo.room.set_typing(true);
    let of_ana = say(&ana, "of ana").await;
    // The rest of the room goes on.
    has_text(&mut cy, "of ana").await;
    has_text(&mut cy, "of bo 50").await;
    say(&cy, "of cy").await;
    has_text(&mut ana, "of cy").await;
    has_text(&mut bo, "of cy").await;
    // They can be compared all the same.
    let string = |event: &Event| matches!(event, Event::ShortString { peer_id, .. } if *peer_id == bo_id);
    has(&mut ana, string).await;
    assert_eq!(texts(&ana), ["of cy"]);
    assert_eq!(texts(&bo), ["of cy"]);
    let to_bo = |event: &Event| matches!(event, Event::Receipt { message_id, peer_id, state } if *message_id == of_ana && *peer_id == bo_id && *state != DeliveryState::Queued);
    assert!(!ana.seen.iter().any(to_bo));
    assert!(!ana.room.connections().await.iter().any(|report| report.verified));

    opinion.set(Judgement::Known);
    ana.room.judge_again(bo_id.clone()).await.unwrap();
    ana.until(|event| judged(event) == Some((key(2), Judgement::Known))).await;
    has_text(&mut bo, "of ana").await;
    has_text(&mut ana, "of bo 50").await;
    let mut expected = vec!["of cy".to_owned()];
    expected.extend((1..=50).map(|number| format!("of bo {number}")));
    assert_eq!(texts(&ana), expected);
    ana.until(is_receipt(of_ana, DeliveryState::Delivered)).await;
    let id = say(&bo, "last").await;
    bo.until(is_receipt(id, DeliveryState::Delivered)).await;
    let verified = |report: &patchcord_peer::ConnectionReport| report.peer_id == bo_id && report.verified;
    assert!(ana.room.connections().await.iter().any(verified));
}

#[tokio::test]
async fn a_name_that_is_taken_on_an_open_channel_holds_and_another_does_not_release() {
    let server = Server::start().await;
    let opinion = Opinion::default();
    let mut ana = Member::join(Config { judge: opinion.judge(), ..server.config("lobby", "ana") }).await;
    let eve = Member::join(Config { identity: identity(3), ..server.config("lobby", "eve") }).await;
    ana.until(|event| judged(event) == Some((key(3), Judgement::New))).await;
    say(&eve, "as eve").await;
    has_text(&mut ana, "as eve").await;
    eve.room.set_display_name("bo").await.unwrap();
    ana.until(|event| judged(event) == Some((key(3), Judgement::Held))).await;
    say(&eve, "as bo").await;
    for name in ["somebody", "bo", "somebody else"] {
        eve.room.set_display_name(name).await.unwrap();
        ana.until(|event| judged(event) == Some((key(3), Judgement::Held))).await;
    }
    assert_eq!(texts(&ana), ["as eve"]);
    assert_eq!(names(&ana), ["bo"], "it does not speak through its name");

    opinion.set(Judgement::New);
    let eve_id = eve.id();
    ana.room.judge_again(eve_id).await.unwrap();
    has_text(&mut ana, "as bo").await;
    assert_eq!(names(&ana), ["bo", "somebody else"]);
}

/// What others called themselves, beside the first time.
fn names(member: &Member) -> Vec<&str> {
    let names = member.seen.iter().filter_map(|event| match event {
        Event::PeerUpdated(peer) => Some(peer.display_name.as_raw()),
        _ => None,
    });
    names.collect()
}

#[tokio::test]
async fn a_new_name_that_comes_with_a_new_channel_is_judged_once_with_what_is_shown_there() {
    let server = Server::start().await;
    let code = Code::generate().unwrap();
    let opinion = Opinion::default();
    let sealed = |name| Config {
        local_addresses: vec![std::net::Ipv4Addr::LOCALHOST.into()],
        ..Config::sealed(&server.url, code.clone(), name)
    };
    let mut ana = Member::join(Config { judge: opinion.judge(), ..sealed("ana") }).await;
    let mut eve = Member::join(Config { identity: identity(3), ..sealed("eve") }).await;
    let (ana_id, eve_id) = (ana.id(), eve.id());
    eve.until_open(&ana_id).await;
    ana.until_open(&eve_id).await;
    eve.room.refuse(ana_id.clone()).await.unwrap();
    ana.until(|event| matches!(event, Event::ChannelClosed { .. })).await;
    eve.room.set_display_name("bo").await.unwrap();
    eve.room.connect(ana_id).await.unwrap();
    ana.until_open(&eve_id).await;
    let judged: Vec<_> = ana.seen.iter().filter_map(judged).collect();
    assert_eq!(judged, [(key(3), Judgement::New), (key(3), Judgement::Held)]);
}

#[tokio::test]
async fn who_leaves_while_somebody_is_held_is_told_what_was_not_delivered_and_so_is_the_other() {
    let server = Server::start().await;
    let opinion = Opinion::default();
    let mut ana = Member::join(Config { judge: opinion.judge(), ..server.config("lobby", "ana") }).await;
    let mut bo = Member::join(server.config("lobby", "bo")).await;
    let (ana_id, bo_id) = (ana.id(), bo.id());
    bo.until_open(&ana_id).await;
    ana.until_open(&bo_id).await;
    let of_bo = say(&bo, "unheard").await;
    bo.until(is_receipt(of_bo, DeliveryState::Sent)).await;
    let of_ana = say(&ana, "unsaid").await;
    let events = std::mem::replace(&mut ana.events, tokio::sync::mpsc::channel(1).1);
    drop(events);
    let departure = tokio::time::timeout(PATIENCE, ana.room.leave()).await.unwrap();
    assert_eq!(departure.undelivered, [(of_ana, bo_id)]);
    bo.until(is_receipt(of_bo, DeliveryState::Failed)).await;
    assert!(texts(&bo).is_empty());
}

#[tokio::test]
async fn a_peer_that_is_refused_stays_unconnected_until_it_is_wanted_again() {
    let server = Server::start().await;
    let opinion = Opinion::default();
    let mut ana = Member::join(Config { judge: opinion.judge(), ..server.config("lobby", "ana") }).await;
    let bo = Config { connect_timeout: std::time::Duration::from_secs(1), ..server.config("lobby", "bo") };
    let mut bo = Member::join(bo).await;
    let (ana_id, bo_id) = (ana.id(), bo.id());
    bo.until_open(&ana_id).await;
    ana.until_open(&bo_id).await;
    let waiting = say(&ana, "waits").await;
    ana.room.refuse(bo_id.clone()).await.unwrap();
    ana.until(is_receipt(waiting, DeliveryState::Failed)).await;
    ana.until(|event| matches!(event, Event::ChannelClosed { .. })).await;
    bo.until(|event| matches!(event, Event::ChannelClosed { .. })).await;
    // What is for everybody is not for it, and what is for it alone fails.
    let to_everybody = ana.room.send(Recipients::Everybody, TextKind::Plain, "late").await;
    assert_eq!(to_everybody, Err(SendError::NobodyHere));
    let late = ana.room.send(Recipients::Peer(bo_id.clone()), TextKind::Plain, "late").await.unwrap();
    ana.until(is_receipt(late, DeliveryState::Failed)).await;
    // It insists.
    bo.room.connect(ana_id.clone()).await.unwrap();
    bo.until(|event| matches!(event, Event::Problem { code: ProblemCode::ConnectTimeout, .. })).await;
    let connecting =
        |event: &Event| matches!(event, Event::Connection { state: ConnectionState::Connecting, .. });
    assert_eq!(ana.seen.iter().filter(|event| connecting(event)).count(), 1);
    opinion.set(Judgement::New);
    ana.room.judge_again(bo_id.clone()).await.unwrap();
    ana.room.connect(bo_id.clone()).await.unwrap();
    bo.until_open(&ana_id).await;
    let id = say(&ana, "again").await;
    ana.until(is_receipt(id, DeliveryState::Delivered)).await;
    has_text(&mut bo, "again").await;
    assert_eq!(texts(&bo), ["again"]);
}

#[tokio::test]
async fn a_text_to_everybody_has_no_receipt_of_one_that_is_refused() {
    let server = Server::start().await;
    let mut ana = Member::join(server.config("lobby", "ana")).await;
    let bo = Member::join(server.config("lobby", "bo")).await;
    let mut cy = Member::join(server.config("lobby", "cy")).await;
    let (ana_id, bo_id, cy_id) = (ana.id(), bo.id(), cy.id());
    cy.until_open(&ana_id).await;
    ana.until(|event| matches!(event, Event::ChannelOpen { peer_id, .. } if *peer_id == cy_id)).await;
    ana.room.refuse(bo_id.clone()).await.unwrap();
    let id = say(&ana, "for those who are wanted").await;
    has_text(&mut cy, "for those who are wanted").await;
    ana.until(is_receipt(id, DeliveryState::Delivered)).await;
    ana.room.leave().await;
    while let Some(event) = ana.events.recv().await {
        ana.seen.push(event);
    }
    let of_bo = |event: &&Event| matches!(event, Event::Receipt { peer_id, .. } if *peer_id == bo_id);
    assert_eq!(ana.seen.iter().filter(of_bo).count(), 0);
}
