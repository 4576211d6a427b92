//! What can be measured from outside, in the text format of Prometheus.

use patchcord_proto::v1::{LeaveReason, signal_response::rejected::Code};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{room::RelayKind, tokens::Denied};

/// A relay takes microseconds; what takes more waits for its reader.
const RELAY_SECONDS_BUCKETS: [f64; 16] = [
    2.5e-6, 5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3, 25e-3, 100e-3, 500e-3,
    1.0, 5.0,
];

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DoorLabel {
    door: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CompleteLabel {
    complete: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    what: &'static str,
    outcome: &'static str,
}

/// How reading something again ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// What was read is in force.
    Done,
    /// What was in force before still is.
    Failed,
}

/// All metrics of a server.
pub struct Metrics {
    registry: Registry,
    /// Open TCP connections of both doors.
    pub connections: Gauge,
    /// Open signaling streams.
    pub streams: Gauge,
    /// Peers in rooms.
    pub sessions: Gauge,
    /// Those of them whose stream is lost.
    pub detached: Gauge,
    /// Rooms; set when somebody looks.
    pub rooms: Gauge,
    /// Successful joins.
    pub joins: Counter,
    /// What did not fit into a peer's outbox.
    pub outbox_overflows: Counter,
    /// From a request's decoding to the addressee's stream.
    pub relay_seconds: Histogram,
    refused_connections: Family<ReasonLabel, Counter>,
    cut_connections: Family<ReasonLabel, Counter>,
    failed_handshakes: Family<ReasonLabel, Counter>,
    denied: Family<ReasonLabel, Counter>,
    relayed: Family<KindLabel, Counter>,
    rejections: Family<CodeLabel, Counter>,
    leaves: Family<ReasonLabel, Counter>,
    resumes: Family<CompleteLabel, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    denied_tokens: Family<ReasonLabel, Counter>,
    certificates: Family<DoorLabel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("patchcord");
        let connections = Gauge::default();
        registry.register("connections", "Open TCP connections of both doors", connections.clone());
        let streams = Gauge::default();
        registry.register("streams", "Open signaling streams", streams.clone());
        let sessions = Gauge::default();
        registry.register("sessions", "Peers in rooms", sessions.clone());
        let detached = Gauge::default();
        registry.register("detached_sessions", "Peers in rooms whose stream is lost", detached.clone());
        let rooms = Gauge::default();
        registry.register("rooms", "Rooms", rooms.clone());
        let joins = Counter::default();
        registry.register("joins", "Successful joins", joins.clone());
        let outbox_overflows = Counter::default();
        let help = "Messages that did not fit into the outbox of a peer that does not read";
        registry.register("outbox_overflows", help, outbox_overflows.clone());
        let relay_seconds = Histogram::new(RELAY_SECONDS_BUCKETS);
        let help = "Time from decoding a request to handing it to the addressee's stream";
        registry.register("relay_latency_seconds", help, relay_seconds.clone());
        let refused_connections = Family::default();
        let help = "Connections closed at once";
        registry.register("connections_refused", help, refused_connections.clone());
        let cut_connections = Family::default();
        let help = "Connections cut because nothing came in time";
        registry.register("connections_cut", help, cut_connections.clone());
        let failed_handshakes = Family::default();
        let help = "TLS handshakes that came to nothing";
        registry.register("tls_handshakes_failed", help, failed_handshakes.clone());
        let denied = Family::default();
        registry.register("admin_denied", "Requests at the admin door not let in", denied.clone());
        let relayed = Family::default();
        registry.register("relayed_messages", "Messages relayed", relayed.clone());
        let rejections = Family::default();
        registry.register("rejections", "Requests refused", rejections.clone());
        let leaves = Family::default();
        registry.register("leaves", "Sessions ended", leaves.clone());
        let resumes = Family::default();
        registry.register("resumes", "Sessions that went on with another stream", resumes.clone());
        let reloads = Family::default();
        registry.register("reloads", "What was read again from its files", reloads.clone());
        let denied_tokens = Family::default();
        registry.register("tokens_refused", "Tokens that were not taken", denied_tokens.clone());
        let certificates = Family::default();
        let help = "When the certificate of a door expires, in seconds since 1970";
        registry.register("tls_certificate_not_after_seconds", help, certificates.clone());
        Self {
            registry,
            connections,
            streams,
            sessions,
            detached,
            rooms,
            joins,
            outbox_overflows,
            relay_seconds,
            refused_connections,
            cut_connections,
            failed_handshakes,
            denied,
            relayed,
            rejections,
            leaves,
            resumes,
            reloads,
            denied_tokens,
            certificates,
        }
    }
}

impl Metrics {
    /// A connection was not taken.
    pub fn count_refused_connection(&self, reason: &'static str) {
        self.refused_connections.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// A connection was cut.
    pub fn count_cut_connection(&self, reason: &'static str) {
        self.cut_connections.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// A handshake of TLS came to nothing.
    pub fn count_failed_handshake(&self, reason: &'static str) {
        self.failed_handshakes.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Somebody was not let in at the admin door.
    pub fn count_denied(&self, reason: &'static str) {
        self.denied.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// A message was relayed.
    pub fn count_relayed(&self, kind: RelayKind) {
        let kind = match kind {
            RelayKind::Offer => "offer",
            RelayKind::Answer => "answer",
            RelayKind::Candidate => "candidate",
            RelayKind::Sealed => "sealed",
        };
        self.relayed.get_or_create(&KindLabel { kind }).inc();
    }

    /// A request was refused.
    pub fn count_rejection(&self, code: Code) {
        self.rejections.get_or_create(&CodeLabel { code: code.as_str_name() }).inc();
    }

    /// A session went on with another stream, with all that was sent or without some of it.
    pub fn count_resumed(&self, complete: bool) {
        let complete = if complete { "true" } else { "false" };
        self.resumes.get_or_create(&CompleteLabel { complete }).inc();
    }

    /// A session ended.
    pub fn count_leave(&self, reason: LeaveReason) {
        self.leaves.get_or_create(&ReasonLabel { reason: reason.as_str_name() }).inc();
    }

    /// Something was read again from its files, or could not be.
    pub fn count_reload(&self, what: &'static str, outcome: ReloadOutcome) {
        let outcome = match outcome {
            ReloadOutcome::Done => "done",
            ReloadOutcome::Failed => "failed",
        };
        self.reloads.get_or_create(&ReloadLabels { what, outcome }).inc();
    }

    /// A door shows a certificate that expires at `not_after_s`, in seconds since 1970.
    pub fn note_certificate(&self, door: &'static str, not_after_s: i64) {
        self.certificates.get_or_create(&DoorLabel { door }).set(not_after_s);
    }

    /// A token was not taken.
    pub fn count_denied_token(&self, denied: &Denied) {
        self.denied_tokens.get_or_create(&ReasonLabel { reason: denied.label() }).inc();
    }

    /// Everything, as [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

/// Counts something in a gauge for as long as it lives.
pub struct Counted(Gauge);

impl Counted {
    /// One more, until dropped.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_holds_what_was_counted() {
        let metrics = Metrics::default();
        let session = Counted::new(&metrics.sessions);
        metrics.joins.inc();
        metrics.count_relayed(RelayKind::Offer);
        metrics.count_rejection(Code::NoSuchPeer);
        metrics.count_leave(LeaveReason::TooSlow);
        metrics.count_resumed(true);
        metrics.relay_seconds.observe(0.000_05);
        let text = metrics.encode();
        for line in [
            "patchcord_sessions 1",
            "patchcord_joins_total 1",
            "patchcord_relayed_messages_total{kind=\"offer\"} 1",
            "patchcord_rejections_total{code=\"CODE_NO_SUCH_PEER\"} 1",
            "patchcord_leaves_total{reason=\"LEAVE_REASON_TOO_SLOW\"} 1",
            "patchcord_resumes_total{complete=\"true\"} 1",
            "patchcord_relay_latency_seconds_count 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is missing in:\n{text}");
        }
        drop(session);
        assert!(metrics.encode().contains("patchcord_sessions 0"));
    }
}
