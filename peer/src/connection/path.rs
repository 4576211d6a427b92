//! What the engine's statistics say about the path of a connection.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use webrtc::peer_connection::{RTCIceCandidateType, RTCStatsReport, RTCStatsReportEntry};

use crate::{
    CandidateType, Path,
    candidate_gate::{candidate_type, transport_address},
};

/// Candidates of the peer that are remembered; older ones are forgotten.
const SIGNALED_MAX: usize = 256;

/// What the peer's candidates said of their addresses. One whose check came before it was signaled is
/// peer-reflexive to the engine for good, though its address is that of a host or of a NAT.
#[derive(Debug, Default)]
pub(super) struct Signaled(VecDeque<(SocketAddr, CandidateType)>);

impl Signaled {
    pub(super) fn add(&mut self, candidate: &str) {
        let (Some(address), Some(kind)) = (transport_address(candidate), candidate_type(candidate)) else {
            return;
        };
        if self.0.len() == SIGNALED_MAX {
            self.0.pop_front();
        }
        self.0.push_back((address, kind));
    }

    /// As it was said last.
    pub(super) fn get(&self, address: SocketAddr) -> Option<CandidateType> {
        self.0.iter().rev().find(|(signaled, _)| *signaled == address).map(|(_, kind)| *kind)
    }
}

/// The selected candidate pair, once there is one.
pub(super) fn selected_path(report: &RTCStatsReport) -> Option<Path> {
    let pairs = report.iter().filter_map(|entry| match entry {
        RTCStatsReportEntry::IceCandidatePair(pair) if pair.nominated => Some(pair),
        _ => None,
    });
    let selected = report.iter().find_map(|entry| match entry {
        RTCStatsReportEntry::Transport(transport) => Some(transport.selected_candidate_pair_id.as_str()),
        _ => None,
    });
    let pair = pairs.max_by_key(|pair| (Some(pair.stats.id.as_str()) == selected, pair.packets_received))?;
    // A pair names its candidates without the prefix that their own entries carry.
    let candidate_type = |id: &str| {
        report.iter().find_map(|entry| match entry {
            RTCStatsReportEntry::LocalCandidate(candidate)
            | RTCStatsReportEntry::RemoteCandidate(candidate)
                if candidate.stats.id.ends_with(id) =>
            {
                Some(match candidate.candidate_type {
                    RTCIceCandidateType::Host => CandidateType::Host,
                    RTCIceCandidateType::Srflx => CandidateType::Srflx,
                    RTCIceCandidateType::Relay => CandidateType::Relay,
                    _ => CandidateType::Prflx,
                })
            }
            _ => None,
        })
    };
    let seconds = pair.current_round_trip_time;
    Some(Path {
        local: candidate_type(&pair.local_candidate_id)?,
        // The engine lists no candidate for a peer-reflexive one.
        remote: candidate_type(&pair.remote_candidate_id).unwrap_or(CandidateType::Prflx),
        round_trip: (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(port: usize, kind: &str) -> String {
        format!("candidate:1 1 udp 1 192.0.2.1 {port} typ {kind}")
    }

    #[test]
    fn the_last_candidates_are_known_by_their_addresses() {
        let mut signaled = Signaled::default();
        let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
        for text in ["", "candidate:1 1 udp 1 a.local 2000 typ host", &candidate(2000, "srflx")] {
            signaled.add(text);
        }
        assert_eq!(signaled.get(address(2000)), Some(CandidateType::Srflx));
        assert_eq!(signaled.get(address(2001)), None);
        signaled.add(&candidate(2000, "host"));
        assert_eq!(signaled.get(address(2000)), Some(CandidateType::Host));
        (3000..3000 + SIGNALED_MAX).for_each(|port| signaled.add(&candidate(port, "host")));
        assert_eq!((signaled.get(address(2000)), signaled.0.len()), (None, SIGNALED_MAX));
    }
}
