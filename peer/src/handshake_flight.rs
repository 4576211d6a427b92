//! The last DTLS handshake flight of a connection, to be sent again while nothing comes of it. rtc-dtls 0.21.1
//! stops its own timer at the first packet of an answer, so that an answer of which one packet is lost ends the
//! handshake for good. Pure: it is told what goes out and comes in, and when. What arrives twice is dropped as a
//! replay (RFC 6347 section 4.1.2.6).

use std::{net::SocketAddr, time::Duration};

use tokio::time::Instant;

/// As RFC 6347 section 4.2.4.1: the first wait, doubled each time.
const RESEND_AFTER: Duration = Duration::from_secs(1);
const RESENDS_MAX: u32 = 5;

/// Datagrams of a flight; with one certificate each it has five at most.
const DATAGRAMS_MAX: usize = 16;
const DATAGRAM_BYTES_MAX: usize = 2048;

const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
/// The header of TURN's ChannelData (RFC 8656 section 12.4) before what is relayed.
const CHANNEL_DATA_HEADER_BYTES: usize = 4;

/// What one socket sent last of a handshake.
#[derive(Debug, Default)]
pub(crate) struct HandshakeFlight {
    datagrams: Vec<(Vec<u8>, SocketAddr)>,
    /// Something came since: what goes out next is another flight.
    answered: bool,
    resends: u32,
    due: Option<Instant>,
}

impl HandshakeFlight {
    /// A datagram goes to `destination`. Says whether nothing was due before, so that nobody waits for it.
    pub(crate) fn sent(&mut self, datagram: &[u8], destination: SocketAddr, now: Instant) -> bool {
        if !is_handshake(datagram) || datagram.len() > DATAGRAM_BYTES_MAX {
            return false;
        }
        let was_idle = self.due.is_none();
        if std::mem::take(&mut self.answered) {
            self.datagrams.clear();
            self.resends = 0;
        }
        if self.datagrams.len() < DATAGRAMS_MAX {
            self.datagrams.push((datagram.to_vec(), destination));
        }
        self.due = Some(now + RESEND_AFTER * (1 << self.resends));
        was_idle
    }

    /// A datagram came.
    pub(crate) fn received(&mut self, datagram: &[u8]) {
        self.answered |= is_handshake(datagram);
    }

    /// When the flight goes out again; `None` when it has often enough.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The flight, if it is due.
    pub(crate) fn resend(&mut self, now: Instant) -> Vec<(Vec<u8>, SocketAddr)> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.resends += 1;
        self.due = (self.resends < RESENDS_MAX).then(|| now + RESEND_AFTER * (1 << self.resends));
        self.datagrams.clone()
    }
}

/// A record of the handshake, by itself or in a TURN server's channel (RFC 7983).
fn is_handshake(datagram: &[u8]) -> bool {
    let record = match datagram.first() {
        Some(64..=79) => datagram.get(CHANNEL_DATA_HEADER_BYTES..).unwrap_or_default(),
        _ => datagram,
    };
    record.first().is_some_and(|content_type| [CHANGE_CIPHER_SPEC, HANDSHAKE].contains(content_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> SocketAddr {
        ([127, 0, 0, 1], 5000).into()
    }

    #[test]
    fn a_flight_goes_out_again_until_another_follows_or_it_is_enough() {
        let (mut flight, now) = (HandshakeFlight::default(), Instant::now());
        assert!(flight.sent(&[22, 1], peer(), now));
        assert!(!flight.sent(&[22, 2], peer(), now));
        assert!(flight.resend(now).is_empty());
        let due = flight.due().unwrap();
        assert_eq!(due, now + RESEND_AFTER);
        assert_eq!(flight.resend(due).len(), 2);
        assert_eq!(flight.due(), Some(due + 2 * RESEND_AFTER));
        flight.received(&[22, 3]);
        assert!(!flight.sent(&[22, 4], peer(), due));
        assert_eq!(flight.resend(due + RESEND_AFTER), [(vec![22, 4], peer())]);
        let resends = std::iter::from_fn(|| flight.due().map(|due| flight.resend(due).len())).count();
        assert_eq!(resends, RESENDS_MAX as usize - 1);
    }

    #[test]
    fn only_the_handshake_is_kept_by_itself_or_in_a_channel() {
        for (datagram, is_kept) in [
            (&[20, 1][..], true),
            (&[22], true),
            (&[21], false),
            (&[23], false),
            (&[0, 1], false),
            (&[64, 0, 0, 1, 22], true),
            (&[79, 0, 0, 1, 23], false),
            (&[64, 0], false),
            (&[], false),
        ] {
            assert_eq!(is_handshake(datagram), is_kept, "{datagram:?}");
        }
    }

    #[test]
    fn it_is_bounded() {
        let (mut flight, now) = (HandshakeFlight::default(), Instant::now());
        flight.sent(&[22; DATAGRAM_BYTES_MAX + 1], peer(), now);
        assert_eq!(flight.due(), None);
        (0..1000).for_each(|_| {
            flight.sent(&[22], peer(), now);
        });
        assert_eq!(flight.datagrams.len(), DATAGRAMS_MAX);
    }
}
