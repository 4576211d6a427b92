//! Perfect negotiation (W3C WebRTC 1.0 section 10.7) as a pure state machine: one input gives outputs,
//! which the shell carries out in order before it gives the next input. No clock, no I/O.
//!
//! Invariant: whatever two sides do and however their messages interleave, both end stable with each
//! other's description, and every candidate of those descriptions reaches the other side.

/// Which offer an answer is to, by its username fragment: SDP does not say, and an offer may be replaced before it
/// is answered. In an offer: which offer it stands for an answer to, whose answer was lost. Others ignore an attribute that they do not know (RFC 8866 section 5.13).
const ANSWERS: &str = "a=x-patchcord-answers:";

/// Offer or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DescriptionKind {
    Offer,
    Answer,
}

/// The fields of RTCIceCandidateInit. An empty `candidate` is end-of-candidates.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Candidate {
    pub candidate: String,
    pub sdp_mid: Option<String>,
    pub sdp_m_line_index: Option<u32>,
    pub username_fragment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// We want a connection: the newcomer's first step, or the user's.
    Connect,
    /// The connection is there and fails, or what was said of it was lost: begin another ICE generation.
    Restart,
    /// The engine made and set a local description.
    LocalDescription { kind: DescriptionKind, sdp: String },
    /// The engine found a candidate.
    LocalCandidate(Candidate),
    /// The peer sent a description.
    RemoteDescription { kind: DescriptionKind, sdp: String },
    /// The peer sent a candidate.
    RemoteCandidate(Candidate),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Engine: create an offer, set it, give it back as [`Input::LocalDescription`].
    CreateOffer,
    /// Engine: the next offer begins another ICE generation (RFC 8445 section 9).
    RestartIce,
    /// Engine: roll back the local offer.
    Rollback,
    /// Engine: set the remote description.
    SetRemoteDescription { kind: DescriptionKind, sdp: String },
    /// Engine: create an answer, set it, give it back as [`Input::LocalDescription`].
    CreateAnswer,
    /// Engine: add the remote candidate.
    AddCandidate(Candidate),
    /// Peer: send the description.
    SendDescription { kind: DescriptionKind, sdp: String },
    /// Peer: send the candidate.
    SendCandidate(Candidate),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignalingState {
    Stable,
    HaveLocalOffer,
    HaveRemoteOffer,
}

/// One side of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Negotiation {
    polite: bool,
    state: SignalingState,
    ignore_offer: bool,
    /// Local candidates; the first `local_sent` of them were sent with or after our last description.
    local_candidates: Vec<Candidate>,
    described: bool,
    local_sent: usize,
    /// Username fragments of our last offer, which an answer has to name.
    offered_fragments: Vec<String>,
    /// Username fragments of the peer's offer that our next description is in answer to.
    answered_fragments: Vec<String>,
    /// Username fragments of the remote description; none before it came.
    remote_fragments: Option<Vec<String>>,
    early_candidates: Vec<Candidate>,
    /// With the end-of-candidates, which comes once from an honest peer.
    remote_candidates: usize,
    remote_ended: bool,
    candidates_max: usize,
}

impl Negotiation {
    /// `polite` is whether this side gives way when both offer at once. More than `candidates_max` remote
    /// candidates are ignored, and as many local ones are kept.
    pub(crate) fn new(polite: bool, candidates_max: usize) -> Self {
        Self {
            polite,
            state: SignalingState::Stable,
            ignore_offer: false,
            local_candidates: Vec::new(),
            described: false,
            local_sent: 0,
            offered_fragments: Vec::new(),
            answered_fragments: Vec::new(),
            remote_fragments: None,
            early_candidates: Vec::new(),
            remote_candidates: 0,
            remote_ended: false,
            candidates_max,
        }
    }

    /// Which side gives way when both offer at once, from now on.
    pub(crate) fn set_polite(&mut self, polite: bool) {
        self.polite = polite;
    }

    /// One side of the connection that comes after this one, which the peer may not know to be over: if we had
    /// an offer of its to answer, our next offer is the answer.
    pub(crate) fn successor(&self) -> Self {
        let answered_fragments = match self.state {
            SignalingState::HaveLocalOffer => Vec::new(),
            _ => self.remote_fragments.clone().unwrap_or_default(),
        };
        Self { answered_fragments, ..Self::new(self.polite, self.candidates_max) }
    }

    /// Whether an offer of ours has no answer yet.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.state == SignalingState::HaveLocalOffer
    }

    /// Candidates taken from the peer.
    pub(crate) fn remote_candidates(&self) -> usize {
        self.remote_candidates - usize::from(self.remote_ended)
    }

    /// Candidates found on our side.
    pub(crate) fn local_candidates(&self) -> usize {
        self.local_candidates.iter().filter(|candidate| !candidate.candidate.is_empty()).count()
    }

    pub(crate) fn handle(&mut self, input: Input) -> Vec<Output> {
        match input {
            Input::Connect => self.connect(),
            Input::Restart => self.restart(),
            Input::LocalDescription { kind, sdp } => self.local_description(kind, sdp),
            Input::LocalCandidate(candidate) => self.local_candidate(candidate),
            Input::RemoteDescription { kind: DescriptionKind::Offer, sdp } => self.remote_offer(sdp),
            Input::RemoteDescription { kind: DescriptionKind::Answer, sdp } => self.remote_answer(sdp),
            Input::RemoteCandidate(candidate) => self.remote_candidate(candidate),
        }
    }

    fn connect(&mut self) -> Vec<Output> {
        // An offer that is under way, ours or theirs, connects as well as another would.
        if self.state != SignalingState::Stable || self.remote_fragments.is_some() {
            return Vec::new();
        }
        self.state = SignalingState::HaveLocalOffer;
        vec![Output::CreateOffer]
    }

    fn restart(&mut self) -> Vec<Output> {
        if self.remote_fragments.is_none() {
            return self.connect();
        }
        let mut outputs = Vec::new();
        match self.state {
            SignalingState::Stable => {}
            SignalingState::HaveLocalOffer => outputs.push(Output::Rollback),
            // Our answer is about to go out; it ends whatever was before it.
            SignalingState::HaveRemoteOffer => return outputs,
        }
        self.state = SignalingState::HaveLocalOffer;
        self.begin_generation();
        outputs.extend([Output::RestartIce, Output::CreateOffer]);
        outputs
    }

    /// Candidates of the last generation are of no use to the next.
    fn begin_generation(&mut self) {
        self.described = false;
        self.local_candidates.clear();
        self.local_sent = 0;
    }

    fn local_description(&mut self, kind: DescriptionKind, mut sdp: String) -> Vec<Output> {
        match kind {
            DescriptionKind::Offer => self.offered_fragments = username_fragments(&sdp),
            DescriptionKind::Answer => {
                self.state = SignalingState::Stable;
                self.answered_fragments = self.remote_fragments.clone().unwrap_or_default();
            }
        }
        for fragment in self.answered_fragments.drain(..) {
            sdp.push_str(&format!("{ANSWERS}{fragment}\r\n"));
        }
        self.described = true;
        let mut outputs = vec![Output::SendDescription { kind, sdp }];
        outputs.extend(self.local_candidates[self.local_sent..].iter().cloned().map(Output::SendCandidate));
        self.local_sent = self.local_candidates.len();
        outputs
    }

    fn local_candidate(&mut self, candidate: Candidate) -> Vec<Output> {
        if self.local_candidates.len() > self.candidates_max {
            return Vec::new();
        }
        self.local_candidates.push(candidate.clone());
        if !self.described {
            return Vec::new();
        }
        self.local_sent = self.local_candidates.len();
        vec![Output::SendCandidate(candidate)]
    }

    fn remote_offer(&mut self, sdp: String) -> Vec<Output> {
        let collision = self.state != SignalingState::Stable;
        // Whoever had our offer and makes one in answer to it will never answer ours.
        let in_answer = attribute_values(&sdp, ANSWERS).any(|fragment| self.has_offered(fragment));
        self.ignore_offer = collision && !self.polite && !in_answer;
        if self.ignore_offer {
            return Vec::new();
        }
        let mut outputs = Vec::new();
        if collision {
            // The peer ignores our offer and the candidates that followed it: they go again with the answer.
            self.described = false;
            self.local_sent = 0;
            outputs.push(Output::Rollback);
        }
        self.state = SignalingState::HaveRemoteOffer;
        outputs.extend(self.set_remote(DescriptionKind::Offer, sdp));
        outputs.push(Output::CreateAnswer);
        outputs
    }

    fn remote_answer(&mut self, sdp: String) -> Vec<Output> {
        let to_another = attribute_values(&sdp, ANSWERS).any(|fragment| !self.has_offered(fragment));
        if self.state != SignalingState::HaveLocalOffer || to_another {
            return Vec::new();
        }
        self.ignore_offer = false;
        self.state = SignalingState::Stable;
        self.set_remote(DescriptionKind::Answer, sdp)
    }

    fn has_offered(&self, fragment: &str) -> bool {
        self.offered_fragments.iter().any(|offered| offered == fragment)
    }

    fn set_remote(&mut self, kind: DescriptionKind, sdp: String) -> Vec<Output> {
        let fragments = username_fragments(&sdp);
        let known = self.remote_fragments.replace(fragments.clone());
        if known.is_some_and(|known| known != fragments) {
            // Another ICE generation; an answer of ours begins ours, an offer has begun it.
            self.remote_candidates = 0;
            self.remote_ended = false;
            if kind == DescriptionKind::Offer {
                self.begin_generation();
            }
        }
        let early = std::mem::take(&mut self.early_candidates);
        self.remote_candidates -= early.len();
        let mut outputs = vec![Output::SetRemoteDescription { kind, sdp }];
        outputs.extend(early.into_iter().flat_map(|candidate| self.remote_candidate(candidate)));
        outputs
    }

    fn remote_candidate(&mut self, candidate: Candidate) -> Vec<Output> {
        if self.ignore_offer || self.remote_candidates >= self.candidates_max {
            return Vec::new();
        }
        let Some(fragments) = &self.remote_fragments else {
            self.remote_candidates += 1;
            self.early_candidates.push(candidate);
            return Vec::new();
        };
        // Of an ICE generation that is over.
        if candidate.username_fragment.as_ref().is_some_and(|fragment| !fragments.contains(fragment)) {
            return Vec::new();
        }
        self.remote_candidates += 1;
        self.remote_ended |= candidate.candidate.is_empty();
        vec![Output::AddCandidate(candidate)]
    }
}

/// The `a=ice-ufrag` values of a session description (RFC 8839 section 5.4).
pub(crate) fn username_fragments(sdp: &str) -> Vec<String> {
    attribute_values(sdp, "a=ice-ufrag:").map(str::to_owned).collect()
}

/// Which connection a session description is of: the session id of its origin (JSEP, RFC 9429 section 5.2.1: one for the
/// life of a connection) and the certificate fingerprint.
pub(crate) fn connection_identity(sdp: &str) -> Option<String> {
    let session_id = attribute_values(sdp, "o=").next()?.split_ascii_whitespace().nth(1)?;
    Some(format!("{session_id} {}", fingerprint(sdp)?))
}

/// The certificate fingerprint of a session description (RFC 8122): another one is another connection.
pub(crate) fn fingerprint(sdp: &str) -> Option<String> {
    attribute_values(sdp, "a=fingerprint:").next().map(str::to_ascii_lowercase)
}

fn attribute_values<'a>(sdp: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    sdp.lines().filter_map(move |line| line.trim_end().strip_prefix(prefix))
}

#[cfg(test)]
mod tests;
