//! Many histories, each a seed. `PATCHCORD_SIMULATION_SEEDS=2000` lives through so many, and
//! `PATCHCORD_SIMULATION_SEED=7` through that one alone, and tells all of it.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

use patchcord_simulation::{Outcome, run};

const SEEDS_DEFAULT: u64 = 12;
/// Every so often a seed is lived through again.
const REPEATED_ONE_IN: u64 = 10;

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|error| panic!("{name}={value}: {error}")))
}

/// What all runs came to.
#[derive(Default)]
struct Totals {
    failed: BTreeMap<u64, Vec<String>>,
    faults: BTreeMap<&'static str, u64>,
    figures: BTreeMap<&'static str, u64>,
}

impl Totals {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        for (fault, times) in outcome.faults {
            *self.faults.entry(fault).or_default() += times;
        }
        let counts = outcome.counts;
        for (figure, count) in [
            ("messages sent", counts.sent),
            ("messages received", counts.received),
            ("resumed", counts.resumed),
            ("resumed with a loss", counts.resumed_incomplete),
            ("rejoined", counts.rejoined),
            ("requests rejected", counts.rejected),
            ("losses told by the session", counts.lost),
        ] {
            *self.figures.entry(figure).or_default() += count;
        }
        if !outcome.violations.is_empty() {
            self.failed.insert(seed, outcome.violations);
        }
    }
}

fn live_through(first: u64, seeds: u64) -> Totals {
    let (next, totals) = (AtomicU64::new(first), Mutex::new(Totals::default()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    let mut outcome = run(seed, false);
                    if seed % REPEATED_ONE_IN == 0 && run(seed, false).hash != outcome.hash {
                        outcome.violations.push("the same seed was another history".to_owned());
                    }
                    totals.lock().unwrap().add(seed, outcome);
                }
            });
        }
    });
    totals.into_inner().unwrap()
}

#[test]
fn whatever_breaks_no_message_is_lost_untold_and_everybody_finds_everybody_again() {
    if let Some(seed) = variable("PATCHCORD_SIMULATION_SEED") {
        let outcome = run(seed, true);
        println!("{}", outcome.lines.join("\n"));
        println!("seed {seed}: hash {:016x}, {:?}, {:?}", outcome.hash, outcome.faults, outcome.counts);
        assert!(outcome.violations.is_empty(), "{}", outcome.violations.join("\n"));
        return;
    }
    let seeds = variable("PATCHCORD_SIMULATION_SEEDS").unwrap_or(SEEDS_DEFAULT);
    let since = Instant::now();
    let totals = live_through(0, seeds);
    let rate = seeds as f64 / since.elapsed().as_secs_f64();
    println!("{seeds} seeds, {rate:.1} a second\nfaults: {:?}\n{:?}", totals.faults, totals.figures);
    for (seed, violations) in &totals.failed {
        println!("PATCHCORD_SIMULATION_SEED={seed}\n  {}", violations.join("\n  "));
    }
    assert!(totals.failed.is_empty(), "{} of {seeds} seeds failed", totals.failed.len());
}
