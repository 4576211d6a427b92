//! What a peer's bytes reach first, for the fuzzer. Only with the feature `fuzzing`.

use std::time::SystemTime;

use crate::{
    IpPolicy, MessageId, TextKind,
    address_gate::AddressGate,
    candidate_gate, chat, connection,
    negotiation::{self, Candidate, DescriptionKind, Input, Output},
    sdp_gate,
};

mod sealed;

pub use sealed::Sealed;

/// See the function itself.
pub fn fingerprint(sdp: &str) -> Option<String> {
    negotiation::fingerprint(sdp)
}

/// See the function itself.
pub fn username_fragments(sdp: &str) -> Vec<String> {
    negotiation::username_fragments(sdp)
}

/// What is left of a description that may reach the engine, and how many candidates were in it.
pub fn described(sdp: &str) -> Option<(String, usize)> {
    let described = sdp_gate::check(sdp).ok()?;
    Some((described.sdp, described.candidates.len()))
}

/// How many candidates and fingerprints the engine itself finds in a description; none when it reads none.
pub fn read_by_engine(sdp: &str) -> Option<(usize, usize)> {
    connection::read_by_engine(sdp)
}

/// What may reach the engine of a candidate, of a peer of whom nothing is known or who is trusted.
pub fn candidate_for_engine(candidate: &str, trusted: bool) -> Option<String> {
    let gate = AddressGate { verified: trusted, ..AddressGate::default() };
    candidate_gate::check(candidate, &gate).ok()
}

/// Whether a candidate may reach the engine.
pub fn candidate_is_fit(candidate: &str, loopback: bool) -> bool {
    let gate = AddressGate { loopback, policy: IpPolicy::Any, ..AddressGate::default() };
    candidate_gate::check(candidate, &gate).is_ok()
}

/// What a frame brought.
pub struct Heard {
    /// The number of the text in it.
    pub text_seq: Option<u64>,
    /// Own texts that are now known to be delivered.
    pub delivered: usize,
    /// Own texts of which nobody can tell any more.
    pub failed: usize,
}

/// A chat session.
pub struct Chat {
    chat: chat::Chat,
    queued: u64,
}

impl Chat {
    /// One with nothing said.
    #[expect(clippy::new_without_default, reason = "a session is not a value with a default")]
    pub fn new() -> Self {
        let session_ids = chat::SessionIds::new([7; 8]);
        let identity = chat::Introduction {
            session_ids,
            room: "room".into(),
            display_name: "we".into(),
            user_agent: "fuzzing".into(),
            secret: Some(crate::Identity::from_seed(&[7; 32])),
        };
        Self { chat: chat::Chat::new(identity), queued: 0 }
    }

    /// Another channel is open.
    pub fn channel_opened(&mut self) {
        self.chat.channel_opened(Some(chat::Certificates { own: [1; 32], peer: [2; 32], to_compare: true }));
    }

    /// The channel is gone.
    pub fn channel_closed(&mut self) {
        self.chat.channel_closed();
    }

    /// Takes a text.
    pub fn queue(&mut self, text: &str) {
        self.queued += 1;
        let message_id = MessageId(self.queued);
        let (kind, direct) = (TextKind::Plain, false);
        self.chat.queue(chat::OutgoingText {
            message_id,
            text: text.into(),
            kind,
            direct,
            sent_at: SystemTime::UNIX_EPOCH,
        });
    }

    /// Nothing is said to the peer, and what it says is kept.
    pub fn hold(&mut self) {
        self.chat.hold(None);
    }

    /// Gives the numbers of what the peer has said meanwhile.
    pub fn release(&mut self) -> Vec<u64> {
        self.chat.release().into_iter().map(|text| text.seq).collect()
    }

    /// Texts that never went over a channel are not to be sent any more; how many.
    pub fn give_up_unsent(&mut self) -> usize {
        self.chat.give_up_unsent().len()
    }

    /// After the texts, the goodbye.
    pub fn say_goodbye(&mut self) {
        self.chat.say_goodbye();
    }

    /// A new name.
    pub fn set_display_name(&mut self, display_name: &str) {
        self.chat.set_display_name(display_name.into());
    }

    /// The next frame to send.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        self.chat.next_frame().map(|(frame, _)| frame.to_vec())
    }

    /// Takes a frame; `None` when it breaks the contract.
    pub fn handle(&mut self, frame: &[u8]) -> Option<Heard> {
        let (heard, delivered) = self.chat.handle(frame).ok()?;
        let text_seq = match &heard {
            Some(chat::Heard::Text(text)) => Some(text.seq),
            _ => None,
        };
        let failed = match &heard {
            Some(chat::Heard::Open { failed, .. } | chat::Heard::Forgotten { failed }) => failed.len(),
            _ => 0,
        };
        Some(Heard { text_seq, delivered: delivered.len(), failed })
    }

    /// The text is handled.
    pub fn handled(&mut self, seq: u64) {
        self.chat.handled(seq);
    }

    /// Own texts that are not delivered.
    pub fn undelivered(&self) -> usize {
        self.chat.undelivered().len()
    }
}

/// One side of a negotiation. Each step gives how many candidates of the peer it hands to the engine.
pub struct Negotiation(negotiation::Negotiation);

impl Negotiation {
    /// See the negotiation itself.
    pub fn new(polite: bool, candidates_max: usize) -> Self {
        Self(negotiation::Negotiation::new(polite, candidates_max))
    }

    /// We want a connection.
    pub fn connect(&mut self) -> usize {
        self.handle(Input::Connect)
    }

    /// Another ICE generation.
    pub fn restart(&mut self) -> usize {
        self.handle(Input::Restart)
    }

    /// The engine made an offer.
    pub fn local_description(&mut self, sdp: &str) -> usize {
        self.handle(Input::LocalDescription { kind: DescriptionKind::Offer, sdp: sdp.into() })
    }

    /// The engine found a candidate.
    pub fn local_candidate(&mut self, candidate: &str) -> usize {
        self.handle(Input::LocalCandidate(Candidate { candidate: candidate.into(), ..Candidate::default() }))
    }

    /// The peer offers.
    pub fn remote_offer(&mut self, sdp: &str) -> usize {
        self.handle(Input::RemoteDescription { kind: DescriptionKind::Offer, sdp: sdp.into() })
    }

    /// The peer answers.
    pub fn remote_answer(&mut self, sdp: &str) -> usize {
        self.handle(Input::RemoteDescription { kind: DescriptionKind::Answer, sdp: sdp.into() })
    }

    /// The peer gives a candidate; what is before a `|` is the fragment of its generation.
    pub fn remote_candidate(&mut self, candidate: &str) -> usize {
        let (fragment, candidate) = match candidate.split_once('|') {
            Some((fragment, candidate)) => (Some(fragment.to_owned()), candidate),
            None => (None, candidate),
        };
        let candidate =
            Candidate { candidate: candidate.into(), username_fragment: fragment, ..Candidate::default() };
        self.handle(Input::RemoteCandidate(candidate))
    }

    /// Candidates of the peer in this generation.
    pub fn remote_candidates(&self) -> usize {
        self.0.remote_candidates()
    }

    fn handle(&mut self, input: Input) -> usize {
        let outputs = self.0.handle(input);
        outputs.iter().filter(|output| matches!(output, Output::AddCandidate(_))).count()
    }
}
