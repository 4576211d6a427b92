//! Two sides of an exchange, and whoever carries their payloads.

use patchcord_proto::v1::negotiation::Message;
use proptest::prelude::*;

use super::{super::guesses::GUESSES_MAX, *};

const CODE: &str = "7k3m9xqd-acid-acorn-acre";

struct Side {
    exchange: Exchange,
    guesses: Guesses,
    terms: Option<Terms>,
    string: Option<ShortString>,
    heard: Vec<String>,
    broken: Option<Broken>,
    refused: bool,
}

fn terms(number: u8) -> Terms {
    Terms {
        fingerprint: [number; 32],
        identity_key: (number == 2).then_some([9; 32]),
        capabilities: vec![number],
    }
}

fn side(code: &str, own: &str, peer: &str, number: u8) -> Side {
    let (own, peer) = (PeerId::parse(own).unwrap(), PeerId::parse(peer).unwrap());
    let exchange = Exchange::new(Code::parse(code).unwrap(), &own, &peer, terms(number));
    Side {
        exchange,
        guesses: Guesses::default(),
        terms: None,
        string: None,
        heard: Vec::new(),
        broken: None,
        refused: false,
    }
}

fn pair() -> (Side, Side) {
    (side(CODE, "aaaa", "bbbb", 1), side(CODE, "bbbb", "aaaa", 2))
}

fn offer(text: &str) -> v1::Negotiation {
    v1::Negotiation { message: Some(Message::Offer(text.into())) }
}

impl Side {
    fn begin(&mut self) -> Bytes {
        self.exchange.begin(&self.guesses).unwrap()
    }

    fn say(&mut self, text: &str) -> Bytes {
        self.exchange.seal(&offer(text)).unwrap()
    }

    /// What to send in answer.
    fn take(&mut self, payload: &[u8]) -> Option<Bytes> {
        match self.exchange.handle(payload, &mut self.guesses) {
            Ok(Outcome::Nothing) => None,
            Ok(Outcome::Answer(answer)) => Some(answer),
            Ok(Outcome::Open { terms, string, answer }) => {
                self.string = Some(string);
                self.terms = Some(terms);
                answer
            }
            Ok(Outcome::Message(negotiation)) => {
                let Some(Message::Offer(text)) = negotiation.message else { panic!("{negotiation:?}") };
                self.heard.push(text);
                None
            }
            Ok(Outcome::Refused(_)) => {
                self.refused = true;
                None
            }
            Err(broken) => {
                self.broken = Some(broken);
                None
            }
        }
    }
}

/// The whole exchange, undisturbed, begun by the first.
fn exchange(one: &mut Side, other: &mut Side) {
    let (mut to, mut from) = (other, one);
    let mut payload = Some(from.begin());
    while let Some(sent) = payload {
        payload = to.take(&sent);
        (to, from) = (from, to);
    }
}

#[test]
fn both_learn_what_the_other_bound_whoever_begins() {
    for b_begins in [false, true] {
        let (mut a, mut b) = pair();
        if b_begins {
            exchange(&mut b, &mut a)
        } else {
            exchange(&mut a, &mut b)
        }
        assert_eq!((a.terms.clone(), b.terms.clone()), (Some(terms(2)), Some(terms(1))));
        assert_eq!((a.guesses.used(), b.guesses.used()), (0, 0));
        assert!(a.string.is_some() && a.string == b.string);
        for text in ["one", "two", ""] {
            let said = a.say(text);
            b.take(&said);
            let said = b.say(text);
            a.take(&said);
        }
        assert_eq!(a.heard, ["one", "two", ""]);
        assert_eq!(b.heard, a.heard);
    }
}

#[test]
fn both_beginning_at_once_and_again_costs_no_guess() {
    let (mut a, mut b) = pair();
    let mut to_b = vec![a.begin(), a.begin()];
    let mut to_a = vec![b.begin(), b.begin()];
    while !(to_a.is_empty() && to_b.is_empty()) {
        to_a.extend(to_b.drain(..).filter_map(|payload| b.take(&payload)));
        to_b.extend(to_a.drain(..).filter_map(|payload| a.take(&payload)));
    }
    assert_eq!((a.guesses.used(), b.guesses.used()), (0, 0));
    assert!(a.terms.is_some() && b.terms.is_some());
    let said = a.say("hi");
    b.take(&said);
    assert_eq!(b.heard, ["hi"]);
}

#[test]
fn other_words_another_room_or_other_ids_open_nothing_and_cost_a_guess() {
    let others = [
        side("7k3m9xqd-acid-acorn-acts", "bbbb", "aaaa", 2),
        side("7k3m9xqe-acid-acorn-acre", "bbbb", "aaaa", 2),
        side(CODE, "cccc", "aaaa", 2),
        side(CODE, "bbbb", "aaab", 2),
    ];
    for mut b in others {
        let mut a = side(CODE, "aaaa", "bbbb", 1);
        exchange(&mut a, &mut b);
        assert_eq!((a.broken, a.guesses.used()), (Some(Broken::OtherWords), 1));
        assert_eq!((a.terms.clone(), b.terms.clone()), (None, None));
        // It hangs up: a guess all the same, as it holds what it could check one with.
        assert_eq!(b.guesses.used(), 1);
        assert!(a.exchange.seal(&offer("")).is_none() && b.exchange.seal(&offer("")).is_none());
    }
}

#[test]
fn a_code_is_used_up_after_its_guesses_even_when_the_guesser_never_proves_anything() {
    let (mut a, mut b) = pair();
    // Each a new side A that hangs up.
    for _ in 0..GUESSES_MAX {
        let share = pair().0.begin();
        assert!(b.take(&share).is_some());
    }
    let share = a.begin();
    assert_eq!((b.take(&share), b.broken), (None, Some(Broken::Burnt)));
    assert_eq!(b.exchange.begin(&b.guesses), Err(Broken::Burnt));

    let mut guesser = side("7k3m9xqd-acid-acorn-acts", "bbbb", "aaaa", 2);
    for _ in 0..GUESSES_MAX {
        guesser.guesses = Guesses::default();
        exchange(&mut a, &mut guesser);
        assert_eq!(a.broken, Some(Broken::OtherWords));
    }
    assert_eq!(a.exchange.begin(&a.guesses), Err(Broken::Burnt));
}

#[test]
fn what_is_bound_cannot_be_exchanged_on_the_way() {
    type Change = fn(&mut v1::SealedTerms);
    let changes: [Change; 4] = [
        |terms| terms.fingerprint = vec![7; 32].into(),
        |terms| terms.identity_key = vec![7; 32].into(),
        |terms| terms.identity_key = Bytes::new(),
        |terms| terms.capabilities = Bytes::new(),
    ];
    let changed = |payload: &[u8], change: Change| {
        let mut payload = v1::SealedPayload::decode(payload).unwrap();
        let terms = match payload.payload.as_mut().unwrap() {
            Payload::Share(share) => &mut share.terms,
            Payload::Reply(reply) => &mut reply.terms,
            other => panic!("{other:?}"),
        };
        let before = terms.clone();
        change(terms.as_mut().unwrap());
        (before != *terms).then(|| payload.encode_to_vec())
    };
    for change in changes {
        let (mut a, mut b) = pair();
        let share = a.begin();
        if let Some(share) = changed(&share, change) {
            let reply = b.take(&share).unwrap();
            assert_eq!((a.take(&reply), a.broken), (None, Some(Broken::OtherWords)));
        }
        let (mut a, mut b) = pair();
        let share = a.begin();
        let reply = b.take(&share).unwrap();
        if let Some(reply) = changed(&reply, change) {
            assert_eq!((a.take(&reply), a.broken), (None, Some(Broken::OtherWords)));
        }
    }
}

#[test]
fn sizes_of_messages_tell_only_how_many_buckets_they_fill() {
    let (mut a, mut b) = pair();
    exchange(&mut a, &mut b);
    // The number of the first is 0, which takes no byte.
    a.say("");
    let mut size = |bytes: usize| a.say(&"x".repeat(bytes)).len();
    assert_eq!(size(1), size(200));
    assert!(size(16 * 1024) <= patchcord_proto::limits::SEALED_BYTES_MAX);
}

#[test]
fn a_refusal_is_heard_and_nothing_is_said_in_clear_after_it() {
    let (mut a, mut b) = pair();
    let share = a.begin();
    b.take(&share);
    a.take(&b.exchange.refusal(Reason::OtherWords));
    assert!(a.refused && a.exchange.seal(&offer("")).is_none());
}

#[test]
fn a_refusal_without_a_session_is_heard_only_while_none_is_under_way() {
    let no_session = |side: &mut Side| {
        side.exchange.handle(&v1::SealedPayload::default().encode_to_vec(), &mut side.guesses).unwrap();
        side.exchange.refusal(Reason::Burnt)
    };
    let (mut a, mut b) = pair();
    b.begin();
    b.take(&no_session(&mut a));
    assert!(b.refused, "what it asked for is refused");
    let (mut a, mut b) = pair();
    let share = a.begin();
    a.take(&no_session(&mut b));
    let reply = b.take(&share).unwrap();
    b.take(&no_session(&mut a));
    let confirmation = a.take(&reply).unwrap();
    b.take(&confirmation);
    a.take(&no_session(&mut b));
    assert!(!a.refused && !b.refused && a.terms.is_some() && b.terms.is_some());
}

/// What a server may do with a payload.
#[derive(Clone, Debug)]
enum Mischief {
    Pass,
    Drop,
    Twice,
    Later,
    Reflect,
    Truncate(usize),
    Flip(usize),
}

fn mischief() -> impl Strategy<Value = Mischief> {
    prop_oneof![
        12 => Just(Mischief::Pass),
        1 => Just(Mischief::Drop),
        1 => Just(Mischief::Twice),
        1 => Just(Mischief::Later),
        1 => Just(Mischief::Reflect),
        1 => (0usize..400).prop_map(Mischief::Truncate),
        1 => (0usize..3200).prop_map(Mischief::Flip),
    ]
}

proptest! {
    #[test]
    fn whatever_is_done_to_the_payloads_only_a_prefix_is_heard(
        acts in proptest::collection::vec(mischief(), 0..40),
    ) {
        let (mut a, mut b) = pair();
        exchange(&mut a, &mut b);
        let mut held: Option<Bytes> = None;
        let mut said = Vec::new();
        for act in acts {
            said.push(said.len().to_string());
            let payload = a.say(said.last().unwrap());
            match act {
                Mischief::Pass => drop(b.take(&payload)),
                Mischief::Drop => {}
                Mischief::Twice => {
                    b.take(&payload);
                    b.take(&payload);
                }
                Mischief::Later => held = Some(payload),
                Mischief::Reflect => drop(a.take(&payload)),
                Mischief::Truncate(length) => drop(b.take(&payload[..length.min(payload.len() - 1)])),
                Mischief::Flip(bit) => {
                    let mut payload = payload.to_vec();
                    let bit = bit % (payload.len() * 8);
                    payload[bit / 8] ^= 1 << (bit % 8);
                    b.take(&payload);
                }
            }
            if !matches!(act, Mischief::Later) && let Some(held) = held.take() {
                b.take(&held);
            }
            prop_assert!(said.starts_with(&b.heard), "{:?} of {said:?}", b.heard);
            prop_assert!(a.heard.is_empty());
            if a.broken.is_some() {
                break;
            }
        }
    }

    #[test]
    fn whatever_is_done_to_the_exchange_no_wrong_terms_are_believed(
        acts in proptest::collection::vec(mischief(), 1..6),
    ) {
        let (mut a, mut b) = pair();
        let mut payload = Some(a.begin());
        for (turn, act) in acts.into_iter().enumerate() {
            let Some(sent) = payload.take() else { break };
            let (to, from) = if turn % 2 == 0 { (&mut b, &mut a) } else { (&mut a, &mut b) };
            payload = match act {
                Mischief::Drop | Mischief::Later => None,
                Mischief::Pass => to.take(&sent),
                Mischief::Twice => to.take(&sent).and(to.take(&sent)),
                Mischief::Reflect => from.take(&sent).or_else(|| to.take(&sent)),
                Mischief::Truncate(length) => to.take(&sent[..length.min(sent.len() - 1)]),
                Mischief::Flip(bit) => {
                    let mut sent = sent.to_vec();
                    let bit = bit % (sent.len() * 8);
                    sent[bit / 8] ^= 1 << (bit % 8);
                    to.take(&sent)
                }
            };
        }
        prop_assert!(a.terms.is_none_or(|theirs| theirs == terms(2)));
        prop_assert!(b.terms.is_none_or(|theirs| theirs == terms(1)));
    }

    #[test]
    fn no_bytes_make_it_panic(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let (mut a, _) = pair();
        a.begin();
        for payload in payloads {
            a.take(&payload);
        }
    }
}
