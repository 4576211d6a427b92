//! Sealed rooms in the hands of a server that changes, repeats, withholds and reflects what it relays, and that plays
//! peers of its own: it can delay people, and open nothing.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that fails by unwrap has failed as it should")]

mod support;

use std::{net::Ipv4Addr, time::Duration};

use patchcord_peer::{Code, Config, ConnectPolicy, Event, ProblemCode};
use support::{
    Member,
    evil::{EvilServer, Relayed},
};

/// Payloads of an undisturbed exchange that matter: share, reply, confirmation, offer, answer, candidates.
const PAYLOADS: usize = 7;

fn sealed(server: &EvilServer, code: &Code, name: &str) -> Config {
    Config {
        local_addresses: vec![Ipv4Addr::LOCALHOST.into()],
        connect_timeout: Duration::from_secs(2),
        ..Config::sealed(&server.url, code.clone(), name)
    }
}

/// Does `mischief` to the payload of this number, and nothing to the others.
fn once(
    number: usize,
    mut mischief: impl FnMut(Relayed, &[Relayed]) -> Vec<Relayed> + Send + 'static,
) -> impl FnMut(Relayed) -> Vec<Relayed> + Send + 'static {
    let mut earlier = Vec::new();
    move |relayed| {
        earlier.push(relayed.clone());
        match earlier.len() - 1 == number {
            true => mischief(relayed, &earlier),
            false => vec![relayed],
        }
    }
}

fn back(relayed: &Relayed) -> Relayed {
    Relayed { from: relayed.to, to: relayed.from, payload: relayed.payload.clone() }
}

/// Both open in the end, however often a user has to say so.
async fn both_open(server: &EvilServer, code: &Code) {
    let mut ana = Member::join(sealed(server, code, "ana")).await;
    let mut bo = Member::join(sealed(server, code, "bo")).await;
    let (ana_id, bo_id) = (ana.id(), bo.id());
    // The one says so again whenever it is told that it did not work.
    let insisting = async {
        loop {
            let event = bo.until(|event| {
                let is_open = matches!(event, Event::ChannelOpen { peer_id, .. } if *peer_id == ana_id);
                is_open || matches!(event, Event::Problem { .. })
            });
            match event.await {
                Event::ChannelOpen { .. } => return,
                _ => bo.room.connect(ana_id.clone()).await.unwrap(),
            }
        }
    };
    tokio::join!(insisting, ana.until_open(&bo_id));
    let strings = |member: &Member| {
        let strings = member.seen.iter().filter_map(|event| match event {
            Event::Verified { string, .. } => Some(*string),
            _ => None,
        });
        strings.collect::<Vec<_>>()
    };
    let (of_ana, of_bo) = (strings(&ana), strings(&bo));
    assert!(of_ana.iter().any(|string| of_bo.contains(string)), "{of_ana:?} and {of_bo:?}");
}

/// Every payload in its turn; several servers at a time, as most of it is waiting.
async fn each_payload<M>(mischief: impl Fn(usize) -> M)
where
    M: FnMut(Relayed) -> Vec<Relayed> + Send + 'static,
{
    let mut runs = tokio::task::JoinSet::new();
    for number in 0..PAYLOADS {
        let server = EvilServer::start(mischief(number)).await;
        runs.spawn(async move { both_open(&server, &Code::generate().unwrap()).await });
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

#[tokio::test]
async fn a_payload_that_is_changed_only_delays_the_pair() {
    each_payload(|number| {
        once(number, |mut relayed, _| {
            let mut payload = relayed.payload.to_vec();
            let middle = payload.len() / 2;
            payload[middle] ^= 1;
            relayed.payload = payload.into();
            vec![relayed]
        })
    })
    .await;
}

#[tokio::test]
async fn a_payload_that_is_withheld_only_delays_the_pair() {
    each_payload(|number| once(number, |_, _| Vec::new())).await;
}

#[tokio::test]
async fn payloads_that_are_repeated_reordered_or_reflected_only_delay_the_pair() {
    each_payload(|number| {
        once(number, |relayed, earlier| {
            let mut all = vec![back(&relayed), relayed.clone()];
            all.extend(earlier.iter().cloned());
            all.extend(earlier.iter().map(back));
            all
        })
    })
    .await;
}

#[tokio::test]
async fn a_server_that_withholds_everything_opens_nothing_and_the_user_is_told() {
    let server = EvilServer::start(|_| Vec::new()).await;
    let code = Code::generate().unwrap();
    let ana = Member::join(sealed(&server, &code, "ana")).await;
    let mut bo = Member::join(sealed(&server, &code, "bo")).await;
    bo.until(|event| matches!(event, Event::Problem { code: ProblemCode::ConnectTimeout, .. })).await;
    drop(ana);
}

#[tokio::test]
async fn a_server_that_plays_each_side_to_the_other_spends_its_guesses_and_opens_nothing() {
    // Everything between the two people is withheld; each meets a peer of the server's instead, which tries one code
    // after the other.
    let server = EvilServer::start(|relayed| {
        let people = [0, 1];
        let between_people = people.contains(&relayed.from) && people.contains(&relayed.to);
        if between_people { Vec::new() } else { vec![relayed] }
    })
    .await;
    let code = Code::generate().unwrap();
    let manual = |name| Config { connect_policy: ConnectPolicy::Manual, ..sealed(&server, &code, name) };
    let mut people = [Member::join(manual("ana")).await, Member::join(manual("bo")).await];
    let is_end = |event: &Event| matches!(event, Event::Problem { code: ProblemCode::OtherCode, message, .. } if message.contains("used up"));
    let mut guesses = 0;
    while !people.iter().all(|member| member.seen.iter().any(is_end)) {
        let words = ["acid", "acorn", "acre", "acts"][guesses % 4];
        let guess = format!("{}-{words}-{words}-{words}", code.locator());
        let guesser = Member::join(sealed(&server, &Code::parse(&guess).unwrap(), "eve")).await;
        guesses += 1;
        assert!(guesses <= 40, "the code is not used up");
        for member in &mut people {
            let told = |event: &Event| matches!(event, Event::Problem { code: ProblemCode::OtherCode, .. });
            member.until(told).await;
        }
        drop(guesser);
    }
    // Each of them refuses the 17th guess itself, and answers it no more: nobody learns whether it was right.
    let right = Member::join(sealed(&server, &code, "eve")).await;
    for member in &mut people {
        let tried = member.until(|event| matches!(event, Event::PeerJoined(_)));
        tried.await;
    }
    let mut right = right;
    right.until(is_end).await;
    for member in &people {
        let used = member.seen.iter().filter_map(|event| match event {
            Event::GuessesUsed { used } => Some(*used),
            _ => None,
        });
        assert_eq!(used.max(), Some(16));
    }
    let opened = |event: &Event| matches!(event, Event::ChannelOpen { .. } | Event::Verified { .. });
    assert!(!right.seen.iter().any(opened));
    assert!(!people.iter().flat_map(|member| &member.seen).any(opened));
}
