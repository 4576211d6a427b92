//! Which fault comes when, to whom and for how long: all from one seed.

use std::time::Duration;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Some connections are cut, wherever they are.
    Cut,
    /// All are.
    CutAll,
    /// Some connections carry nothing for a while.
    Hold,
    /// Nobody gets through to the server for a while; connections that are open stay so.
    Refuse,
    /// A process of peers is stopped for a while (SIGSTOP).
    StopPeers,
    /// A process of peers is killed (SIGKILL), and others come in their place.
    KillPeers,
    /// The server is stopped for a while (SIGSTOP).
    StopServer,
    /// The server is killed (SIGKILL) and starts again at the same port, remembering nothing.
    KillServer,
}

/// How a fault ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Undo {
    Nothing,
    Admit,
    ContinuePeers(usize),
    StartPeers(usize),
    ContinueServer,
    StartServer,
}

/// Each with how often it comes among a hundred, and how many milliseconds it lasts. The longest are within
/// what the contract lets a session survive: 5 s without reading, 12 s without a sign of life.
const FAULTS: &[(Fault, u32, (u64, u64))] = &[
    (Fault::Cut, 45, (0, 0)),
    (Fault::CutAll, 5, (0, 0)),
    (Fault::Hold, 15, (100, 3000)),
    (Fault::Refuse, 10, (100, 1500)),
    (Fault::StopPeers, 12, (100, 4000)),
    (Fault::KillPeers, 3, (0, 1000)),
    (Fault::StopServer, 6, (100, 3000)),
    (Fault::KillServer, 4, (0, 1500)),
];

const WAIT_MS: (u64, u64) = (20, 900);

/// In a cut that is not of all, at most so many.
const SOME_MAX: usize = 8;

/// Bytes that a connection still carries before it is cut: up to some messages and a part of one.
const BYTES_MAX: usize = 3000;

/// The faults to come.
pub(crate) struct Plan(fastrand::Rng);

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// The next fault and how long to wait before it. The server keeps its memory in every other round, so that
    /// sessions last.
    pub(crate) fn next(&mut self, round: usize) -> (Duration, Fault) {
        let wait = Duration::from_millis(self.0.u64(WAIT_MS.0..=WAIT_MS.1));
        let mut chosen = self.0.u32(..100);
        for (fault, share, _) in FAULTS {
            match chosen.checked_sub(*share) {
                Some(rest) => chosen = rest,
                None if *fault == Fault::KillServer && !round.is_multiple_of(2) => break,
                None => return (wait, *fault),
            }
        }
        (wait, Fault::Cut)
    }

    pub(crate) fn lasts(&mut self, fault: Fault) -> Duration {
        let range = FAULTS.iter().find(|(other, ..)| *other == fault).map(|(.., range)| *range);
        let (min, max) = range.unwrap_or_default();
        Duration::from_millis(self.0.u64(min..=max))
    }

    pub(crate) fn some(&mut self, mut from: Vec<u64>, all: bool) -> Vec<u64> {
        self.0.shuffle(&mut from);
        if !all {
            from.truncate(self.0.usize(1..=SOME_MAX));
        }
        from
    }

    pub(crate) fn index(&mut self, below: usize) -> usize {
        self.0.usize(..below)
    }

    pub(crate) fn bytes(&mut self) -> usize {
        self.0.usize(..BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_has_the_same_faults_and_every_kind_of_them() {
        let faults = |seed, round| {
            let mut plan = Plan::new(seed);
            (0..2000).map(|_| plan.next(round)).collect::<Vec<_>>()
        };
        assert_eq!(faults(7, 2), faults(7, 2));
        assert_ne!(faults(7, 2), faults(8, 2));
        let kinds: BTreeSet<Fault> = faults(7, 2).into_iter().map(|(_, fault)| fault).collect();
        assert_eq!(kinds.len(), FAULTS.len());
        assert!(faults(7, 1).iter().all(|(_, fault)| *fault != Fault::KillServer));
    }

    #[test]
    fn shares_are_of_a_hundred() {
        assert_eq!(FAULTS.iter().map(|(_, share, _)| share).sum::<u32>(), 100);
    }
}
