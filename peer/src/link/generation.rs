//! What a link saw of one ICE generation: whose candidates came when, and when a pair was chosen. The engine checks no
//! pair any more once it has one, so that a relay chosen early stays, however good a path shows up later. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::CandidateType;

/// For checks of the direct pairs beside one round trip: ten rounds of them, of which one comes through even where a
/// fifth of all packets is lost.
const CHECKS: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Local,
    Remote,
}

#[derive(Debug, Default)]
pub(super) struct Generation {
    /// The first candidate of either side was told to the timeline.
    told: [bool; 2],
    /// When the first candidate of each kind of either side came, but relays'. A second server's answer may take long
    /// and seldom leads further than the first one's.
    direct: [Vec<(CandidateType, Instant)>; 2],
    selected: Option<Instant>,
    looks: u32,
}

impl Generation {
    /// Whether this candidate is the first of its side.
    pub(super) fn is_first(&mut self, side: Side) -> bool {
        !std::mem::replace(&mut self.told[side as usize], true)
    }

    /// The engine knows a candidate of this kind.
    pub(super) fn knows(&mut self, side: Side, kind: CandidateType, now: Instant) {
        let direct = &mut self.direct[side as usize];
        if kind != CandidateType::Relay && direct.iter().all(|(known, _)| *known != kind) {
            direct.push((kind, now));
        }
    }

    /// The engine has chosen a pair; it stays with the first.
    pub(super) fn selects(&mut self, now: Instant) {
        self.selected.get_or_insert(now);
    }

    /// The how manieth look at the path this is.
    pub(super) fn look(&mut self) -> u32 {
        self.looks = self.looks.saturating_add(1);
        self.looks
    }

    /// Whether the pair was chosen before all that might be direct could be checked.
    pub(super) fn was_hurried(&self, round_trip: Option<Duration>) -> bool {
        let last = |side: Side| self.direct[side as usize].iter().map(|(_, at)| *at).max();
        let Some((local, remote)) = last(Side::Local).zip(last(Side::Remote)) else { return false };
        let fair = local.max(remote) + CHECKS + round_trip.unwrap_or_default();
        self.selected.is_some_and(|selected| selected < fair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hurried(local: u64, remote: u64, selected: u64, round_trip: u64) -> bool {
        let (begin, mut generation) = (Instant::now(), Generation::default());
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        generation.knows(Side::Local, CandidateType::Host, at(0));
        generation.knows(Side::Remote, CandidateType::Srflx, at(remote));
        generation.knows(Side::Local, CandidateType::Srflx, at(local));
        generation.knows(Side::Local, CandidateType::Relay, at(5000));
        generation.knows(Side::Local, CandidateType::Srflx, at(5000));
        generation.selects(at(selected));
        generation.selects(at(6000));
        generation.was_hurried(Some(Duration::from_millis(round_trip)))
    }

    #[test]
    fn a_pair_is_hurried_if_the_last_direct_candidate_came_shortly_before_it_or_after() {
        assert!(!hurried(20, 80, 500, 100));
        assert!(hurried(320, 80, 500, 0) && hurried(80, 320, 500, 0));
        assert!(hurried(20, 80, 500, 250), "checks take longer than that");
        assert!(hurried(20, 900, 500, 0) && hurried(20, 80, 0, 0));
    }

    #[test]
    fn where_a_side_has_nothing_but_relays_nothing_was_hurried() {
        let (now, mut generation) = (Instant::now(), Generation::default());
        generation.knows(Side::Local, CandidateType::Host, now);
        generation.knows(Side::Remote, CandidateType::Relay, now);
        generation.selects(now);
        assert!(!generation.was_hurried(None));
        generation.knows(Side::Remote, CandidateType::Prflx, now);
        assert!(generation.was_hurried(None));
        assert!(!Generation::default().was_hurried(None));
    }

    #[test]
    fn looks_and_first_candidates_are_counted_for_each_generation() {
        let mut generation = Generation::default();
        assert_eq!((generation.look(), generation.look()), (1, 2));
        for side in [Side::Local, Side::Remote] {
            assert!(generation.is_first(side) && !generation.is_first(side));
        }
    }
}
