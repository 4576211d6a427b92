//! What kind of NAT stands before this machine, judged by what servers see of one socket. Pure.

use std::net::SocketAddr;

/// How a NAT maps one socket of ours (RFC 4787 section 4.1), as far as what was seen can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// No server said how it sees us.
    Unknown,
    /// Servers see the address that the socket has: nothing translates it.
    None {
        /// That address.
        address: SocketAddr,
    },
    /// Every server sees the same address and port: direct connections work with most peers.
    EndpointIndependent {
        /// What they see.
        mapped: SocketAddr,
    },
    /// Each server sees another ("symmetric"): a peer cannot be told where to send, so that a direct connection
    /// works only with peers that have an open NAT or none.
    EndpointDependent {
        /// What one sees.
        mapped: SocketAddr,
        /// What another sees.
        other: SocketAddr,
    },
    /// There is a NAT, and servers on only one address could be asked: which of the two kinds cannot be known.
    Unclear {
        /// What is seen.
        mapped: SocketAddr,
    },
}

/// One server's view of one socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Whom we asked.
    pub server: SocketAddr,
    /// Where packets to it leave from, as we know it.
    pub local: SocketAddr,
    /// Where they come from, as it knows it.
    pub mapped: SocketAddr,
}

/// The NAT that explains `views` of one socket.
pub(super) fn judge(views: &[View]) -> Nat {
    // One server may be in our own network and others beyond the NAT.
    let mut translated = views.iter().filter(|view| view.mapped != view.local);
    let Some(first) = translated.next() else {
        return match views.first() {
            Some(view) => Nat::None { address: view.mapped },
            None => Nat::Unknown,
        };
    };
    let mapped = first.mapped;
    let mut elsewhere = false;
    for view in translated {
        if view.mapped != mapped {
            return Nat::EndpointDependent { mapped, other: view.mapped };
        }
        // Two ports of one address show only half of it: the mapping may still depend on the address.
        elsewhere |= view.server.ip() != first.server.ip();
    }
    if elsewhere { Nat::EndpointIndependent { mapped } } else { Nat::Unclear { mapped } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOCAL: &str = "192.168.1.2:5000";

    fn judged(views: &[(&str, &str)]) -> Nat {
        let address = |text: &str| text.parse().unwrap();
        let view = |(server, mapped): &(&str, &str)| View {
            server: address(server),
            local: address(LOCAL),
            mapped: address(mapped),
        };
        judge(&views.iter().map(view).collect::<Vec<_>>())
    }

    #[test]
    fn what_servers_see_tells_the_kind_of_nat_and_no_more_than_that() {
        let mapped = "198.51.100.1:7000".parse().unwrap();
        assert_eq!(judged(&[]), Nat::Unknown);
        assert_eq!(judged(&[("203.0.113.1:3478", LOCAL)]), Nat::None { address: LOCAL.parse().unwrap() });
        assert_eq!(judged(&[("203.0.113.1:3478", "198.51.100.1:7000")]), Nat::Unclear { mapped });
        let two_ports = [("203.0.113.1:1", "198.51.100.1:7000"), ("203.0.113.1:2", "198.51.100.1:7000")];
        assert_eq!(judged(&two_ports), Nat::Unclear { mapped });
        let two_hosts = [("203.0.113.1:1", "198.51.100.1:7000"), ("203.0.113.2:1", "198.51.100.1:7000")];
        assert_eq!(judged(&two_hosts), Nat::EndpointIndependent { mapped });
        let symmetric = [("203.0.113.1:1", "198.51.100.1:7000"), ("203.0.113.2:1", "198.51.100.1:7001")];
        let other = "198.51.100.1:7001".parse().unwrap();
        assert_eq!(judged(&symmetric), Nat::EndpointDependent { mapped, other });
    }

    #[test]
    fn a_server_on_our_side_of_the_nat_does_not_make_it_symmetric() {
        let mapped = "198.51.100.1:7000".parse().unwrap();
        let views = [("192.168.1.9:3478", LOCAL), ("203.0.113.1:1", "198.51.100.1:7000")];
        assert_eq!(judged(&views), Nat::Unclear { mapped });
    }

    proptest! {
        #[test]
        fn the_order_of_answers_does_not_change_the_kind(
            seen in prop::collection::vec((0_u8..3, 0_u8..3), 0..6),
        ) {
            let views: Vec<View> = seen
                .iter()
                .map(|(server, mapped)| View {
                    server: ([203, 0, 113, *server], 3478).into(),
                    local: ([10, 0, 0, 0], 1).into(),
                    mapped: ([10, 0, 0, *mapped], 1).into(),
                })
                .collect();
            let backwards: Vec<View> = views.iter().rev().copied().collect();
            let kinds = (judge(&views), judge(&backwards));
            prop_assert_eq!(std::mem::discriminant(&kinds.0), std::mem::discriminant(&kinds.1));
        }
    }
}
