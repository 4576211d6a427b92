//! From whom DTLS may come: only from addresses that answered one of our connectivity checks. The engine takes
//! it from anybody once a pair is selected, so that a stranger who guesses the port could race the handshake.
//! Pure: it is told what goes out and asked about what comes in.

use std::{
    collections::{HashSet, VecDeque},
    net::SocketAddr,
};

/// Checks that wait for their answer; older ones are forgotten.
const CHECKS_MAX: usize = 1024;

/// Addresses that answered; a pair of peers has a handful.
const ANSWERED_MAX: usize = 256;

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const HEADER_BYTES: usize = 20;

type TransactionId = [u8; 12];

/// What one connection knows of where it may be spoken to from.
#[derive(Debug, Default)]
pub(crate) struct SourceFilter {
    checks: VecDeque<(TransactionId, SocketAddr)>,
    answered: HashSet<SocketAddr>,
}

impl SourceFilter {
    /// A datagram goes to `destination`.
    pub(crate) fn sent(&mut self, datagram: &[u8], destination: SocketAddr) {
        if let Some(transaction_id) = binding(datagram, BINDING_REQUEST) {
            if self.checks.len() >= CHECKS_MAX {
                self.checks.pop_front();
            }
            self.checks.push_back((transaction_id, destination));
        }
    }

    /// Whether a datagram from `source` may reach the engine.
    pub(crate) fn admits(&mut self, datagram: &[u8], source: SocketAddr) -> bool {
        if let Some(transaction_id) = binding(datagram, BINDING_SUCCESS)
            && self.checks.contains(&(transaction_id, source))
            && self.answered.len() < ANSWERED_MAX
        {
            self.answered.insert(source);
        }
        !is_dtls(datagram) || self.answered.contains(&source)
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

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn dtls_is_admitted_from_those_that_answered_a_check_and_nobody_else() {
        let mut filter = SourceFilter::default();
        let client_hello = [22, 254, 253];
        assert!(!filter.admits(&client_hello, address(1)));
        filter.sent(&stun(BINDING_REQUEST, 7), address(1));
        assert!(!filter.admits(&client_hello, address(1)), "asked is not answered");
        assert!(filter.admits(&stun(BINDING_SUCCESS, 7), address(1)));
        assert!(filter.admits(&client_hello, address(1)));
        assert!(!filter.admits(&client_hello, address(2)), "another port");
    }

    #[test]
    fn an_answer_that_was_not_asked_for_opens_nothing() {
        let mut filter = SourceFilter::default();
        filter.sent(&stun(BINDING_REQUEST, 7), address(1));
        filter.admits(&stun(BINDING_SUCCESS, 8), address(1));
        filter.admits(&stun(BINDING_SUCCESS, 7), address(2));
        for source in [address(1), address(2)] {
            assert!(!filter.admits(&[22], source));
        }
    }

    #[test]
    fn what_is_no_dtls_passes() {
        let mut filter = SourceFilter::default();
        for other in [stun(BINDING_REQUEST, 1), vec![0x40, 0, 0, 0], Vec::new(), vec![128, 0]] {
            assert!(filter.admits(&other, address(9)));
        }
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let mut filter = SourceFilter::default();
        for port in 1..=5000 {
            let mut request = stun(BINDING_REQUEST, 0);
            request[8..10].copy_from_slice(&u16::to_be_bytes(port));
            filter.sent(&request, address(port));
            request[..2].copy_from_slice(&BINDING_SUCCESS);
            filter.admits(&request, address(port));
        }
        assert_eq!((filter.checks.len(), filter.answered.len()), (CHECKS_MAX, ANSWERED_MAX));
    }
}
