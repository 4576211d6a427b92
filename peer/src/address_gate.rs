//! To which addresses packets of a connection may go. A peer chooses its candidates and the source of its checks, and
//! each makes us send: nothing may go to hosts that no peer can be, whatever the engine was told. Pure.
//!
//! Invariant: what is refused for a candidate is refused for a datagram; only STUN and TURN servers are apart.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::IpPolicy;

/// Ports below belong to services that a peer's ephemeral socket cannot have.
pub(crate) const PORT_MIN: u16 = 1024;

/// Addresses of STUN and TURN servers; more than any configuration resolves to.
const SERVERS_MAX: usize = 256;

/// Whose an address can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Public,
    /// RFC 1918, RFC 6598, RFC 4193 and, as some networks use it so, RFC 2544.
    Private,
    Loopback,
    /// Nobody's: no peer can have it.
    Special,
}

/// Whether packets may go to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Permitted,
    /// It is private and in none of our own networks: only for a peer that is verified.
    Unverified,
    Refused,
}

/// The addresses of one network of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub address: IpAddr,
    pub prefix_bits: u8,
}

/// What one connection keeps to.
#[derive(Debug, Default)]
pub(crate) struct AddressGate {
    /// We gather on loopback ourselves; else no peer can be there.
    pub loopback: bool,
    pub policy: IpPolicy,
    /// The peer is verified.
    pub verified: bool,
    /// Nothing may go out but to TURN servers.
    pub relay_only: bool,
    pub networks: Vec<Network>,
    pub servers: BTreeSet<SocketAddr>,
}

impl AddressGate {
    /// An address of a STUN or TURN server that this side chose or was told by its signaling server.
    pub(crate) fn add_server(&mut self, server: SocketAddr) {
        if self.servers.len() < SERVERS_MAX {
            self.servers.insert(canonical(server));
        }
    }

    /// Whether a peer may be at an address.
    pub(crate) fn judge(&self, address: IpAddr) -> Verdict {
        let address = address.to_canonical();
        let permitted = match scope(address) {
            Scope::Public => true,
            Scope::Loopback => self.loopback,
            Scope::Special => false,
            Scope::Private if self.policy == IpPolicy::Any || self.verified => true,
            Scope::Private => {
                let at_a_server = self.servers.iter().any(|server| server.ip() == address);
                return match at_a_server || self.networks.iter().any(|network| network.contains(address)) {
                    true => Verdict::Permitted,
                    false => Verdict::Unverified,
                };
            }
        };
        if permitted { Verdict::Permitted } else { Verdict::Refused }
    }

    /// Whether it is one of those.
    pub(crate) fn is_server(&self, address: SocketAddr) -> bool {
        self.servers.contains(&canonical(address))
    }

    /// Whether a datagram may go to an address, or come from there.
    pub(crate) fn permits(&self, address: SocketAddr) -> bool {
        let address = canonical(address);
        if self.servers.contains(&address) {
            return true;
        }
        let is_direct = address.port() >= PORT_MIN && self.judge(address.ip()) == Verdict::Permitted;
        is_direct && !self.relay_only
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let bits = u32::from(self.prefix_bits);
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) if bits <= 32 => {
                let hosts = u32::MAX.checked_shr(bits).unwrap_or(0);
                let host = u32::from(other) & hosts;
                // The first and the last address of a network are no host's (RFC 1122), unless it is a link of two.
                let is_host = hosts <= 1 || (host != 0 && host != hosts);
                u32::from(own) & !hosts == u32::from(other) & !hosts && is_host
            }
            (IpAddr::V6(own), IpAddr::V6(other)) if bits <= 128 => {
                let hosts = u128::MAX.checked_shr(bits).unwrap_or(0);
                u128::from(own) & !hosts == u128::from(other) & !hosts
            }
            _ => false,
        }
    }
}

/// By the registries of special-purpose addresses (RFC 6890 and what has come to them since).
pub(crate) fn scope(address: IpAddr) -> Scope {
    match address.to_canonical() {
        IpAddr::V4(v4) => scope_v4(v4),
        IpAddr::V6(v6) => scope_v6(v6),
    }
}

fn scope_v4(address: Ipv4Addr) -> Scope {
    match address.octets() {
        [127, ..] => Scope::Loopback,
        // This network, link-local, protocol assignments, documentation, the relays of 6to4, multicast, reserved.
        [0, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => Scope::Special,
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] | [198, 18 | 19, ..] => {
            Scope::Private
        }
        _ => Scope::Public,
    }
}

fn scope_v6(address: Ipv6Addr) -> Scope {
    let segments = address.segments();
    let embedded =
        |high: u16, low: u16| match scope_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))) {
            Scope::Public => Scope::Public,
            _ => Scope::Special,
        };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => Scope::Loopback,
        // NAT64 (RFC 6052) and 6to4 (RFC 3056) lead to an IPv4 address, which must be one that they may carry.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        [0xfc00..=0xfdff, ..] => Scope::Private,
        // Protocol assignments with Teredo and ORCHID, and documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Scope::Special,
        [0x2000..=0x3fff, ..] => Scope::Public,
        // Nothing else is allotted to hosts: link-local, site-local, multicast, and what is left.
        _ => Scope::Special,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn guarded(networks: &[(&str, u8)]) -> AddressGate {
        let networks = networks
            .iter()
            .map(|(address, bits)| Network { address: ip(address), prefix_bits: *bits })
            .collect();
        AddressGate { networks, ..AddressGate::default() }
    }

    #[test]
    fn addresses_are_sorted_by_whose_they_can_be() {
        let sorted = [
            (
                Scope::Public,
                "1.1.1.1 11.0.0.1 172.32.0.1 100.128.0.1 192.0.1.1 223.255.255.254 2a00::1 2001:4860::8",
            ),
            (Scope::Public, "64:ff9b::1.1.1.1 2002:101:101::1 ::ffff:1.1.1.1"),
            (
                Scope::Private,
                "10.0.0.1 172.16.0.1 172.31.9.9 192.168.1.7 100.64.0.1 100.127.1.1 198.18.0.1 fd00::1 fc00::1",
            ),
            (Scope::Private, "::ffff:10.0.0.1"),
            (Scope::Loopback, "127.0.0.1 127.9.9.9 ::1 ::ffff:127.0.0.1"),
            (
                Scope::Special,
                "0.0.0.0 0.1.2.3 169.254.169.254 192.0.0.8 192.0.2.1 198.51.100.1 203.0.113.9 192.88.99.1",
            ),
            (Scope::Special, "224.0.0.251 239.1.1.1 240.0.0.1 255.255.255.255 ::ffff:169.254.169.254"),
            (
                Scope::Special,
                ":: fe80::1 fec0::1 ff02::fb ::127.0.0.1 ::10.0.0.1 100::1 5f00::1 4000::1 2001:db8::7",
            ),
            (Scope::Special, "2001::1 2001:10::1 2001:2::1 3fff::1 64:ff9b:1::a00:1"),
            (
                Scope::Special,
                "64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 2002:7f00:1::1 2002:a00:1::1",
            ),
        ];
        for (expected, addresses) in sorted {
            for address in addresses.split(' ') {
                assert_eq!(scope(ip(address)), expected, "{address}");
            }
        }
    }

    #[test]
    fn a_private_address_is_taken_from_our_own_networks_from_whoever_is_verified_or_under_any() {
        let mut gate = guarded(&[("192.168.1.7", 24), ("fd12::7", 64), ("100.64.0.9", 32), ("10.9.0.0", 31)]);
        for near in
            ["192.168.1.1", "192.168.1.254", "fd12::ffff", "100.64.0.9", "10.9.0.1", "::ffff:192.168.1.1"]
        {
            assert_eq!(gate.judge(ip(near)), Verdict::Permitted, "{near}");
        }
        let far = ["192.168.2.1", "192.168.1.255", "192.168.1.0", "10.0.0.1", "fd13::1", "100.64.0.10"];
        for far in far {
            assert_eq!(gate.judge(ip(far)), Verdict::Unverified, "{far}");
        }
        gate.verified = true;
        assert!(far.iter().all(|far| gate.judge(ip(far)) == Verdict::Permitted));
        let any = AddressGate { policy: IpPolicy::Any, ..AddressGate::default() };
        assert!(far.iter().all(|far| any.judge(ip(far)) == Verdict::Permitted));
        assert_eq!(any.judge(ip("169.254.169.254")), Verdict::Refused);
        assert_eq!(any.judge(ip("127.0.0.1")), Verdict::Refused);
        let whole = guarded(&[("10.0.0.1", 0), ("fd00::1", 0)]);
        assert_eq!(whole.judge(ip("192.168.1.1")), Verdict::Permitted);
    }

    #[test]
    fn a_server_is_reached_wherever_it_is_and_nothing_else_of_its_host_that_is_special() {
        let mut gate = AddressGate::default();
        let turn = SocketAddr::new(ip("127.0.0.1"), 3478);
        assert!(!gate.permits(turn));
        gate.add_server(turn);
        assert!(gate.permits(turn) && gate.permits("[::ffff:127.0.0.1]:3478".parse().unwrap()));
        assert!(!gate.permits(SocketAddr::new(ip("127.0.0.1"), 3479)));
        gate.add_server("10.0.0.5:3478".parse().unwrap());
        // Where the relay's own addresses are.
        assert!(gate.permits("10.0.0.5:50000".parse().unwrap()));
        gate.relay_only = true;
        assert!(gate.permits("10.0.0.5:3478".parse().unwrap()));
        assert!(
            !gate.permits("10.0.0.5:50000".parse().unwrap())
                && !gate.permits("1.1.1.1:5000".parse().unwrap())
        );
        for port in 0..2 * SERVERS_MAX {
            gate.add_server(SocketAddr::new(ip("1.1.1.1"), port as u16));
        }
        assert_eq!(gate.servers.len(), SERVERS_MAX);
    }

    proptest! {
        #[test]
        fn nothing_special_is_ever_permitted(v4: u32, v6: u128, port: u16, verified: bool, any: bool) {
            let policy = if any { IpPolicy::Any } else { IpPolicy::Guarded };
            let gate = AddressGate { verified, policy, ..AddressGate::default() };
            for address in [IpAddr::from(Ipv4Addr::from(v4)), Ipv6Addr::from(v6).into(), Ipv4Addr::from(v4).to_ipv6_mapped().into()] {
                if gate.permits(SocketAddr::new(address, port)) {
                    prop_assert!(port >= PORT_MIN && !address.is_loopback() && !address.is_multicast());
                    prop_assert!(matches!(scope(address), Scope::Public | Scope::Private));
                }
            }
        }
    }
}
