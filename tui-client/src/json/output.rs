//! What `--json` says on stdout: one variant for each `"type"`, as the table in the help names them.

use std::time::SystemTime;

use patchcord_peer::{
    CandidateType, ConnectionState, DeliveryState, LeaveReason, Path, Peer, RoomInfo, SendError, TextKind,
};
use serde::{Serialize, Serializer};

use super::known::OutputKnown;

/// One line of output. Borrows what it tells of. [`super::JSON_HELP`] documents every type and field.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Output<'a> {
    Hosting {
        url: &'a str,
        join_command: &'a str,
    },
    Code {
        code: &'a str,
    },
    Joined {
        room: &'a str,
        peer_id: &'a str,
        name: &'a str,
        server: &'a str,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        permissions: &'a [String],
        peers: Vec<OutputPeer<'a>>,
    },
    PeerJoined(OutputPeer<'a>),
    PeerUpdated(OutputPeer<'a>),
    PeerLeft {
        peer_id: &'a str,
        name: &'a str,
        reason: &'static str,
    },
    Signaling {
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    Rejoined {
        peer_id: &'a str,
    },
    Connection {
        peer_id: &'a str,
        state: &'static str,
        #[serde(flatten)]
        path: OutputPath,
    },
    ChannelOpen {
        peer_id: &'a str,
        name: &'a str,
    },
    Verified {
        peer_id: &'a str,
        sas: String,
    },
    ShortString {
        peer_id: &'a str,
        sas: String,
        changed: bool,
    },
    Identity {
        peer_id: &'a str,
        key: Option<String>,
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        known: Option<OutputKnown>,
    },
    Decided {
        peer_id: &'a str,
        outcome: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
    },
    ChannelClosed {
        peer_id: &'a str,
    },
    Message {
        id: u64,
        peer_id: &'a str,
        name: &'a str,
        text: &'a str,
        kind: &'static str,
        direct: bool,
        #[serde(serialize_with = "rfc3339")]
        sent_at: SystemTime,
    },
    Typing {
        peer_id: &'a str,
        active: bool,
    },
    Accepted {
        id: u64,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    Receipt {
        id: u64,
        peer_id: &'a str,
        state: &'static str,
    },
    Error {
        code: &'a str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        peer_id: Option<&'a str>,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    Ended {
        reason: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
        undelivered: Vec<Undelivered<'a>>,
    },
}

/// A member of the room.
#[derive(Debug, Serialize)]
pub(crate) struct OutputPeer<'a> {
    peer_id: &'a str,
    name: &'a str,
    #[serde(serialize_with = "rfc3339")]
    joined_at: SystemTime,
    attached: bool,
}

/// A text that did not reach one of its receivers.
#[derive(Debug, Serialize)]
pub(crate) struct Undelivered<'a> {
    /// Which.
    pub(crate) id: u64,
    /// Who lacks it.
    pub(crate) peer_id: &'a str,
}

/// `path` and, once it is known, what it is made of.
#[derive(Debug, Serialize)]
pub(crate) struct OutputPath {
    path: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip_ms: Option<f64>,
}

impl Output<'_> {
    /// The object on one line, the line feed included.
    pub(crate) fn to_line(&self) -> Vec<u8> {
        super::versioned_line(self)
    }
}

impl<'a> Output<'a> {
    /// `joined` for what the server said.
    pub(crate) fn joined(info: &'a RoomInfo) -> Self {
        Self::Joined {
            room: &info.room,
            peer_id: info.peer_id.as_str(),
            name: &info.display_name,
            server: &info.server,
            permissions: &info.permissions,
            peers: info.peers.iter().map(OutputPeer::from).collect(),
        }
    }
}

impl<'a> From<&'a Peer> for OutputPeer<'a> {
    fn from(peer: &'a Peer) -> Self {
        Self {
            peer_id: peer.id.as_str(),
            name: peer.display_name.as_raw(),
            joined_at: peer.joined_at,
            attached: peer.attached,
        }
    }
}

impl From<Option<Path>> for OutputPath {
    fn from(path: Option<Path>) -> Self {
        Self {
            path: path.map(|path| if path.is_relayed() { "relay" } else { "direct" }),
            local: path.map(|path| candidate_type(path.local)),
            remote: path.map(|path| candidate_type(path.remote)),
            round_trip_ms: path
                .and_then(|path| path.round_trip)
                .map(|round_trip| (round_trip.as_secs_f64() * 1e6).round() / 1e3),
        }
    }
}

pub(crate) fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*time))
}

/// RFC 3339 in UTC with milliseconds. A time that the calendar cannot hold (a peer may claim any) is the epoch.
fn timestamp(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or_default();
    format!("{time:.3}")
}

fn candidate_type(candidate: CandidateType) -> &'static str {
    match candidate {
        CandidateType::Host => "host",
        CandidateType::Srflx => "srflx",
        CandidateType::Prflx => "prflx",
        CandidateType::Relay => "relay",
    }
}

pub(super) fn connection_state(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::New => "new",
        ConnectionState::Connecting => "connecting",
        ConnectionState::Connected => "connected",
        ConnectionState::Disconnected => "disconnected",
        ConnectionState::Failed => "failed",
        ConnectionState::Closed => "closed",
    }
}

pub(super) fn delivery_state(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Queued => "queued",
        DeliveryState::Sent => "sent",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Failed => "failed",
    }
}

pub(crate) fn leave_reason(reason: LeaveReason) -> &'static str {
    match reason {
        LeaveReason::Left => "left",
        LeaveReason::Disconnected => "disconnected",
        LeaveReason::TooSlow => "too_slow",
        LeaveReason::Removed => "removed",
        LeaveReason::RoomClosed => "room_closed",
        LeaveReason::ServerShutdown => "server_shutdown",
        LeaveReason::RulesBroken => "rules_broken",
        LeaveReason::Unknown => "unknown",
    }
}

pub(super) fn text_kind(kind: TextKind) -> &'static str {
    match kind {
        TextKind::Plain => "plain",
        TextKind::Action => "action",
    }
}

pub(super) fn send_error_code(error: &SendError) -> &'static str {
    match error {
        SendError::NobodyHere => "nobody_here",
        SendError::NoSuchPeer => "no_such_peer",
        SendError::Empty => "empty",
        SendError::TooLong { .. } => "too_long",
        SendError::QueueFull { .. } => "queue_full",
        SendError::Ended => "room_ended",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn line(output: &Output<'_>) -> String {
        String::from_utf8(output.to_line()).unwrap()
    }

    #[test]
    fn golden_lines() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
        let peer = OutputPeer { peer_id: "k7m2", name: "bo", joined_at: at, attached: true };
        let message = Output::Message {
            id: 7,
            peer_id: "k7m2",
            name: "bo",
            text: "hi \u{1b}[31m\u{9b}",
            kind: "plain",
            direct: false,
            sent_at: at,
        };
        let path = Path {
            local: CandidateType::Host,
            remote: CandidateType::Relay,
            round_trip: Some(Duration::from_micros(1234)),
        };
        let connection = |path: Option<Path>| Output::Connection {
            peer_id: "k7m2",
            state: "connected",
            path: path.into(),
        };
        let cases: [(Output<'_>, &str); 9] = [
            (
                Output::PeerJoined(peer),
                r#"{"v":1,"type":"peer_joined","peer_id":"k7m2","name":"bo","joined_at":"2023-11-14T22:13:20.123Z","attached":true}"#,
            ),
            (
                message,
                r#"{"v":1,"type":"message","id":7,"peer_id":"k7m2","name":"bo","text":"hi \u001b[31m\u009b","kind":"plain","direct":false,"sent_at":"2023-11-14T22:13:20.123Z"}"#,
            ),
            (
                connection(Some(path)),
                r#"{"v":1,"type":"connection","peer_id":"k7m2","state":"connected","path":"relay","local":"host","remote":"relay","round_trip_ms":1.234}"#,
            ),
            (
                connection(None),
                r#"{"v":1,"type":"connection","peer_id":"k7m2","state":"connected","path":null}"#,
            ),
            (Output::Accepted { id: 1, reference: None }, r#"{"v":1,"type":"accepted","id":1}"#),
            (
                Output::Accepted { id: 1, reference: Some("a") },
                r#"{"v":1,"type":"accepted","id":1,"ref":"a"}"#,
            ),
            (
                Output::Receipt { id: 1, peer_id: "k7m2", state: "delivered" },
                r#"{"v":1,"type":"receipt","id":1,"peer_id":"k7m2","state":"delivered"}"#,
            ),
            (
                Output::Error { code: "nobody_here", message: "m", peer_id: None, reference: None },
                r#"{"v":1,"type":"error","code":"nobody_here","message":"m"}"#,
            ),
            (
                Output::Ended {
                    reason: "left",
                    message: None,
                    undelivered: vec![Undelivered { id: 3, peer_id: "k7m2" }],
                },
                r#"{"v":1,"type":"ended","reason":"left","undelivered":[{"id":3,"peer_id":"k7m2"}]}"#,
            ),
        ];
        for (output, expected) in cases {
            assert_eq!(line(&output), format!("{expected}\n"));
        }
    }

    #[test]
    fn what_a_token_permits_is_told_where_it_limits() {
        let info = |permissions: &[&str]| RoomInfo {
            peer_id: patchcord_peer::PeerId::parse("k7m2").unwrap(),
            room: "lobby".into(),
            display_name: "bo".into(),
            peers: Vec::new(),
            server: "s".into(),
            permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        };
        let beginning = r#"{"v":1,"type":"joined","room":"lobby","peer_id":"k7m2","name":"bo","server":"s","#;
        let free = line(&Output::joined(&info(&[])));
        assert_eq!(free, format!("{beginning}\"peers\":[]}}\n"));
        let limited = line(&Output::joined(&info(&["join", "send"])));
        assert_eq!(limited, format!("{beginning}\"permissions\":[\"join\",\"send\"],\"peers\":[]}}\n"));
    }

    #[test]
    fn golden_lines_of_sealed_rooms() {
        let code = Output::Code { code: "7k3m9xqd-acid-rope-yard" };
        assert_eq!(line(&code), "{\"v\":1,\"type\":\"code\",\"code\":\"7k3m9xqd-acid-rope-yard\"}\n");
        let verified = Output::Verified { peer_id: "k7m2", sas: "acid rope yard zoom".into() };
        let expected = r#"{"v":1,"type":"verified","peer_id":"k7m2","sas":"acid rope yard zoom"}"#;
        assert_eq!(line(&verified), format!("{expected}\n"));
        let open = Output::ShortString { peer_id: "k7m2", sas: "acid rope yard zoom".into(), changed: false };
        let expected =
            r#"{"v":1,"type":"short_string","peer_id":"k7m2","sas":"acid rope yard zoom","changed":false}"#;
        assert_eq!(line(&open), format!("{expected}\n"));
    }

    #[test]
    fn a_time_that_no_calendar_holds_does_not_end_the_session() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::MAX / 4);
        assert_eq!(timestamp(far), "1970-01-01T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn what_was_said_comes_back_and_stays_on_its_line(text in any::<String>(), name in any::<String>()) {
            let output = Output::Message {
                id: 1, peer_id: "k7m2", name: &name, text: &text, kind: "plain", direct: true,
                sent_at: SystemTime::UNIX_EPOCH,
            };
            let line = line(&output);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(!line.trim_end_matches('\n').chars().any(char::is_control));
            let value: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&value["text"], &json!(text));
            prop_assert_eq!(&value["name"], &json!(name));
            prop_assert_eq!(&value["v"], &json!(1));
        }
    }
}
