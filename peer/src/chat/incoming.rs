//! What the peer's frames mean: each is checked against the contract before anything is believed.

use std::time::SystemTime;

use patchcord_proto::{
    limits::{CHAT_FRAME_BYTES_MAX, CHAT_TEXT_BYTES_MAX, DISPLAY_NAME_BYTES_MAX},
    v1::{self, chat_frame::Frame},
};
use prost::Message as _;

use super::{
    Chat, FEATURES_MAX, Heard, IDENTITY_FEATURE, IncomingText, SAS_FEATURE, SESSION_ID_BYTES, Violation,
    Waiting,
};
use crate::{MessageId, TextKind, Untrusted, sas};

impl Chat {
    /// Takes a frame of the peer's. Also gives the own texts that are now known to be delivered.
    pub(crate) fn handle(&mut self, frame: &[u8]) -> Result<(Option<Heard>, Vec<MessageId>), Violation> {
        if frame.len() > CHAT_FRAME_BYTES_MAX {
            return Err(Violation::FrameTooLarge(frame.len()));
        }
        let frame = v1::ChatFrame::decode(frame).map_err(|_| Violation::Malformed)?.frame;
        // A frame of a later version.
        let Some(frame) = frame else { return Ok((None, Vec::new())) };
        if !self.hello_received && !matches!(frame, Frame::Hello(_)) {
            return Err(Violation::NoHello);
        }
        if self.waiting.is_some() && !matches!(frame, Frame::Hello(_) | Frame::Identity(_)) {
            return Err(Violation::NoIdentity);
        }
        if !matches!(frame, Frame::Hello(_)) {
            // It says nothing else before it has our hello.
            self.known_to_peer = true;
        }
        match frame {
            Frame::Hello(hello) => self.handle_hello(hello),
            Frame::Text(text) => Ok((self.handle_text(text)?, Vec::new())),
            Frame::Receipt(receipt) => Ok((None, self.delivered(receipt.through_seq)?)),
            Frame::Typing(typing) => Ok((Some(Heard::Typing(typing.active)), Vec::new())),
            Frame::Profile(profile) => {
                let display_name = check_name(profile.display_name)?;
                Ok((Some(Heard::Profile { display_name }), Vec::new()))
            }
            Frame::Rejoined(rejoined) => {
                Ok((Some(Heard::Rejoined { peer_id: rejoined.peer_id }), Vec::new()))
            }
            Frame::Bye(_) => {
                self.bye_heard_after.get_or_insert(self.next_seq - 1);
                self.bye_ack_wanted = true;
                Ok((Some(Heard::Bye), Vec::new()))
            }
            Frame::ByeAck(_) => Ok((Some(Heard::ByeAcknowledged), Vec::new())),
            Frame::Sas(step) => Ok((self.handle_sas(step)?, Vec::new())),
            Frame::Identity(identity) => Ok((self.handle_identity(&identity)?, Vec::new())),
        }
    }

    fn handle_hello(&mut self, hello: v1::ChatHello) -> Result<(Option<Heard>, Vec<MessageId>), Violation> {
        if self.hello_received {
            let repeated = self.heard_session.as_ref() == Some(&hello.session_id);
            return if repeated { Ok((None, Vec::new())) } else { Err(Violation::SecondHello) };
        }
        let display_name = check_name(hello.display_name)?;
        if hello.session_id.len() != SESSION_ID_BYTES || hello.features.len() > FEATURES_MAX {
            return Err(Violation::OutsideLimits);
        }
        let knows_us = hello.heard_session_id == self.session_id;
        if knows_us && hello.heard_seq > self.sent_through {
            return Err(Violation::FalseReceipt);
        }
        let forgotten = match self.heard_session.replace(hello.session_id.clone()) {
            Some(earlier) => earlier != hello.session_id,
            None => false,
        };
        self.hello_received = true;
        self.hello_again = self.hello_sent;
        let forgotten = forgotten || !knows_us && self.known_to_peer;
        let failed = if forgotten { self.begin_anew() } else { Vec::new() };
        self.known_to_peer = knows_us;
        let delivered = if knows_us { self.take_through(hello.heard_seq) } else { Vec::new() };
        let names = |known: &str| hello.features.iter().any(|feature| feature == known);
        self.peer_of_our_kind = names(IDENTITY_FEATURE);
        let waiting = Waiting { display_name, compares: names(SAS_FEATURE) };
        if self.certificates.is_some() && names(IDENTITY_FEATURE) {
            self.proof_wanted = true;
            self.waiting = Some(waiting);
            let failed = (!failed.is_empty()).then_some(Heard::Forgotten { failed });
            return Ok((failed, delivered));
        }
        Ok((Some(self.introduced(waiting, None, failed)), delivered))
    }

    fn handle_sas(&mut self, step: v1::ChatSas) -> Result<Option<Heard>, Violation> {
        // Of a peer that was not told that we take part.
        let Some(sas) = &mut self.sas else { return Ok(None) };
        Ok(match sas.handle(step)? {
            sas::Outcome::Ready(string) => Some(Heard::ShortString(string)),
            sas::Outcome::Nothing => None,
        })
    }

    /// The peer has forgotten this session, because it was told that we had left: both sides count from the
    /// start again. Gives the texts of which nobody can tell any more whether they arrived.
    fn begin_anew(&mut self) -> Vec<MessageId> {
        self.heard_seq = 0;
        self.acknowledged_seq = 0;
        let unsure = self.texts.iter().take_while(|(seq, _)| *seq <= self.sent_through).count();
        let failed = self.texts.drain(..unsure).map(|(_, text)| text.message_id).collect();
        self.sent = 0;
        self.sent_through = 0;
        for (seq, (numbered, _)) in (1..).zip(&mut self.texts) {
            *numbered = seq;
        }
        self.next_seq = self.texts.len() as u64 + 1;
        failed
    }

    fn handle_text(&mut self, text: v1::ChatText) -> Result<Option<Heard>, Violation> {
        if text.text.is_empty() || text.text.len() > CHAT_TEXT_BYTES_MAX {
            return Err(Violation::OutsideLimits);
        }
        if self.deaf {
            return Ok(None);
        }
        let expected = self.expected_seq();
        if text.seq > expected {
            return Err(Violation::Gap { got: text.seq, expected });
        }
        if text.seq < expected {
            self.receipt_wanted = true;
            return Ok(None);
        }
        let kind = match v1::chat_text::Kind::try_from(text.kind) {
            Ok(v1::chat_text::Kind::Action) => TextKind::Action,
            _ => TextKind::Plain,
        };
        let sent_at = text.sent_at.and_then(|at| SystemTime::try_from(at).ok());
        Ok(self.unless_held(IncomingText {
            seq: text.seq,
            message_id: MessageId(text.message_id),
            text: Untrusted::new(text.text),
            kind,
            direct: text.direct,
            sent_at: sent_at.unwrap_or(SystemTime::UNIX_EPOCH),
        }))
    }

    fn delivered(&mut self, through_seq: u64) -> Result<Vec<MessageId>, Violation> {
        let last_sent = self.sent.checked_sub(1).and_then(|index| self.texts.get(index)).map(|(seq, _)| *seq);
        let first_open = self.texts.front().map_or(self.next_seq, |(seq, _)| *seq);
        if through_seq > last_sent.unwrap_or(first_open.saturating_sub(1)) {
            return Err(Violation::FalseReceipt);
        }
        Ok(self.take_through(through_seq))
    }

    fn take_through(&mut self, through_seq: u64) -> Vec<MessageId> {
        let count = self.texts.iter().take_while(|(seq, _)| *seq <= through_seq).count();
        self.sent = self.sent.saturating_sub(count);
        self.texts.drain(..count).map(|(_, text)| text.message_id).collect()
    }
}

fn check_name(name: String) -> Result<Untrusted, Violation> {
    if name.is_empty() || name.len() > DISPLAY_NAME_BYTES_MAX {
        return Err(Violation::OutsideLimits);
    }
    Ok(Untrusted::new(name))
}
