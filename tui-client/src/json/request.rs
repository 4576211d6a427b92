//! What a program may say on stdin under `--json`, parsed line by line.

use patchcord_peer::{PeerId, Recipients, TextKind};
use serde::Deserialize;

const REF_BYTES_MAX: usize = 256;
const ERROR_CHARS_MAX: usize = 256;

/// One line of input, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Say something.
    Message {
        /// For whom.
        to: Recipients,
        /// How to show it.
        kind: TextKind,
        /// What.
        text: String,
        /// Comes back in `accepted` or `error`.
        reference: Option<String>,
    },
    /// Connect with a peer.
    Connect {
        /// With whom.
        peer_id: PeerId,
    },
    /// Be shown under another name.
    Rename {
        /// Which.
        name: String,
    },
    /// The string was the same on both sides.
    Verify {
        /// With whom.
        peer_id: PeerId,
        /// As `short_string` or `verified` told it.
        sas: String,
    },
    /// Disconnect a peer.
    Refuse {
        /// Whom.
        peer_id: PeerId,
    },
    /// Deliver what is queued and leave.
    Leave,
}

/// Why a line is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadRequest {
    /// For programs.
    pub(super) code: &'static str,
    /// For people.
    pub(super) message: String,
    /// As far as it could be read.
    pub(super) reference: Option<String>,
}

#[derive(Deserialize)]
struct RawRequest {
    v: Option<u64>,
    r#type: String,
    text: Option<String>,
    to: Option<String>,
    kind: Option<String>,
    peer_id: Option<String>,
    sas: Option<String>,
    name: Option<String>,
    r#ref: Option<String>,
}

impl Request {
    /// Understands one line. Fields that this version does not know are ignored.
    pub(super) fn parse(line: &str) -> Result<Self, BadRequest> {
        let raw: RawRequest = serde_json::from_str(line).map_err(|error| BadRequest {
            code: if error.is_data() { "invalid_request" } else { "invalid_json" },
            // The error may quote the line, which may be long.
            message: format!("not a request: {error}").chars().take(ERROR_CHARS_MAX).collect(),
            reference: None,
        })?;
        let reference = raw.r#ref.clone().filter(|reference| reference.len() <= REF_BYTES_MAX);
        Self::from_raw(raw).map_err(|(code, message)| BadRequest { code, message, reference })
    }

    fn from_raw(raw: RawRequest) -> Result<Self, (&'static str, String)> {
        if raw.v.is_some_and(|version| version != 1) {
            return Err(("unsupported_version", "this program speaks version 1".into()));
        }
        match raw.r#type.as_str() {
            "message" => Self::message(raw),
            "connect" => Ok(Self::Connect { peer_id: whom(raw.peer_id)? }),
            "verify" => Ok(Self::Verify { peer_id: whom(raw.peer_id)?, sas: required("sas", raw.sas)? }),
            "refuse" => Ok(Self::Refuse { peer_id: whom(raw.peer_id)? }),
            "rename" => Ok(Self::Rename { name: required("name", raw.name)? }),
            "leave" => Ok(Self::Leave),
            _ => {
                Err(("unknown_type", "\"type\" is message, connect, rename, verify, refuse or leave".into()))
            }
        }
    }

    fn message(raw: RawRequest) -> Result<Self, (&'static str, String)> {
        let to = match raw.to {
            None => Recipients::Everybody,
            Some(id) => Recipients::Peer(peer_id("to", &id)?),
        };
        let kind = match raw.kind.as_deref() {
            None | Some("plain") => TextKind::Plain,
            Some("action") => TextKind::Action,
            Some(_) => return Err(invalid("\"kind\" is \"plain\" or \"action\"")),
        };
        if raw.r#ref.as_ref().is_some_and(|reference| reference.len() > REF_BYTES_MAX) {
            return Err(invalid("\"ref\" is at most 256 bytes long"));
        }
        Ok(Self::Message { to, kind, text: required("text", raw.text)?, reference: raw.r#ref })
    }
}

fn required(field: &str, value: Option<String>) -> Result<String, (&'static str, String)> {
    value.ok_or_else(|| invalid(&format!("{field:?} is missing")))
}

fn whom(peer: Option<String>) -> Result<PeerId, (&'static str, String)> {
    peer_id("peer_id", &required("peer_id", peer)?)
}

fn peer_id(field: &str, text: &str) -> Result<PeerId, (&'static str, String)> {
    PeerId::parse(text).ok_or_else(|| invalid(&format!("{field:?} is no peer id")))
}

fn invalid(message: &str) -> (&'static str, String) {
    ("invalid_request", message.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(line: &str) -> &'static str {
        Request::parse(line).unwrap_err().code
    }

    #[test]
    fn the_documented_requests_are_understood() {
        assert_eq!(
            Request::parse(r#"{"type":"message","text":"hi"}"#),
            Ok(Request::Message {
                to: Recipients::Everybody,
                kind: TextKind::Plain,
                text: "hi".into(),
                reference: None
            })
        );
        let bo = PeerId::parse("k7m2abcdabcdabcd").unwrap();
        assert_eq!(
            Request::parse(
                r#"{"v":1,"type":"message","text":"waves","to":"k7m2abcdabcdabcd","kind":"action","ref":"7"}"#
            ),
            Ok(Request::Message {
                to: Recipients::Peer(bo.clone()),
                kind: TextKind::Action,
                text: "waves".into(),
                reference: Some("7".into())
            })
        );
        assert_eq!(
            Request::parse(r#"{"type":"connect","peer_id":"k7m2abcdabcdabcd"}"#),
            Ok(Request::Connect { peer_id: bo })
        );
        assert_eq!(Request::parse(r#" {"type":"leave","later":true} "#), Ok(Request::Leave));
    }

    #[test]
    fn garbage_has_a_code_of_its_own() {
        assert_eq!(code("hello"), "invalid_json");
        assert_eq!(code(""), "invalid_json");
        assert_eq!(code("{\"type\":\"message\""), "invalid_json");
        assert_eq!(code("[1]"), "invalid_request");
        assert_eq!(code("{}"), "invalid_request");
        assert_eq!(code(r#"{"type":"message"}"#), "invalid_request");
        assert_eq!(code(r#"{"type":"message","text":7}"#), "invalid_request");
        assert_eq!(code(r#"{"type":"message","text":"x","to":"not an id"}"#), "invalid_request");
        assert_eq!(code(r#"{"type":"message","text":"x","kind":"shout"}"#), "invalid_request");
        assert_eq!(code(r#"{"type":"dance"}"#), "unknown_type");
        assert_eq!(code(r#"{"v":2,"type":"leave"}"#), "unsupported_version");
    }

    #[test]
    fn an_error_names_the_request_it_is_about() {
        let bad = Request::parse(r#"{"type":"message","ref":"a7"}"#).unwrap_err();
        assert_eq!(bad.reference.as_deref(), Some("a7"));
    }

    proptest! {
        #[test]
        fn no_input_breaks_the_parser(line in ".*") {
            let _ = Request::parse(&line);
        }

        #[test]
        fn every_text_arrives_as_it_was_written(text in any::<String>(), reference in any::<Option<String>>()) {
            let line = serde_json::json!({"type": "message", "text": text, "ref": reference}).to_string();
            match Request::parse(&line) {
                Ok(Request::Message { text: parsed, reference: echoed, .. }) => {
                    prop_assert_eq!(parsed, text);
                    prop_assert_eq!(echoed, reference);
                }
                other => prop_assert!(reference.is_some_and(|r| r.len() > REF_BYTES_MAX), "{:?}", other),
            }
        }
    }
}
