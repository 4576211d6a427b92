//! A link of a sealed room: nothing is negotiated before the peer has proved that it knows the code, and nothing in clear.
//!
//! Invariant: every description and candidate goes through the exchange, and a channel carries chat only to the certificate
//! that was bound to it.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use patchcord_proto::v1::{Negotiation, NegotiationCandidate, negotiation::Message, sealed_refusal::Reason};
use tokio::time::Instant;

use super::{Link, Notice};
use crate::{
    ConnectionState, Event, Peer, PeerId, ProblemCode,
    chat::Certificates,
    connection::Fingerprint,
    negotiation::{Candidate, DescriptionKind, Input},
    seal::{Broken, Code, Exchange, Guesses, Outcome, Terms},
};

/// What every link of a sealed room shares.
#[derive(Clone)]
pub(crate) struct SealContext {
    pub code: Code,
    pub guesses: Arc<Mutex<Guesses>>,
}

/// One link's side of it.
pub(super) struct Sealing {
    exchange: Exchange,
    guesses: Arc<Mutex<Guesses>>,
    /// What the peer proved to have bound.
    theirs: Option<Terms>,
    /// To be negotiated when the exchange is done.
    waiting: Option<Input>,
    /// The user was told that this peer does not know the code.
    told: bool,
    /// The same of each way an exchange ends for good.
    told_broken: Vec<Broken>,
}

impl Sealing {
    pub(super) fn new(context: &SealContext, own: &PeerId, peer: &PeerId, terms: Terms) -> Self {
        Self {
            exchange: Exchange::new(context.code.clone(), own, peer, terms),
            guesses: context.guesses.clone(),
            theirs: None,
            waiting: None,
            told: false,
            told_broken: Vec::new(),
        }
    }

    /// Whether the peer has proved that it knows the code.
    pub(super) fn is_proved(&self) -> bool {
        self.theirs.is_some()
    }

    /// The identity key, or none, that the peer bound to the exchange.
    pub(super) fn bound_key(&self) -> Option<Option<[u8; 32]>> {
        self.theirs.as_ref().map(|terms| terms.identity_key)
    }
}

impl Link {
    /// The input, unless it has to wait until the peer has proved itself.
    pub(super) async fn when_sealed(&mut self, input: Input) -> Option<Input> {
        let Some(sealing) = &mut self.sealing else { return Some(input) };
        if sealing.exchange.is_open() || !matches!(input, Input::Connect | Input::Restart) {
            return Some(input);
        }
        sealing.waiting = Some(input);
        let begun = sealing.exchange.begin(&sealing.guesses.lock());
        match begun {
            Ok(payload) => self.notify(Notice::Sealed(payload)).await,
            Err(broken) => self.exchange_broke(broken).await,
        }
        None
    }

    /// A description for the peer, in clear or sealed.
    pub(super) async fn say_description(&mut self, kind: DescriptionKind, sdp: String) {
        if self.sealing.is_none() {
            return self.notify(Notice::Description { kind, sdp }).await;
        }
        self.seal(match kind {
            DescriptionKind::Offer => Message::Offer(sdp),
            DescriptionKind::Answer => Message::Answer(sdp),
        })
        .await;
    }

    /// A candidate for the peer, in clear or sealed.
    pub(super) async fn say_candidate(&mut self, candidate: Candidate) {
        if self.sealing.is_none() {
            return self.notify(Notice::Candidate(candidate)).await;
        }
        let Candidate { candidate, sdp_mid, sdp_m_line_index, username_fragment } = candidate;
        let candidate = NegotiationCandidate { candidate, sdp_mid, sdp_m_line_index, username_fragment };
        self.seal(Message::Candidate(candidate)).await;
    }

    /// Without an exchange it is dropped: the whole negotiation begins again after the next one.
    async fn seal(&mut self, message: Message) {
        let Some(sealing) = &mut self.sealing else { return };
        if let Some(payload) = sealing.exchange.seal(&Negotiation { message: Some(message) }) {
            self.notify(Notice::Sealed(payload)).await;
        }
    }

    /// Whether the peer may negotiate in clear. In a sealed room nobody may: it knows the locator, not the words.
    pub(super) async fn takes_clear(&mut self) -> bool {
        let Some(sealing) = &mut self.sealing else { return true };
        if !std::mem::replace(&mut sealing.told, true) {
            let message = "this peer is here without the code: it is not connected and learns nothing";
            self.problem(ProblemCode::OtherCode, message.into()).await;
        }
        false
    }

    pub(super) async fn sealed(&mut self, payload: Bytes) {
        if !self.sealed_payloads.take(Instant::now()) {
            tracing::debug!(peer_id = %self.peer_id, "ignored a sealed payload: they come too fast");
            return;
        }
        let Some(sealing) = &mut self.sealing else {
            let message =
                "this peer wants a sealed room, which needs a code: join with it, or ask for an open room";
            if !std::mem::replace(&mut self.told_of_code, true) {
                self.problem(ProblemCode::OtherCode, message.into()).await;
            }
            return;
        };
        let used = sealing.guesses.lock().used();
        let outcome = sealing.exchange.handle(&payload, &mut sealing.guesses.lock());
        let now_used = sealing.guesses.lock().used();
        if used != now_used {
            self.events.send(Event::GuessesUsed { used: now_used }).await;
        }
        match outcome {
            Ok(Outcome::Nothing) => {}
            Ok(Outcome::Answer(answer)) => self.notify(Notice::Sealed(answer)).await,
            Ok(Outcome::Open { terms, string, answer }) => {
                sealing.theirs = Some(terms);
                let waiting = sealing.waiting.take();
                if let Some(answer) = answer {
                    self.notify(Notice::Sealed(answer)).await;
                }
                let peer_id = self.peer_id.clone();
                self.events.send(Event::Verified { peer_id, string }).await;
                if let Some(input) = waiting {
                    self.negotiate(input).await;
                }
            }
            Ok(Outcome::Message(negotiation)) => self.opened_message(negotiation).await,
            Ok(Outcome::Refused(reason)) => self.exchange_refused(reason).await,
            Err(broken) => {
                let refusal = sealing.exchange.refusal(broken.reason());
                self.notify(Notice::Sealed(refusal)).await;
                self.exchange_broke(broken).await;
            }
        }
    }

    async fn opened_message(&mut self, negotiation: Negotiation) {
        match negotiation.message {
            Some(Message::Offer(sdp)) => self.remote_description(DescriptionKind::Offer, sdp).await,
            Some(Message::Answer(sdp)) => self.remote_description(DescriptionKind::Answer, sdp).await,
            Some(Message::Candidate(candidate)) => {
                let NegotiationCandidate { candidate, sdp_mid, sdp_m_line_index, username_fragment } =
                    candidate;
                let candidate = Candidate { candidate, sdp_mid, sdp_m_line_index, username_fragment };
                self.remote_candidate(candidate).await;
            }
            // Of a later version.
            None => {}
        }
    }

    /// Whether a description may name this certificate: in a sealed room, only the one that was bound to the exchange.
    pub(super) fn is_bound(&self, named: Fingerprint) -> bool {
        let bound = |sealing: &Sealing| sealing.theirs.as_ref().map(|terms| terms.fingerprint);
        self.sealing.as_ref().is_none_or(|sealing| bound(sealing) == Some(named))
    }

    /// Whether the peer showed the certificate that it proved, as it has to in a sealed room.
    pub(super) async fn channel_leads_to_the_peer(&self) -> bool {
        let Some(sealing) = &self.sealing else { return true };
        let Some(attempt) = &self.attempt else { return false };
        let shown = attempt.connection.remote_fingerprint().await;
        shown.is_some() && shown == sealing.theirs.as_ref().map(|terms| terms.fingerprint)
    }

    /// What proofs of identity keys bind, and the short string of an open room. In a sealed one the exchange has one.
    pub(super) async fn certificates(&self) -> Option<Certificates> {
        let peer = self.attempt.as_ref()?.connection.remote_fingerprint().await?;
        let own = self.context.connection.certificate.fingerprint();
        Some(Certificates { own, peer, to_compare: self.sealing.is_none() })
    }

    async fn exchange_refused(&mut self, reason: Reason) {
        match reason {
            Reason::OtherWords => self.exchange_broke(Broken::OtherWords).await,
            Reason::Burnt => self.exchange_broke(Broken::Burnt).await,
            Reason::Unspecified | Reason::Broken => {
                self.begin_exchange_anew();
                self.not_relayed(std::time::Duration::ZERO).await;
            }
        }
    }

    async fn exchange_broke(&mut self, broken: Broken) {
        let message = match broken {
            Broken::OtherWords => {
                "the words of the code do not match: one of you mistyped it, or somebody is guessing; read it aloud again"
            }
            Broken::Burnt => "too many wrong words were tried with this code: it is used up, make a new one",
            // Lost or changed on the way: again, as the server may only have been busy.
            Broken::Malformed | Broken::NotNext(_) | Broken::NoRandom => {
                tracing::debug!(peer_id = %self.peer_id, %broken, "an exchange broke");
                self.begin_exchange_anew();
                return self.not_relayed(std::time::Duration::ZERO).await;
            }
        };
        self.begin_exchange_anew();
        // Whoever knows no more than the locator can bring it about as often as it likes.
        if self.is_news(broken) {
            self.problem(ProblemCode::OtherCode, message.into()).await;
        }
        if !self.chat.is_open() {
            self.close(ConnectionState::Failed).await;
        }
    }

    fn is_news(&mut self, broken: Broken) -> bool {
        let Some(sealing) = &mut self.sealing else { return false };
        let told = sealing.told_broken.contains(&broken);
        if !told {
            sealing.told_broken.push(broken);
        }
        !told
    }

    /// What was told of this peer's exchanges is told again when it happens again.
    pub(super) fn forget_told(&mut self) {
        if let Some(sealing) = &mut self.sealing {
            sealing.told_broken.clear();
        }
    }

    /// What the server says of the peer. In a sealed room it does not know its name.
    pub(super) async fn update_by_server(&mut self, peer: Peer) {
        let display_name = match self.sealing {
            Some(_) => self.peer.display_name.clone(),
            None => peer.display_name,
        };
        self.update(Peer { display_name, ..peer }).await;
    }

    /// With the ids of now. What is open under the old exchange stays.
    pub(super) fn begin_exchange_anew(&mut self) {
        let Some(context) = &self.context.seal else { return };
        let fresh = Sealing::new(context, &self.own_id, &self.server_id, self.context.terms());
        if let Some(sealing) = &mut self.sealing {
            let (theirs, waiting, told) = (sealing.theirs.take(), sealing.waiting.take(), sealing.told);
            let told_broken = std::mem::take(&mut sealing.told_broken);
            *sealing = Sealing { theirs, waiting, told, told_broken, ..fresh };
        }
    }
}
