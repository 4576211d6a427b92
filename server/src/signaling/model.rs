//! Rooms and sessions against a reference that keeps plain lists: any order of joins, leaves, relays, reads,
//! acknowledgements, lost streams, resumptions, removals and drains. What each peer is told is compared frame
//! by frame, and each invariant by name beside it. `PROPTEST_CASES=100000` plays so many cases.

mod check;
mod play;
mod reference;
mod steps;
mod view;
mod world;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use proptest::{
    prelude::*,
    test_runner::{Config as ProptestConfig, TestRunner},
};

use check::{CHECKED, Invariant};
use play::play;
use steps::{Last, Step, Token, any_step};

/// Names of rooms; one more than there may be rooms.
const NAMES: usize = 3;
const STEPS_MAX: usize = 60;

#[test]
fn sessions_keep_every_invariant_of_the_reference() {
    let cases = ProptestConfig::default().cases;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (since, steps) = (Instant::now(), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let cases = cases.div_ceil(threads as u32);
                let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
                let runtime = runtime.unwrap();
                let strategy = prop::collection::vec(any_step(), 1..STEPS_MAX);
                let outcome = TestRunner::new(config).run(&strategy, |case| {
                    steps.fetch_add(case.len() as u64, Ordering::Relaxed);
                    runtime.block_on(play(case))
                });
                outcome.unwrap_or_else(|failure| panic!("{failure}"));
            });
        }
    });
    println!("{cases} cases, {} steps, {:.1?}", steps.into_inner(), since.elapsed());
    // A handful of cases need not come across everything.
    for (invariant, checked) in Invariant::ALL.iter().zip(&CHECKED) {
        let checked = checked.load(Ordering::Relaxed);
        println!("{checked:>10} {invariant:?}");
        assert!(checked > 0 || cases < 2_000, "{invariant:?} was never checked");
    }
}

#[test]
fn a_stream_that_is_lost_before_it_goes_on_with_a_full_session_detaches_it() {
    let relay = Step::Relay { who: 1, to: 0, kind: 2, large: false, count: 100 };
    let steps = vec![
        Step::Join { room: 0 },
        Step::Join { room: 0 },
        relay.clone(),
        relay,
        Step::Resume { who: 0, token: Token::Newest, last: Last::Handled },
        Step::Detach { who: 0, how: 0, lost: 0 },
        Step::Resume { who: 0, token: Token::Newest, last: Last::Handled },
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(play(steps)).unwrap();
}

#[test]
fn whoever_left_after_a_loss_is_not_brought_back_by_what_is_sent_again() {
    let steps = vec![
        Step::Join { room: 2 },
        Step::Join { room: 2 },
        Step::DetachWithALoss { who: 48, rounds: 1 },
        Step::Join { room: 2 },
        Step::Resume { who: 4, token: Token::Newest, last: Last::Handled },
        Step::DetachWithALoss { who: 15, rounds: 1 },
        Step::Join { room: 2 },
        Step::Remove { who: 22 },
        Step::Resume { who: 13, token: Token::Newest, last: Last::Handled },
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(play(steps)).unwrap();
}
