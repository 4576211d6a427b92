//! The words for connections, the same in every view: no state is told by colour or sign alone.

use std::time::Duration;

use patchcord_peer::{
    CandidateType, ConnectionReport, ConnectionState, ConnectionStep, LeaveReason, Path, TimelineEntry,
};

use super::{Roster, identity::known_words, roster::Member, sealed::verified_word};

/// The state of a connection as a word.
pub fn connection_word(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::New => "not connected",
        ConnectionState::Connecting => "connecting",
        ConnectionState::Connected => "connected",
        ConnectionState::Disconnected => "interrupted",
        ConnectionState::Failed => "failed",
        ConnectionState::Closed => "closed",
    }
}

/// Whether a path is direct or relayed, and its round trip: `direct 23 ms`.
pub fn path_words(path: &Path) -> String {
    let way = if path.is_relayed() { "relay" } else { "direct" };
    path.round_trip.map_or_else(|| way.into(), |round_trip| format!("{way} {}", milliseconds(round_trip)))
}

fn milliseconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1000.0;
    if milliseconds < 9.95 { format!("{milliseconds:.1} ms") } else { format!("{milliseconds:.0} ms") }
}

fn candidate_word(candidate: CandidateType) -> &'static str {
    match candidate {
        CandidateType::Host => "host",
        CandidateType::Srflx => "srflx",
        CandidateType::Prflx => "prflx",
        CandidateType::Relay => "relay",
    }
}

/// Why somebody left, after "left"; empty when it just did.
pub(super) fn leave_words(reason: LeaveReason) -> &'static str {
    match reason {
        LeaveReason::Left => "",
        LeaveReason::Disconnected => " (connection lost)",
        LeaveReason::TooSlow => " (too slow for the server)",
        LeaveReason::Removed => " (removed by an operator)",
        LeaveReason::RoomClosed => " (the room was closed)",
        LeaveReason::ServerShutdown => " (the server is shutting down)",
        LeaveReason::RulesBroken => " (broke the server's rules)",
        LeaveReason::Unknown => " (for a reason unknown to this version)",
    }
}

/// Why nothing is said to a peer or heard of it, and what changes that.
pub(super) fn apart_words(member: &Member) -> Option<&'static str> {
    match (member.refused, member.held) {
        (true, _) => Some("refused: /connect takes it back"),
        (false, true) => Some("blocked: /verify or /refuse decides"),
        (false, false) => None,
    }
}

/// A peer and its connection in one line, for `/who`.
pub(super) fn member_line(member: &Member, roster: &Roster) -> String {
    let path = member.path.map(|path| format!(", {}", path_words(&path))).unwrap_or_default();
    let signaling = if member.attached { "" } else { ", its signaling is away" };
    let state = connection_word(member.state);
    let blocked = apart_words(member).map(|words| format!(" ({words})")).unwrap_or_default();
    let known = known_words(member).map(|words| format!(", {words}")).unwrap_or_default();
    let verified = format!("{}{known}{blocked}", verified_word(member));
    format!("{}: {state}{path}, {verified}{signaling} (id {})", roster.handle(&member.id), member.id)
}

/// A connection in the lines of the network view: the peer with its state, then what is known.
pub(super) fn report_lines(report: &ConnectionReport, roster: &Roster) -> Vec<String> {
    let state = connection_word(report.state);
    let mut lines = vec![format!("{}: {state} for {}", roster.handle(&report.peer_id), since(report.since))];
    if let Some(path) = &report.path {
        let ends = (candidate_word(path.local), candidate_word(path.remote));
        lines.push(format!("  path: {}, {} to {}", path_words(path), ends.0, ends.1));
    }
    if let Some(opened_in) = report.opened_in {
        lines.push(format!("  opened in: {}", milliseconds(opened_in)));
    }
    let (ours, theirs) = (report.local_candidates, report.remote_candidates);
    lines.push(format!("  candidates: {ours} of ours, {theirs} of theirs"));
    if report.undelivered > 0 {
        lines.push(format!("  not yet delivered: {}", report.undelivered));
    }
    if let Some(advice) = report.advice.as_deref().or_else(|| advice(report)) {
        lines.push(format!("  {advice}"));
    }
    lines.extend(timeline_lines(&report.timeline, report.advice.as_deref()));
    lines
}

/// What the connection went through, each step with the time since the first that is kept. Why it failed is not
/// said again where it stands above as `advice`.
fn timeline_lines(timeline: &[TimelineEntry], advice: Option<&str>) -> impl Iterator<Item = String> {
    let begun = timeline.first().map(|entry| entry.at);
    timeline.iter().map(move |entry| {
        // A clock that was set back meanwhile shows nothing rather than nonsense.
        let elapsed = begun.and_then(|begun| entry.at.duration_since(begun).ok()).unwrap_or_default();
        let step = match &entry.step {
            ConnectionStep::Failed(why) if Some(why.as_str()) == advice => "failed".into(),
            step => step.to_string(),
        };
        format!("  +{:.3} s  {step}", elapsed.as_secs_f64())
    })
}

/// What to do about a connection that is not there.
fn advice(report: &ConnectionReport) -> Option<&'static str> {
    Some(match report.state {
        ConnectionState::New => "nobody has begun: /connect starts the chat",
        ConnectionState::Connecting if report.remote_candidates == 0 => {
            "no address of the peer is known yet: it may not have answered"
        }
        ConnectionState::Connecting | ConnectionState::Connected => return None,
        ConnectionState::Disconnected => "no packets come through: it may come back by itself",
        ConnectionState::Failed => {
            "no path was found: /connect tries again; \"patchcord doctor\" tells what stands in the way"
        }
        ConnectionState::Closed => "it was closed: /connect opens it again",
    })
}

fn since(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_direct_or_relay_and_the_round_trip() {
        let path = |local, ms: Option<u64>| Path {
            local,
            remote: CandidateType::Host,
            round_trip: ms.map(Duration::from_micros),
        };
        assert_eq!(path_words(&path(CandidateType::Host, Some(430))), "direct 0.4 ms");
        assert_eq!(path_words(&path(CandidateType::Relay, Some(81_200))), "relay 81 ms");
        assert_eq!(path_words(&path(CandidateType::Srflx, None)), "direct");
    }

    #[test]
    fn why_a_connection_failed_is_said_once() {
        let at = std::time::SystemTime::UNIX_EPOCH;
        let entry = |why: &str| TimelineEntry { at, step: ConnectionStep::Failed(why.into()) };
        let timeline = [entry("the first time"), entry("do this")];
        let lines: Vec<String> = timeline_lines(&timeline, Some("do this")).collect();
        assert_eq!(lines, ["  +0.000 s  failed: the first time", "  +0.000 s  failed"]);
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let words = [7, 67, 3667].map(|seconds| since(Duration::from_secs(seconds)));
        assert_eq!(words, ["7 s", "1 min 7 s", "1 h 1 min"]);
    }
}
