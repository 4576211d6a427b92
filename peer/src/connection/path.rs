//! What the engine's statistics say about the path of a connection.

use std::time::Duration;

use webrtc::peer_connection::{RTCIceCandidateType, RTCStatsReport, RTCStatsReportEntry};

use crate::{CandidateType, Path};

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
