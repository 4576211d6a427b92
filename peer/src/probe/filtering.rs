//! Whom a NAT or a firewall lets in (RFC 5780 section 4.4): a server is asked to answer from its other address.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};

use super::stun;

/// When it is asked again; an answer that is filtered never comes, and one that is lost must not pass for it.
const ROUNDS: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(900),
    Duration::from_millis(1500),
];

const DATAGRAM_BYTES_MAX: usize = 2048;

/// Which packets from outside reach a socket of ours (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filtering {
    /// No server that could be asked has two addresses to answer from.
    #[default]
    Unknown,
    /// Everybody's ("full cone", or no NAT).
    EndpointIndependent,
    /// Only those from where we have sent to ("restricted", or a firewall).
    EndpointDependent,
}

/// Asks `server`, which is known to answer, as `other` is, to answer from `other`.
pub(super) async fn test(server: SocketAddr, other: SocketAddr, local: IpAddr) -> Filtering {
    // From a port of its own: `other` has not been sent to from here.
    let Ok(socket) = UdpSocket::bind((local, 0)).await else { return Filtering::Unknown };
    let request = stun::binding_answered_from_elsewhere();
    let mut datagram = [0; DATAGRAM_BYTES_MAX];
    let begun = Instant::now();
    for round in ROUNDS {
        if socket.send_to(&request.raw, server).await.is_err() {
            return Filtering::Unknown;
        }
        while let Ok(received) = timeout_at(begun + round, socket.recv_from(&mut datagram)).await {
            let Ok((length, source)) = received else { return Filtering::Unknown };
            let response = stun::decode(&datagram[..length]);
            if response.is_none_or(|response| response.transaction_id != request.transaction_id) {
                continue;
            }
            // A server that cannot do so refuses, or answers from where it was asked.
            return if source == other { Filtering::EndpointIndependent } else { Filtering::Unknown };
        }
    }
    Filtering::EndpointDependent
}
