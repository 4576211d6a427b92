//! What is to be sent next on a channel, most urgent first.

use patchcord_proto::v1::{self, chat_frame::Frame};

use super::{Chat, Goodbye, IDENTITY_FEATURE, OutgoingFrame, SAS_FEATURE, encode};
use crate::{TextKind, sas::Sas};

impl Chat {
    /// The next frame to send, most urgent first; none when there is nothing to say now.
    pub(crate) fn next_frame(&mut self) -> Option<OutgoingFrame> {
        if !self.open {
            return None;
        }
        if !self.hello_sent || self.hello_again {
            self.hello_sent = true;
            self.hello_again = false;
            self.profile_wanted = false;
            return Some((encode(Frame::Hello(self.hello())), None));
        }
        if !self.hello_received {
            return None;
        }
        if let Some(identity) = self.own_identity() {
            return Some((encode(identity), None));
        }
        if self.waiting.is_some() {
            return None;
        }
        self.control_frame().map(|frame| (encode(frame), None)).or_else(|| self.text_frame())
    }

    fn hello(&self) -> v1::ChatHello {
        v1::ChatHello {
            session_id: self.session_id.clone(),
            display_name: self.identity.display_name.clone(),
            features: self.features(),
            user_agent: self.identity.user_agent.clone(),
            heard_session_id: self.heard_session.clone().unwrap_or_default(),
            heard_seq: self.heard_seq,
        }
    }

    fn features(&self) -> Vec<String> {
        let Some(certificates) = self.certificates else { return Vec::new() };
        let sas = certificates.to_compare.then_some(SAS_FEATURE);
        sas.into_iter().chain([IDENTITY_FEATURE]).map(str::to_owned).collect()
    }

    fn control_frame(&mut self) -> Option<Frame> {
        if std::mem::take(&mut self.receipt_wanted) {
            self.acknowledged_seq = self.heard_seq;
            return Some(Frame::Receipt(v1::ChatReceipt { through_seq: self.heard_seq }));
        }
        if self.bye_ack_wanted
            && (self.held || !self.texts.front().is_some_and(|(seq, _)| self.may_be_sent(*seq)))
        {
            self.bye_ack_wanted = false;
            return Some(Frame::ByeAck(v1::ChatByeAck {}));
        }
        if let Some(peer_id) = self.rejoined_as.take() {
            return Some(Frame::Rejoined(v1::ChatRejoined { peer_id }));
        }
        if let Some(step) = self.sas.as_mut().and_then(Sas::next_step) {
            return Some(Frame::Sas(step));
        }
        if self.held {
            return None;
        }
        if std::mem::take(&mut self.profile_wanted) {
            let display_name = self.identity.display_name.clone();
            return Some(Frame::Profile(v1::ChatProfile { display_name }));
        }
        if let Some(active) = self.typing.take() {
            return Some(Frame::Typing(v1::ChatTyping { active }));
        }
        if self.goodbye == Goodbye::Wanted && self.texts.is_empty() {
            self.goodbye = Goodbye::Sent;
            return Some(Frame::Bye(v1::ChatBye { last_seq: self.next_seq - 1 }));
        }
        None
    }

    fn may_be_sent(&self, seq: u64) -> bool {
        self.bye_heard_after.is_none_or(|last| seq <= last)
    }

    fn text_frame(&mut self) -> Option<OutgoingFrame> {
        if self.held {
            return None;
        }
        let (seq, text) = self.texts.get(self.sent).filter(|(seq, _)| self.may_be_sent(*seq))?;
        let frame = Frame::Text(v1::ChatText {
            seq: *seq,
            sent_at: Some(text.sent_at.into()),
            text: text.text.to_string(),
            kind: match text.kind {
                TextKind::Plain => v1::chat_text::Kind::Plain.into(),
                TextKind::Action => v1::chat_text::Kind::Action.into(),
            },
            direct: text.direct,
            message_id: text.message_id.0,
        });
        let message_id = text.message_id;
        self.sent += 1;
        self.sent_through = self.sent_through.max(*seq);
        Some((encode(frame), Some(message_id)))
    }
}
