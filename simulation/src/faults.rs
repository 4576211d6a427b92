//! What goes wrong in a run, and when: made from the seed before the run begins.

use std::time::Duration;

use crate::random::Random;

/// Faults begin and end before this.
pub const HEALED_AT: Duration = Duration::from_secs(25);
const BEGIN_AT: Duration = Duration::from_secs(1);
const FAULTS_MAX: usize = 8;

/// Something that goes wrong, or well again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing passes between this peer and the server; what is on its way is lost.
    Partition(usize),
    /// Nothing passes from this peer to the server.
    PartitionUp(usize),
    /// Nothing passes from the server to this peer.
    PartitionDown(usize),
    /// It passes again.
    Repair(usize),
    /// What is sent between this peer and the server waits.
    Hold(usize),
    /// And goes on.
    Release(usize),
    /// This peer's connection breaks, seen by the peer first.
    CutByPeer(usize),
    /// This peer's connection breaks, seen by the server first.
    CutByServer(usize),
    /// Each packet between this peer and the server takes this long.
    Slow(usize, Duration),
    /// The server's memory is gone.
    CrashServer,
    /// The server starts again.
    StartServer,
    /// The server is told to stop, and another follows it.
    DrainServer,
    /// This peer's process is gone.
    CrashPeer(usize),
    /// It starts again.
    StartPeer(usize),
}

impl Step {
    /// What is counted; `None` for the end of a fault.
    pub fn fault(self) -> Option<&'static str> {
        Some(match self {
            Self::Partition(_) => "partition",
            Self::PartitionUp(_) => "partition of requests",
            Self::PartitionDown(_) => "partition of responses",
            Self::Hold(_) => "messages held",
            Self::CutByPeer(_) => "stream cut at the peer",
            Self::CutByServer(_) => "stream cut at the server",
            Self::Slow(_, delay) if !delay.is_zero() => "slow link",
            Self::CrashServer => "server crashed",
            Self::DrainServer => "server drained",
            Self::CrashPeer(_) => "peer crashed",
            _ => return None,
        })
    }
}

/// What happens and when, in order.
pub fn plan(random: &mut Random, peers: usize) -> Vec<(Duration, Step)> {
    let mut steps = Vec::new();
    for _ in 0..random.below(FAULTS_MAX + 1) {
        let at = random.millis(BEGIN_AT.as_millis() as u64, HEALED_AT.as_millis() as u64 - 5_000);
        // Short ones and long ones, beyond what keepalive and grace wait for.
        let lasting = if random.once_in(2) { random.millis(10, 1_500) } else { random.millis(1_500, 15_000) };
        let until = (at + lasting).min(HEALED_AT);
        let peer = random.below(peers);
        let (begin, end) = match random.below(20) {
            0..=2 => (Step::Partition(peer), Some(Step::Repair(peer))),
            3 => (Step::PartitionUp(peer), Some(Step::Repair(peer))),
            4 => (Step::PartitionDown(peer), Some(Step::Repair(peer))),
            5..=6 => (Step::Hold(peer), Some(Step::Release(peer))),
            7..=9 => (Step::CutByPeer(peer), None),
            10..=12 => (Step::CutByServer(peer), None),
            13..=14 => {
                let delay = random.millis(50, 1_500);
                (Step::Slow(peer, delay), Some(Step::Slow(peer, Duration::ZERO)))
            }
            15..=16 => (Step::CrashServer, Some(Step::StartServer)),
            17 => (Step::DrainServer, None),
            _ => (Step::CrashPeer(peer), Some(Step::StartPeer(peer))),
        };
        steps.push((at, begin));
        steps.extend(end.map(|end| (until, end)));
    }
    // Stable, so that a fault ends after it began.
    steps.sort_by_key(|(at, _)| *at);
    steps
}
