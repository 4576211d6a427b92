//! Which remote candidates may reach the engine. A peer chooses them, and each makes us send packets: they must
//! not aim at hosts that no peer of ours can be. Pure; names are never resolved.

use std::net::{IpAddr, SocketAddr};

use crate::CandidateType;

/// Ports below belong to services that a peer's ephemeral socket cannot have.
const PORT_MIN: u16 = 1024;

/// Why a candidate was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("it is no candidate attribute (RFC 8839 section 5.1)")]
    Malformed,
    #[error("only UDP is used")]
    NotUdp,
    #[error("it names a host, and names are not resolved")]
    Name,
    #[error("no peer can have that address")]
    Address,
    #[error("a port below {PORT_MIN} is no peer's")]
    Port,
}

/// Checks a candidate attribute. `loopback` is whether we gather on loopback ourselves; else no peer can be
/// there. An empty one, the end-of-candidates, is fit.
pub(crate) fn check(candidate: &str, loopback: bool) -> Result<(), Unfit> {
    if candidate.is_empty() {
        return Ok(());
    }
    let fields = candidate.strip_prefix("candidate:").unwrap_or(candidate);
    let mut fields = fields.split(' ');
    let (_foundation, _component) = (fields.next(), fields.next());
    let transport = fields.next().ok_or(Unfit::Malformed)?;
    let _priority = fields.next();
    let address = fields.next().ok_or(Unfit::Malformed)?;
    let port = fields.next().ok_or(Unfit::Malformed)?;
    if !transport.eq_ignore_ascii_case("udp") {
        return Err(Unfit::NotUdp);
    }
    let address: IpAddr = address.parse().map_err(|_| Unfit::Name)?;
    if !is_possible(address.to_canonical(), loopback) {
        return Err(Unfit::Address);
    }
    match port.parse::<u16>() {
        Ok(port) if port >= PORT_MIN => Ok(()),
        Ok(_) => Err(Unfit::Port),
        Err(_) => Err(Unfit::Malformed),
    }
}

/// What a candidate attribute says it is; none for the end-of-candidates.
pub(crate) fn candidate_type(candidate: &str) -> Option<CandidateType> {
    let mut fields = candidate.split(' ').skip_while(|field| *field != "typ");
    match fields.nth(1)? {
        "host" => Some(CandidateType::Host),
        "srflx" => Some(CandidateType::Srflx),
        "relay" => Some(CandidateType::Relay),
        _ => Some(CandidateType::Prflx),
    }
}

/// Where a candidate attribute says it is; none for names and for the end-of-candidates.
pub(crate) fn transport_address(candidate: &str) -> Option<SocketAddr> {
    let mut fields = candidate.split(' ').skip(4);
    let address: IpAddr = fields.next()?.parse().ok()?;
    Some(SocketAddr::new(address.to_canonical(), fields.next()?.parse().ok()?))
}

fn is_possible(address: IpAddr, loopback: bool) -> bool {
    if address.is_loopback() {
        return loopback;
    }
    let impossible = match address {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_broadcast() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(impossible || address.is_unspecified() || address.is_multicast())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn udp(address: &str, port: &str) -> String {
        format!("candidate:1 1 udp 2130706431 {address} {port} typ host")
    }

    #[test]
    fn what_real_engines_send_is_fit() {
        for fit in [
            "",
            "candidate:2693830880 1 udp 2130706431 192.168.1.7 50418 typ host",
            "candidate:1 1 UDP 2122252543 2001:db8::7 54321 typ host generation 0 ufrag x network-id 1",
            "candidate:4 1 udp 1694498815 203.0.113.9 61000 typ srflx raddr 0.0.0.0 rport 0",
        ] {
            assert_eq!(check(fit, false), Ok(()), "{fit}");
        }
    }

    #[test]
    fn what_no_peer_can_be_at_is_unfit() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "::1",
            "::",
            "169.254.169.254",
            "224.0.0.251",
            "255.255.255.255",
        ] {
            assert_eq!(check(&udp(address, "5000"), false), Err(Unfit::Address), "{address}");
        }
        for address in ["::ffff:127.0.0.1", "::ffff:169.254.169.254", "fe80::1", "ff02::fb"] {
            assert_eq!(check(&udp(address, "5000"), false), Err(Unfit::Address), "{address}");
        }
        assert_eq!(check(&udp("intranet.example", "5000"), false), Err(Unfit::Name));
        assert_eq!(check(&udp("f2a1.local", "5000"), false), Err(Unfit::Name));
        assert_eq!(check(&udp("192.0.2.1", "53"), false), Err(Unfit::Port));
        assert_eq!(
            check("candidate:1 1 tcp 1 192.0.2.1 5000 typ host tcptype passive", false),
            Err(Unfit::NotUdp)
        );
        assert_eq!(check("candidate:", false), Err(Unfit::Malformed));
        assert_eq!(check(&udp("127.0.0.1", "5000"), true), Ok(()));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_nothing_impossible_passes(
            text in ".{0,80}",
            octets: [u8; 4],
            port: u16,
        ) {
            let _ = check(&text, false);
            let address = IpAddr::from(octets);
            if check(&udp(&address.to_string(), &port.to_string()), false).is_ok() {
                prop_assert!(port >= PORT_MIN && !address.is_loopback() && !address.is_multicast() && octets[0] != 0);
            }
        }
    }
}
