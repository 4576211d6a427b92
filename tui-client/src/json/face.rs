//! Turns events into output and input into requests; keeps names only, to tell who wrote.

use std::collections::HashMap;

use patchcord_peer::{
    Code, Event, Judgement, MessageId, Peer, PeerId, RoomInfo, SendError, ShortString, Shown, SignalingState,
};

use super::{
    output::{
        Output, OutputPeer, Undelivered, connection_state, delivery_state, leave_reason, send_error_code,
        text_kind,
    },
    request::{self, BadRequest},
};
use crate::{
    headless::{Answer, Ending, Face, LINE_BYTES_MAX, Line, Printed, Request},
    host::Hosting,
    identity::{Decision, KnownPeer, Opinion, Outcome, Trust},
};

/// What is to be verified was not told last of this peer.
struct OtherSas {
    peer_id: PeerId,
}

/// The session as JSON lines.
#[derive(Debug, Default)]
pub(crate) struct JsonFace {
    hosting: Option<Hosting>,
    /// That nobody else has yet.
    code: Option<Code>,
    /// Of the peers in the room: as many as the server lets in.
    names: HashMap<PeerId, String>,
    /// What each of them showed, and what can be compared with it.
    shown: HashMap<PeerId, (Option<Shown>, Option<ShortString>)>,
    trust: Trust,
}

impl JsonFace {
    pub(crate) fn new(hosting: Option<Hosting>, code: Option<Code>, trust: Trust) -> Self {
        Self { hosting, code, trust, ..Self::default() }
    }

    fn peer_is(&mut self, peer: &Peer) {
        self.names.insert(peer.id.clone(), peer.display_name.as_raw().to_owned());
    }

    fn name(&self, peer_id: &PeerId) -> &str {
        self.names.get(peer_id).map_or("", String::as_str)
    }

    fn refused(error: &SendError, reference: Option<&str>, printed: &mut Printed) {
        let peer_id = match error {
            SendError::QueueFull { peer_id } => Some(peer_id.as_str()),
            _ => None,
        };
        say(
            printed,
            Output::Error { code: send_error_code(error), message: &error.to_string(), peer_id, reference },
        );
    }
}

fn say(printed: &mut Printed, output: Output<'_>) {
    printed.out(output.to_line());
}

impl Face for JsonFace {
    /// The `ref` of a message.
    type Ticket = Option<String>;

    fn joined(&mut self, info: &RoomInfo, printed: &mut Printed) {
        if let Some(Hosting { url, join_command, .. }) = &self.hosting {
            say(printed, Output::Hosting { url, join_command });
        }
        if let Some(code) = &self.code {
            say(printed, Output::Code { code: &code.reveal() });
        }
        info.peers.iter().for_each(|peer| self.peer_is(peer));
        say(printed, Output::joined(info));
    }

    fn event(&mut self, event: Event, printed: &mut Printed) {
        match &event {
            Event::PeerJoined(peer) | Event::PeerUpdated(peer) => self.peer_is(peer),
            Event::ChannelOpen { peer_id, display_name } => {
                self.names.insert(peer_id.clone(), display_name.as_raw().to_owned());
            }
            Event::Identity { shown, .. } => {
                let known = self.shown.entry(shown.peer_id.clone()).or_default();
                let other = known.0.as_ref().is_some_and(|before| before.certificate != shown.certificate);
                known.1 = known.1.filter(|_| !other);
                known.0 = Some(shown.clone());
            }
            Event::ShortString { peer_id, string, .. } | Event::Verified { peer_id, string } => {
                self.shown.entry(peer_id.clone()).or_default().1 = Some(*string);
            }
            _ => {}
        }
        if let Some(output) = self.output(&event) {
            say(printed, output);
        }
        if let Event::PeerLeft { peer_id, .. } = &event {
            self.names.remove(peer_id);
            self.shown.remove(peer_id);
        }
    }

    fn line(&mut self, line: Line, printed: &mut Printed) -> Option<Vec<Request<Self::Ticket>>> {
        let request = match line {
            Line::Text(line) => request::Request::parse(&line),
            Line::TooLong => Err(BadRequest {
                code: "line_too_long",
                message: format!("a line is at most {LINE_BYTES_MAX} bytes long; this one was skipped"),
                reference: None,
            }),
            Line::NotUtf8 => Err(BadRequest {
                code: "not_utf8",
                message: "a line is UTF-8; this one was skipped".into(),
                reference: None,
            }),
            Line::End => Ok(request::Request::Leave),
        };
        match request {
            Ok(request) => match self.request(request) {
                Ok(request) => Some(vec![request]),
                Err(OtherSas { peer_id }) => {
                    let message = "\"sas\" is not what was told last of this peer: compare again";
                    let (code, peer_id) = ("other_sas", Some(peer_id.as_str()));
                    say(printed, Output::Error { code, message, peer_id, reference: None });
                    None
                }
            },
            Err(BadRequest { code, message, reference }) => {
                let reference = reference.as_deref();
                say(printed, Output::Error { code, message: &message, peer_id: None, reference });
                None
            }
        }
    }

    fn answer(&mut self, answer: Answer<Self::Ticket>, printed: &mut Printed) {
        match answer {
            Answer::Sent { ticket, result: Ok(MessageId(id)) } => {
                say(printed, Output::Accepted { id, reference: ticket.as_deref() });
            }
            Answer::Sent { ticket, result: Err(error) } => Self::refused(&error, ticket.as_deref(), printed),
            Answer::Connecting { result: Err(error), .. } | Answer::Renamed { result: Err(error), .. } => {
                Self::refused(&error, None, printed);
            }
            // What comes of it is told by events.
            Answer::Connecting { result: Ok(()), .. } | Answer::Renamed { result: Ok(()), .. } => {}
            Answer::Connections(_) => {}
            Answer::Decided { peer_id, result: Ok(outcome), .. } => {
                let (outcome, message) = match outcome {
                    Outcome::Remembered { forgotten } => {
                        let keys: Vec<String> = forgotten.iter().map(KnownPeer::forgotten_words).collect();
                        ("remembered", Some(keys.join("; ")).filter(|keys| !keys.is_empty()))
                    }
                    Outcome::Session { why } => ("session", Some(why)),
                    Outcome::Refused => ("refused", None),
                };
                let message = message.as_deref();
                say(printed, Output::Decided { peer_id: peer_id.as_str(), outcome, message });
            }
            Answer::Decided { peer_id, result: Err(error), .. } => {
                let (code, message) = (send_error_code(&error), &error.to_string());
                say(
                    printed,
                    Output::Error { code, message, peer_id: Some(peer_id.as_str()), reference: None },
                );
            }
        }
    }

    fn leaving(&mut self, _: &mut Printed) {}

    fn ended(&mut self, ending: &Ending, undelivered: &[(MessageId, PeerId)], printed: &mut Printed) {
        if !undelivered.is_empty() {
            let message = format!("{} deliveries did not happen before the room was left", undelivered.len());
            say(
                printed,
                Output::Error { code: "undelivered", message: &message, peer_id: None, reference: None },
            );
        }
        let message = match ending {
            Ending::Removed { message } => Some(message.as_str()),
            _ => None,
        };
        let undelivered = undelivered
            .iter()
            .map(|(id, peer_id)| Undelivered { id: id.0, peer_id: peer_id.as_str() })
            .collect();
        say(printed, Output::Ended { reason: ending.as_str(), message, undelivered });
    }
}

impl JsonFace {
    /// What is asked of the room; an error says why nothing is.
    fn request(&self, request: request::Request) -> Result<Request<Option<String>>, OtherSas> {
        Ok(match request {
            request::Request::Message { to, kind, text, reference } => {
                Request::Send { ticket: reference, to, kind, text }
            }
            request::Request::Connect { peer_id } => Request::Connect { peer_id },
            request::Request::Rename { name } => Request::Rename { name },
            request::Request::Verify { peer_id, sas } => match self.shown.get(&peer_id) {
                Some((Some(shown), Some(string))) if string.to_string() == sas => {
                    let decision = Decision::Verified { shown: shown.clone(), string: *string };
                    Request::Decide { peer_id, decision }
                }
                _ => return Err(OtherSas { peer_id }),
            },
            request::Request::Refuse { peer_id } => Request::Decide { peer_id, decision: Decision::Refuse },
            request::Request::Leave => Request::Leave,
        })
    }

    fn identity<'a>(&self, shown: &'a Shown, judgement: Judgement) -> Output<'a> {
        let known = match self.trust.opinion(shown) {
            Opinion::Known(known) if judgement == Judgement::Known => Some(known),
            Opinion::CalledLike(known) if judgement == Judgement::Held => Some(known),
            _ => None,
        };
        Output::Identity {
            peer_id: shown.peer_id.as_str(),
            key: shown.key.map(|key| key.to_string()),
            state: match judgement {
                Judgement::Known => "known",
                Judgement::New => "new",
                Judgement::Held => "held",
            },
            known: known.map(Into::into),
        }
    }
}

impl JsonFace {
    fn output<'a>(&'a self, event: &'a Event) -> Option<Output<'a>> {
        Some(match event {
            Event::Signaling(SignalingState::Connected) => {
                Output::Signaling { state: "connected", reason: None }
            }
            Event::Signaling(SignalingState::Away { reason }) => {
                Output::Signaling { state: "away", reason: Some(reason) }
            }
            Event::Signaling(SignalingState::Resuming) => {
                Output::Signaling { state: "resuming", reason: None }
            }
            Event::Signaling(SignalingState::Gone { reason }) => {
                Output::Signaling { state: "gone", reason: Some(reason) }
            }
            Event::Rejoined { peer_id } => Output::Rejoined { peer_id: peer_id.as_str() },
            Event::PeerJoined(peer) => Output::PeerJoined(OutputPeer::from(peer)),
            Event::PeerUpdated(peer) => Output::PeerUpdated(OutputPeer::from(peer)),
            Event::PeerLeft { peer_id, reason } => Output::PeerLeft {
                peer_id: peer_id.as_str(),
                name: self.name(peer_id),
                reason: leave_reason(*reason),
            },
            Event::Connection { peer_id, state, path } => Output::Connection {
                peer_id: peer_id.as_str(),
                state: connection_state(*state),
                path: (*path).into(),
            },
            Event::ChannelOpen { peer_id, display_name } => {
                Output::ChannelOpen { peer_id: peer_id.as_str(), name: display_name.as_raw() }
            }
            Event::Identity { shown, judgement } => self.identity(shown, *judgement),
            Event::ShortString { peer_id, string, changed } => {
                Output::ShortString { peer_id: peer_id.as_str(), sas: string.to_string(), changed: *changed }
            }
            Event::Verified { peer_id, string } => {
                Output::Verified { peer_id: peer_id.as_str(), sas: string.to_string() }
            }
            Event::ChannelClosed { peer_id } => Output::ChannelClosed { peer_id: peer_id.as_str() },
            Event::Message(message) => Output::Message {
                id: message.id.0,
                peer_id: message.peer_id.as_str(),
                name: self.name(&message.peer_id),
                text: message.text.as_raw(),
                kind: text_kind(message.kind),
                direct: message.direct,
                sent_at: message.sent_at,
            },
            Event::Receipt { message_id, peer_id, state } => {
                Output::Receipt { id: message_id.0, peer_id: peer_id.as_str(), state: delivery_state(*state) }
            }
            Event::Typing { peer_id, active } => {
                Output::Typing { peer_id: peer_id.as_str(), active: *active }
            }
            Event::Problem { code, peer_id, message } => Output::Error {
                code: code.as_str(),
                message,
                peer_id: peer_id.as_ref().map(PeerId::as_str),
                reference: None,
            },
            // `ended` tells it, when all is over; what later versions of the library tell has no line yet.
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use patchcord_peer::Identity;
    use serde_json::Value;

    use super::*;
    use crate::{identity::How, safe_text::SafeText};

    #[test]
    fn whatever_comes_of_a_decision_names_the_peer() {
        let (mut face, mut printed) = (JsonFace::default(), Printed::default());
        let line = r#"{"type":"verify","peer_id":"bbbb1111","sas":"acid rope yard zoom"}"#;
        assert!(face.line(Line::Text(line.into()), &mut printed).is_none());
        let (key, name) = (Identity::from_seed(&[1; 32]).key(), SafeText::line("bo"));
        let known = KnownPeer { key, how: How::Compared, at: Timestamp::UNIX_EPOCH, name };
        let old = format!("the key that was known as bo before, {}, is forgotten", key.short());
        for result in [Err(SendError::NoSuchPeer), Ok(Outcome::Remembered { forgotten: vec![known] })] {
            let peer_id = PeerId::parse("bbbb1111").unwrap();
            face.answer(Answer::Decided { peer_id, decision: Decision::Refuse, result }, &mut printed);
        }
        let (out, _) = printed.take();
        let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(|line| line["peer_id"] == "bbbb1111"), "{out}");
        assert_eq!((&lines[0]["code"], &lines[1]["code"]), (&"other_sas".into(), &"no_such_peer".into()));
        assert_eq!((&lines[2]["outcome"], &lines[2]["message"]), (&"remembered".into(), &old.into()));
    }
}
