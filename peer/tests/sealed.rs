//! Sealed rooms through a real server and the real engine: who has the code chats, the server learns nothing, and who
//! lacks it gets nothing.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that fails by unwrap has failed as it should")]

mod support;

use std::sync::{Arc, Mutex};

use patchcord_peer::{
    Code, Config, ConnectPolicy, ConnectionState, DeliveryState, Event, InspectConfig, Inspector,
    ProblemCode, Recipients, Seal, TextKind,
};
use support::{Member, PATIENCE, Server, wire::Wire};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn sealed(server: &str, code: &Code, name: &str) -> Config {
    Config {
        local_addresses: vec![std::net::Ipv4Addr::LOCALHOST.into()],
        ..Config::sealed(server, code.clone(), name)
    }
}

async fn connected(server: &str, code: &Code) -> (Member, Member) {
    let mut first = Member::join(sealed(server, code, "Anastasia")).await;
    let mut second = Member::join(sealed(server, code, "Bonifatius")).await;
    let (first_id, second_id) = (first.id(), second.id());
    first.until_open(&second_id).await;
    second.until_open(&first_id).await;
    (first, second)
}

async fn say(from: &mut Member, to: &mut Member, text: &str) {
    let id = from.room.send(Recipients::Everybody, TextKind::Plain, text).await.unwrap();
    to.until_text(text).await;
    from.until(|event| {
        matches!(event, Event::Receipt { message_id, state: DeliveryState::Delivered, .. } if *message_id == id)
    })
    .await;
}

fn other_words(code: &Code) -> Code {
    let words = ["acid", "acorn", "acre", "acts"];
    let other =
        words.iter().map(|word| Code::parse(&format!("{}-{word}-{word}-{word}", code.locator())).unwrap());
    other.into_iter().find(|other| other != code).unwrap()
}

fn string(member: &Member) -> patchcord_peer::ShortString {
    let verified = member.seen.iter().find_map(|event| match event {
        Event::Verified { string, .. } => Some(*string),
        _ => None,
    });
    verified.expect("the peer proved itself before its channel opened")
}

/// Carries bytes to a server and keeps all of them.
struct Tap {
    url: String,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    async fn to(url: &str) -> Self {
        let server = url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let kept = seen.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(carry(from_client, to_server, kept.clone()));
                tokio::spawn(carry(from_server, to_client, kept.clone()));
            }
        });
        Self { url, seen }
    }

    fn saw(&self, text: &str) -> bool {
        self.seen
            .lock()
            .unwrap()
            .windows(text.len())
            .any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    kept: Arc<Mutex<Vec<u8>>>,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        kept.lock().unwrap().extend_from_slice(&bytes[..count]);
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn who_has_the_code_chats_and_the_wire_to_the_server_tells_nothing_of_it() {
    let server = Server::start().await;
    let tap = Tap::to(&server.url).await;
    let code = Code::generate().unwrap();
    let (mut ana, mut bo) = connected(&tap.url, &code).await;
    say(&mut ana, &mut bo, "an unlikely text").await;
    say(&mut bo, &mut ana, "another one").await;
    assert_eq!(string(&ana), string(&bo));
    let named = |member: &Member, name: &str| {
        member.seen.iter().any(
            |event| matches!(event, Event::ChannelOpen { display_name, .. } if display_name.as_raw() == name),
        )
    };
    assert!(named(&ana, "Bonifatius") && named(&bo, "Anastasia"));
    ana.room.set_display_name("Anastasius").await.unwrap();
    bo.until(|event| matches!(event, Event::PeerUpdated(peer) if peer.display_name.as_raw() == "Anastasius"))
        .await;

    assert!(tap.saw(code.locator()), "the tap sees what is sent");
    let words = code.reveal().split('-').skip(1).map(str::to_owned).collect::<Vec<_>>().join("-");
    for secret in [
        "candidate:",
        "a=ice",
        "fingerprint",
        "typ host",
        "127.0.0.1 ",
        "Anastasi",
        "Bonifatius",
        "unlikely",
        &words,
    ] {
        assert!(!tap.saw(secret), "the wire shows {secret:?}");
    }
    let rooms = Inspector::connect(&server.admin_url, &InspectConfig::default())
        .await
        .unwrap()
        .rooms(code.locator())
        .await
        .unwrap();
    let room = &rooms[0];
    assert_eq!((room.counters.offers, room.counters.answers, room.counters.candidates), (0, 0, 0));
    assert!(room.counters.sealed > 3);
}

#[tokio::test]
async fn other_words_open_no_channel_and_both_are_told_and_count_a_guess() {
    let server = Server::start().await;
    let code = Code::generate().unwrap();
    let mut ana = Member::join(sealed(&server.url, &code, "ana")).await;
    let mut eve = Member::join(sealed(&server.url, &other_words(&code), "eve")).await;
    for member in [&mut ana, &mut eve] {
        member.until(|event| matches!(event, Event::Problem { code: ProblemCode::OtherCode, .. })).await;
        assert!(member.seen.iter().any(|event| matches!(event, Event::GuessesUsed { used: 1 })));
        assert!(
            !member
                .seen
                .iter()
                .any(|event| matches!(event, Event::ChannelOpen { .. } | Event::Verified { .. }))
        );
    }
    // The rest of the room goes on.
    let mut bo = Member::join(sealed(&server.url, &code, "bo")).await;
    let ana_id = ana.id();
    bo.until_open(&ana_id).await;
    say(&mut ana, &mut bo, "hi").await;
}

#[tokio::test]
async fn a_code_that_was_guessed_at_too_often_is_used_up_on_this_client() {
    let server = Server::start().await;
    let code = Code::generate().unwrap();
    let seal = Some(Seal { code: code.clone(), guesses_used: 16 });
    let mut ana = Member::join(Config { seal, ..sealed(&server.url, &code, "ana") }).await;
    let mut bo = Member::join(sealed(&server.url, &code, "bo")).await;
    for member in [&mut ana, &mut bo] {
        let problem =
            member.until(|event| matches!(event, Event::Problem { code: ProblemCode::OtherCode, .. })).await;
        let Event::Problem { message, .. } = problem else { unreachable!("only this was waited for") };
        assert!(message.contains("used up"), "{message}");
    }
}

#[tokio::test]
async fn who_joins_by_the_locator_alone_is_not_connected_and_both_sides_are_told_why() {
    let server = Server::start().await;
    let code = Code::generate().unwrap();
    let mut ana = Member::join(sealed(&server.url, &code, "ana")).await;
    let mut stranger = Member::join(server.config(code.locator(), "stranger")).await;
    // It offers in clear; then the sealed side begins.
    ana.until(|event| matches!(event, Event::Problem { code: ProblemCode::OtherCode, .. })).await;
    let stranger_id = stranger.id();
    ana.room.connect(stranger_id).await.unwrap();
    stranger.until(|event| matches!(event, Event::Problem { code: ProblemCode::OtherCode, .. })).await;
    let open = |member: &Member| member.seen.iter().any(|event| matches!(event, Event::ChannelOpen { .. }));
    assert!(!open(&ana) && !open(&stranger));
}

#[tokio::test]
async fn both_may_begin_at_the_same_instant() {
    let server = Server::start().await;
    for _ in 0..10 {
        let code = Code::generate().unwrap();
        let manual =
            |name| Config { connect_policy: ConnectPolicy::Manual, ..sealed(&server.url, &code, name) };
        let mut ana = Member::join(manual("ana")).await;
        let mut bo = Member::join(manual("bo")).await;
        ana.until_joined().await;
        let (ana_id, bo_id) = (ana.id(), bo.id());
        let (one, other) = tokio::join!(ana.room.connect(bo_id.clone()), bo.room.connect(ana_id.clone()));
        one.and(other).unwrap();
        ana.until_open(&bo_id).await;
        bo.until_open(&ana_id).await;
        say(&mut ana, &mut bo, "hi").await;
    }
}

#[tokio::test]
async fn after_a_restart_of_the_server_old_channels_go_on_and_a_newcomer_with_the_code_comes_in() {
    let mut server = Server::start().await;
    let code = Code::generate().unwrap();
    let (mut ana, mut bo) = connected(&server.url, &code).await;
    server.kill();
    let server = server.restart().await;
    for member in [&mut ana, &mut bo] {
        member.until(|event| matches!(event, Event::Rejoined { .. })).await;
    }
    say(&mut ana, &mut bo, "still here").await;
    let mut cy = Member::join(sealed(&server.url, &code, "cy")).await;
    for _ in 0..2 {
        cy.until(|event| matches!(event, Event::ChannelOpen { .. })).await;
    }
    let closed = |event: &Event| matches!(event, Event::ChannelClosed { .. });
    assert!(!ana.seen.iter().chain(&bo.seen).any(closed));
}

#[tokio::test]
async fn a_stream_that_breaks_anywhere_in_the_exchange_only_delays_it() {
    let server = Server::start().await;
    let code = Code::generate().unwrap();
    let mut bytes = 300;
    while bytes < 12_000 {
        let wire = Wire::to(&server.url).await;
        let mut ana = Member::join(sealed(&server.url, &code, "ana")).await;
        let mut bo = Member::join(sealed(&wire.url, &code, "bo")).await;
        wire.cut_after(bytes);
        let (ana_id, bo_id) = (ana.id(), bo.id());
        ana.until_open(&bo_id).await;
        bo.until_open(&ana_id).await;
        say(&mut ana, &mut bo, "hi").await;
        let failed =
            |event: &Event| matches!(event, Event::Connection { state: ConnectionState::Failed, .. });
        assert!(!ana.seen.iter().chain(&bo.seen).any(failed), "cut after {bytes} bytes");
        tokio::time::timeout(PATIENCE, async { tokio::join!(ana.room.leave(), bo.room.leave()) })
            .await
            .unwrap();
        bytes += 1300;
    }
}
