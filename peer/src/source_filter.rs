//! From whom DTLS may come: only from addresses that answered one of our connectivity checks. The engine takes
//! it from anybody once a pair is selected, so that a stranger who guesses the port could race the handshake. And how many
//! checks go where nobody answers: the engine asks each pair 500 times, and a peer makes as many pairs as it likes. And when
//! a check is heard from where the peer has named no candidate. Pure: it is told what goes out and asked about what comes in.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use tokio::time::Instant;

/// Checks that wait for their answer; older ones are forgotten. Each of [`UNANSWERED_MAX`] destinations gets 50 a second, and
/// even a path over satellites answers within a second and a half.
const CHECKS_MAX: usize = 8192;

/// Addresses that answered; a pair of peers has a handful.
const ANSWERED_MAX: usize = 256;

/// Destinations that never answered, in one ICE generation; one more gets no check. An honest peer has no more candidates than
/// the 64 that are taken, and some that are peer-reflexive.
const UNANSWERED_MAX: usize = 100;

/// Checks that each of them gets as often as the engine likes, two seconds' worth of one socket; then one in so many, for a
/// peer that begins later. It is a prime above the number of our sockets, so that each has its turn.
const EAGER_CHECKS: u32 = 100;
const LATER_ONE_IN: u32 = 11;

/// Checks from where the peer has named no candidate are not heard for so long: its candidate may be on its way through the server. The
/// engine would take the pair at once and for good, even if it leads over the peer's relay and another does not.
const UNNAMED_WAIT: Duration = Duration::from_millis(200);

/// Such sources in one ICE generation; one more is heard at once. And named ones; the oldest is forgotten, as it may be of a
/// generation that is over.
const UNNAMED_MAX: usize = 256;
const NAMED_MAX: usize = 256;

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const HEADER_BYTES: usize = 20;

type TransactionId = [u8; 12];

/// What one connection knows of where it may be spoken to from.
#[derive(Debug, Default)]
pub(crate) struct SourceFilter {
    checks: HashMap<TransactionId, SocketAddr>,
    /// The same, oldest first.
    order: VecDeque<TransactionId>,
    /// With the number of the answer that came last.
    answered: HashMap<SocketAddr, u64>,
    answers: u64,
    /// How many checks went, or were to go, to whoever has not answered.
    unanswered: HashMap<SocketAddr, u32>,
    refused: u64,
    /// Where the peer's candidates are.
    named: VecDeque<SocketAddr>,
    /// From where else checks came, and when first.
    unnamed: HashMap<SocketAddr, Instant>,
}

impl SourceFilter {
    /// What was asked in vain in an ICE generation says nothing about the next.
    pub(crate) fn begin_generation(&mut self) {
        self.unanswered.clear();
        self.unnamed.clear();
    }

    /// The engine knows a candidate of the peer at this address.
    pub(crate) fn name(&mut self, address: SocketAddr) {
        if self.named.contains(&address) {
            return;
        }
        if self.named.len() == NAMED_MAX {
            self.named.pop_front();
        }
        self.named.push_back(address);
    }

    /// A datagram is about to go to `destination`; says whether it may.
    pub(crate) fn sends(&mut self, datagram: &[u8], destination: SocketAddr, is_server: bool) -> bool {
        let Some(transaction_id) = binding(datagram, BINDING_REQUEST) else { return true };
        // The socket had no room for it before.
        if self.checks.get(&transaction_id) == Some(&destination) {
            return true;
        }
        let is_free = is_server || self.answered.contains_key(&destination);
        if !is_free && !self.may_ask(destination) {
            self.refused += 1;
            if self.refused.is_power_of_two() {
                tracing::debug!(refused = self.refused, "checks that nobody answers are held back");
            }
            return false;
        }
        if self.order.len() >= CHECKS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.checks.remove(&oldest);
        }
        if self.checks.insert(transaction_id, destination).is_none() {
            self.order.push_back(transaction_id);
        }
        true
    }

    fn may_ask(&mut self, destination: SocketAddr) -> bool {
        if self.unanswered.len() >= UNANSWERED_MAX && !self.unanswered.contains_key(&destination) {
            return false;
        }
        let asked = self.unanswered.entry(destination).or_default();
        *asked = asked.saturating_add(1);
        *asked <= EAGER_CHECKS || asked.is_multiple_of(LATER_ONE_IN)
    }

    /// Whether a datagram from `source` may reach the engine.
    pub(crate) fn admits(&mut self, datagram: &[u8], source: SocketAddr, now: Instant) -> bool {
        if binding(datagram, BINDING_REQUEST).is_some() {
            return self.hears(source, now);
        }
        if let Some(transaction_id) = binding(datagram, BINDING_SUCCESS)
            && self.checks.get(&transaction_id) == Some(&source)
        {
            self.answer(source);
        }
        !is_dtls(datagram) || self.answered.contains_key(&source)
    }

    /// The peer repeats its checks, so that one that is not heard costs nothing but time.
    fn hears(&mut self, source: SocketAddr, now: Instant) -> bool {
        if self.named.contains(&source) || self.answered.contains_key(&source) {
            return true;
        }
        if self.unnamed.len() >= UNNAMED_MAX && !self.unnamed.contains_key(&source) {
            return true;
        }
        now.duration_since(*self.unnamed.entry(source).or_insert(now)) >= UNNAMED_WAIT
    }

    /// The selected pair is asked all the time, so that it is never the one that is forgotten.
    fn answer(&mut self, source: SocketAddr) {
        self.unanswered.remove(&source);
        self.answers += 1;
        self.answered.insert(source, self.answers);
        if self.answered.len() > ANSWERED_MAX {
            let oldest = self.answered.iter().min_by_key(|(_, answer)| **answer).map(|(source, _)| *source);
            oldest.map(|oldest| self.answered.remove(&oldest));
        }
    }
}

/// RFC 7983: the first byte of a DTLS record is 20 to 63.
fn is_dtls(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| (20..=63).contains(first))
}

/// The transaction of a STUN message of this type (RFC 8489 section 5).
fn binding(datagram: &[u8], message_type: [u8; 2]) -> Option<TransactionId> {
    let header = datagram.get(..HEADER_BYTES)?;
    let fits = header[..2] == message_type && header[4..8] == MAGIC_COOKIE;
    fits.then(|| header[8..].try_into().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stun(message_type: [u8; 2], transaction: u8) -> Vec<u8> {
        let mut message = [message_type.as_slice(), &[0, 0], &MAGIC_COOKIE].concat();
        message.extend([transaction; 12]);
        message
    }

    fn now() -> Instant {
        Instant::now()
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn dtls_is_admitted_from_those_that_answered_a_check_and_nobody_else() {
        let mut filter = SourceFilter::default();
        let client_hello = [22, 254, 253];
        assert!(!filter.admits(&client_hello, address(1), now()));
        filter.sends(&stun(BINDING_REQUEST, 7), address(1), false);
        assert!(!filter.admits(&client_hello, address(1), now()), "asked is not answered");
        assert!(filter.admits(&stun(BINDING_SUCCESS, 7), address(1), now()));
        assert!(filter.admits(&client_hello, address(1), now()));
        assert!(!filter.admits(&client_hello, address(2), now()), "another port");
    }

    #[test]
    fn an_answer_that_was_not_asked_for_opens_nothing() {
        let mut filter = SourceFilter::default();
        filter.sends(&stun(BINDING_REQUEST, 7), address(1), false);
        filter.admits(&stun(BINDING_SUCCESS, 8), address(1), now());
        filter.admits(&stun(BINDING_SUCCESS, 7), address(2), now());
        for source in [address(1), address(2)] {
            assert!(!filter.admits(&[22], source, now()));
        }
    }

    #[test]
    fn what_is_no_dtls_passes() {
        let mut filter = SourceFilter::default();
        for other in [stun(BINDING_SUCCESS, 1), vec![0x40, 0, 0, 0], Vec::new(), vec![128, 0]] {
            assert!(filter.admits(&other, address(9), now()));
        }
    }

    fn check(number: u32) -> Vec<u8> {
        let mut request = stun(BINDING_REQUEST, 0);
        request[8..12].copy_from_slice(&number.to_be_bytes());
        request
    }

    #[test]
    fn it_stays_within_its_bounds_and_forgets_whoever_answered_longest_ago() {
        let mut filter = SourceFilter::default();
        for number in 1..=20_000 {
            let destination = address(number as u16);
            let mut request = check(number);
            assert!(filter.sends(&request, destination, false), "whoever answers is asked");
            request[..2].copy_from_slice(&BINDING_SUCCESS);
            filter.admits(&request, destination, now());
            // The selected pair goes on.
            let mut consent = check(1_000_000 + number);
            filter.sends(&consent, address(1), false);
            consent[..2].copy_from_slice(&BINDING_SUCCESS);
            filter.admits(&consent, address(1), now());
            assert!(filter.admits(&[22], destination, now()) && filter.admits(&[22], address(1), now()));
        }
        assert_eq!((filter.checks.len(), filter.order.len()), (CHECKS_MAX, CHECKS_MAX));
        assert_eq!((filter.answered.len(), filter.unanswered.len()), (ANSWERED_MAX, 0));
        assert!(!filter.admits(&[22], address(2), now()));
    }

    #[test]
    fn whoever_never_answers_gets_few_checks_and_only_so_many_destinations_any() {
        // The engine asks each of them 500 times on one socket.
        let ask = |filter: &mut SourceFilter, port: u16, is_server: bool| {
            let number = u32::from(port) * 1000;
            (number..number + 500)
                .filter(|number| filter.sends(&check(*number), address(port), is_server))
                .count()
        };
        let mut filter = SourceFilter::default();
        assert_eq!(ask(&mut filter, 1, false), 100 + 36);
        let asked = (2..=1000).filter(|port| ask(&mut filter, *port, false) > 0).count();
        assert_eq!(asked, UNANSWERED_MAX - 1);
        assert_eq!(ask(&mut filter, 3478, true), 500, "servers are apart");
        filter.begin_generation();
        assert_eq!(ask(&mut filter, 2000, false), 100 + 36);
        // Later checks go from each socket in turn.
        let sockets =
            (0..800_u32).filter(|number| filter.sends(&check(9_000_000 + number), address(3), false));
        let later: std::collections::BTreeSet<_> = sockets.skip(100).map(|number| number % 8).collect();
        assert_eq!(later.len(), 8);
    }

    #[test]
    fn a_check_from_where_no_candidate_is_named_is_heard_later() {
        let (mut filter, begin, check) = (SourceFilter::default(), now(), check(1));
        let hears = |filter: &mut SourceFilter, port, after: Duration| {
            filter.admits(&check, address(port), begin + after)
        };
        let almost = UNNAMED_WAIT - Duration::from_millis(1);
        assert!(!hears(&mut filter, 1, Duration::ZERO) && !hears(&mut filter, 1, almost));
        assert!(hears(&mut filter, 1, UNNAMED_WAIT));
        assert!(!hears(&mut filter, 2, UNNAMED_WAIT), "each has its own wait");
        filter.name(address(2));
        assert!(hears(&mut filter, 2, UNNAMED_WAIT));
        filter.begin_generation();
        assert!(!hears(&mut filter, 1, UNNAMED_WAIT) && hears(&mut filter, 2, UNNAMED_WAIT));
    }

    #[test]
    fn sources_without_a_candidate_are_counted_and_the_last_named_are_kept() {
        let (mut filter, check) = (SourceFilter::default(), check(1));
        let heard = (1..=1000).filter(|port| filter.admits(&check, address(*port), now())).count();
        assert_eq!((heard, filter.unnamed.len()), (1000 - UNNAMED_MAX, UNNAMED_MAX));
        (1..=1000).for_each(|port| filter.name(address(port)));
        filter.name(address(1000));
        assert_eq!(filter.named.len(), NAMED_MAX);
        assert!(filter.named.contains(&address(1000)) && !filter.named.contains(&address(1)));
    }
}
