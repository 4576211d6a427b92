//! Two sides of a sealed room and everything that passes between them, for the fuzzer.

use patchcord_proto::v1::{Negotiation, negotiation::Message};

use crate::{
    Code, PeerId,
    seal::{Exchange, Guesses, Outcome, Terms},
};

/// Both sides. Each step gives whether what was believed is what the other side said.
pub struct Sealed {
    sides: [Exchange; 2],
    guesses: [Guesses; 2],
    wires: [Vec<Vec<u8>>; 2],
    /// By each exchange that a side saw done: how much it has said since.
    said: [Vec<usize>; 2],
    /// The exchange, by the other's count, and the number of what was heard last since the own was done.
    heard: [Option<(usize, usize)>; 2],
}

fn terms(side: usize) -> Terms {
    let number = side as u8 + 1;
    Terms { fingerprint: [number; 32], identity_key: None, capabilities: vec![number] }
}

impl Sealed {
    /// Nothing is begun.
    #[expect(clippy::new_without_default, reason = "an exchange is not a value with a default")]
    pub fn new() -> Self {
        let ids = ["aaaa", "bbbb"].map(|id| PeerId::parse(id).expect("four letters are an id"));
        let exchange = |own: usize| {
            let code = Code::parse("7k3m9xqd-acid-acorn-acre").expect("three words of the list");
            Exchange::new(code, &ids[own], &ids[1 - own], terms(own))
        };
        Self {
            sides: [exchange(0), exchange(1)],
            guesses: Default::default(),
            wires: Default::default(),
            said: Default::default(),
            heard: [None; 2],
        }
    }

    /// A side begins, or asks the other to.
    pub fn begin(&mut self, side: usize) {
        if let Ok(payload) = self.sides[side].begin(&self.guesses[side]) {
            self.wires[side].push(payload.to_vec());
        }
    }

    /// A side says the next thing, if it can.
    pub fn say(&mut self, side: usize) {
        let exchange = self.said[side].len();
        let Some(count) = self.said[side].last_mut() else { return };
        let message = Message::Offer(format!("{exchange} {count}"));
        if let Some(payload) = self.sides[side].seal(&Negotiation { message: Some(message) }) {
            *count += 1;
            self.wires[side].push(payload.to_vec());
        }
    }

    /// What a side has sent, oldest first, as it is on its way.
    pub fn wire(&mut self, side: usize) -> &mut Vec<Vec<u8>> {
        &mut self.wires[side]
    }

    /// A side takes a payload.
    ///
    /// # Panics
    /// When it believes what the other did not say.
    pub fn take(&mut self, side: usize, payload: &[u8]) {
        let before = self.guesses[side].used();
        match self.sides[side].handle(payload, &mut self.guesses[side]) {
            Ok(Outcome::Answer(answer)) => self.wires[side].push(answer.to_vec()),
            Ok(Outcome::Open { terms: theirs, answer, .. }) => {
                assert_eq!(theirs, self::terms(1 - side), "terms that the other did not bind");
                self.said[side].push(0);
                self.heard[side] = None;
                self.wires[side].extend(answer.map(|answer| answer.to_vec()));
            }
            Ok(Outcome::Message(negotiation)) => {
                let Some(Message::Offer(said)) = negotiation.message else { panic!("not an offer") };
                let (exchange, number) = said.split_once(' ').expect("as it was said");
                let (exchange, number) =
                    (exchange.parse().expect("a count"), number.parse().expect("a count"));
                let counts = &self.said[1 - side];
                assert!(counts.get(exchange - 1).is_some_and(|count| number < *count), "it was never said");
                let next = self.heard[side].map_or((exchange, 0), |(exchange, last)| (exchange, last + 1));
                assert_eq!((exchange, number), next, "not the next message");
                self.heard[side] = Some(next);
            }
            Ok(Outcome::Nothing | Outcome::Refused(_)) | Err(_) => {}
        }
        assert!(self.guesses[side].used() <= before + 1, "more than one guess a payload");
    }
}
