//! Many handshakes in sealed rooms, each in the hands of a server that does at random whatever such a server can: it changes,
//! cuts, withholds, repeats, delays, reflects and forges what it relays, swaps ids, and lets peers of its own guess. Whatever
//! opens is open between the two that have the code. A seed is a history of the server's choices.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that fails by unwrap has failed as it should")]

mod support;

use std::{net::Ipv4Addr, time::Duration};

use patchcord_peer::{Code, Config, Event, Room, ShortString};
use support::evil::{Disguise, EvilServer, Relayed};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// scripts/test --long runs 10,000.
const RUNS: usize = 120;
const RUNS_AT_ONCE: usize = 16;
/// Of many runs, as most of each is waiting.
const OF_MANY_AT_ONCE: usize = 64;
/// A handshake that only got delayed is given up then: it counts as what did not open.
const RUN_TIME: Duration = Duration::from_millis(1500);

/// In one run of so many the server does nothing, and the handshake has to open, however busy the machine is.
const HONEST_EVERY: u64 = 8;
const HONEST_RUN_TIME: Duration = Duration::from_secs(20);

/// In percent of all payloads, what a server does when it does something.
const MISCHIEF: [(&str, u8); 9] = [
    ("change", 12),
    ("cut", 8),
    ("withhold", 10),
    ("repeat", 14),
    ("delay", 14),
    ("reflect", 10),
    ("replay", 12),
    ("forge", 10),
    ("relay to another", 10),
];

#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    opened: usize,
    guessed: u32,
    mischief: usize,
}

/// What a server makes of what it is to relay. `spared` payloads in a hundred are left alone.
fn mischief(
    seed: u64,
    done: mpsc::UnboundedSender<()>,
) -> impl FnMut(Relayed) -> Vec<Relayed> + Send + 'static {
    let mut random = fastrand::Rng::with_seed(seed);
    let spared = if is_honest(seed) { 100 } else { random.choice([60, 80, 95]).unwrap() };
    let (mut earlier, mut held): (Vec<Relayed>, Vec<Relayed>) = (Vec::new(), Vec::new());
    move |relayed| {
        earlier.push(relayed.clone());
        let mut sent = std::mem::take(&mut held);
        if random.u8(..100) < spared {
            sent.insert(0, relayed);
            return sent;
        }
        let _ = done.send(());
        let mut choice = random.u8(..100);
        let what = MISCHIEF.iter().find(|(_, share)| {
            let here = choice < *share;
            choice = choice.saturating_sub(*share);
            here
        });
        let Relayed { from, to, payload } = relayed.clone();
        let mut bytes = payload.to_vec();
        match what.map_or("withhold", |(what, _)| *what) {
            "change" => {
                let at = random.usize(..bytes.len());
                bytes[at] ^= 1 << random.u8(..8);
                sent.push(Relayed { from, to, payload: bytes.into() });
            }
            "cut" => {
                bytes.truncate(random.usize(..bytes.len()));
                sent.push(Relayed { from, to, payload: bytes.into() });
            }
            "repeat" => sent.extend([relayed.clone(), relayed]),
            "delay" => held.push(relayed),
            "reflect" => sent.extend([Relayed { from: to, to: from, payload }, relayed]),
            "replay" => sent.extend([relayed, earlier[random.usize(..earlier.len())].clone()]),
            // As if somebody else had said it; the third is the server's own peer.
            "forge" => sent.push(Relayed { from: (from + 1 + random.usize(..2)) % 3, to, payload }),
            "relay to another" => sent.push(Relayed { from, to: random.usize(..3), payload }),
            _ => {}
        }
        sent
    }
}

fn is_honest(seed: u64) -> bool {
    seed.is_multiple_of(HONEST_EVERY)
}

fn disguise(seed: u64, random: &mut fastrand::Rng) -> Disguise {
    match random.u8(..8) {
        _ if is_honest(seed) => |_, place| place,
        // The first takes the server's peer for the second and the other way round.
        0 => |viewer, place| if viewer == 0 && place > 0 && place < 3 { 3 - place } else { place },
        // Each takes it for the other.
        1 => |viewer, place| match (viewer, place) {
            (0, 1) | (1, 0) => 2,
            (0, 2) => 1,
            (1, 2) => 0,
            _ => place,
        },
        // The first has another id in its own eyes than in those of others.
        2 => |viewer, place| match (viewer, place) {
            (0, 0) => 7,
            (0, 7) => 0,
            _ => place,
        },
        // The second is known to the first by an id of nobody.
        3 => |viewer, place| match (viewer, place) {
            (0, 1) => 9,
            (0, 9) => 1,
            _ => place,
        },
        _ => |_, place| place,
    }
}

fn config(server: &EvilServer, code: &Code, name: &str, connect_timeout: Duration) -> Config {
    Config {
        local_addresses: vec![Ipv4Addr::LOCALHOST.into()],
        connect_timeout,
        leave_timeout: Duration::from_millis(50),
        ..Config::sealed(&server.url, code.clone(), name)
    }
}

/// Whom a member has a channel with, by the names that came over it, and the strings that it was shown.
#[derive(Default)]
struct Seen {
    names: Vec<String>,
    strings: Vec<ShortString>,
    guesses: u32,
}

/// Reads until a channel is open or the time is over.
async fn watch(events: &mut mpsc::Receiver<Event>, until: Instant) -> Seen {
    let mut seen = Seen::default();
    while let Ok(Some(event)) = timeout_at(until, events.recv()).await {
        match event {
            Event::ChannelOpen { display_name, .. } => {
                seen.names.push(display_name.as_raw().to_owned());
                return seen;
            }
            Event::Verified { string, .. } => seen.strings.push(string),
            Event::GuessesUsed { used } => seen.guesses = used,
            _ => {}
        }
    }
    seen
}

async fn run(seed: u64) -> Outcome {
    let mut random = fastrand::Rng::with_seed(seed);
    let run_time = if is_honest(seed) { HONEST_RUN_TIME } else { RUN_TIME };
    let (done, mut done_rx) = mpsc::unbounded_channel();
    let server = EvilServer::start_disguised(mischief(seed, done), disguise(seed, &mut random)).await;
    let code = Code::generate().unwrap();
    let (ana_name, bo_name) = (format!("ana {seed}"), format!("bo {seed}"));
    let join =
        async |name: &str, code: &Code| Room::join(config(&server, code, name, run_time)).await.unwrap();
    let (ana, mut ana_events) = join(&ana_name, &code).await;
    let (bo, mut bo_events) = join(&bo_name, &code).await;
    // Somebody of the server's, who knows the locator and guesses the words.
    let guess = format!("{}-acid-acid-acid", code.locator());
    let guess = Code::parse(&guess).unwrap();
    let eve = match guess == code || random.bool() {
        true => None,
        false => Some(join("eve", &guess).await),
    };
    let until = Instant::now() + run_time;
    let (of_ana, of_bo) = tokio::join!(watch(&mut ana_events, until), watch(&mut bo_events, until));
    for (seen, other) in [(&of_ana, &bo_name), (&of_bo, &ana_name)] {
        assert!(seen.names.iter().all(|name| name == other), "seed {seed}: a channel with {:?}", seen.names);
    }
    let opened = !of_ana.names.is_empty() && !of_bo.names.is_empty();
    assert!(opened || !is_honest(seed), "seed {seed}: a server that does nothing, and nothing opens");
    if opened {
        let shared = of_ana.strings.iter().any(|string| of_bo.strings.contains(string));
        assert!(shared, "seed {seed}: open, and nothing in common");
    }
    if let Some((_, mut events)) = eve {
        events.close();
        while let Some(event) = events.recv().await {
            let got_in = matches!(event, Event::ChannelOpen { .. } | Event::Verified { .. });
            assert!(!got_in, "seed {seed}: who guessed has {event:?}");
        }
    }
    drop((ana, bo));
    Outcome {
        opened: usize::from(opened),
        guessed: of_ana.guesses.max(of_bo.guesses),
        mischief: std::iter::from_fn(|| done_rx.try_recv().ok()).count(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_server_does_nothing_opens_but_between_the_two_that_have_the_code() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let runs = number("PATCHCORD_HANDSHAKES").map_or(RUNS, |runs| usize::try_from(runs).unwrap());
    let first_seed = number("PATCHCORD_SEED").unwrap_or_else(|| fastrand::u64(..1 << 48));
    println!("seed {first_seed}: PATCHCORD_SEED={first_seed} repeats the server's choices");
    let at_once = if runs > RUNS { OF_MANY_AT_ONCE } else { RUNS_AT_ONCE };
    let begun = Instant::now();
    let (mut running, mut sum) = (JoinSet::new(), Outcome::default());
    for number in 0..runs {
        if running.len() == at_once {
            add(&mut sum, running.join_next().await.unwrap().unwrap());
        }
        running.spawn(run(first_seed + number as u64));
    }
    while let Some(outcome) = running.join_next().await {
        add(&mut sum, outcome.unwrap());
    }
    println!(
        "{runs} handshakes with {} acts of mischief and {} wrong guesses in {:?}: {} opened in time, 0 with another",
        sum.mischief,
        sum.guessed,
        begun.elapsed(),
        sum.opened
    );
    assert!(sum.mischief > runs / 2 && sum.guessed > 0, "the server did too little: {sum:?}");
}

fn add(sum: &mut Outcome, outcome: Outcome) {
    sum.opened += outcome.opened;
    sum.guessed += outcome.guessed;
    sum.mischief += outcome.mischief;
}
