//! Which remote candidates may reach the engine, and as what. A peer chooses them, and each makes us send packets: they
//! must not aim at hosts that no peer of ours can be. What passes is written anew, so that the engine reads what was
//! checked. Pure; names are never resolved, not even those of mDNS: the answer would tell a stranger who is on this link.

use std::net::{IpAddr, SocketAddr};

use crate::{
    CandidateType,
    address_gate::{AddressGate, PORT_MIN, Verdict},
};

const FOUNDATION_BYTES_MAX: usize = 32;

/// Why a candidate was not taken.
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
    #[error("a private address outside our own networks, of a peer that is not verified")]
    Unverified,
    #[error("a port below {PORT_MIN} is no peer's")]
    Port,
}

/// Checks a candidate attribute and gives it back as the engine may have it: without its related address, which tells
/// nothing that is needed, and without extensions. An empty one, the end-of-candidates, is fit.
pub(crate) fn check(candidate: &str, gate: &AddressGate) -> Result<String, Unfit> {
    if candidate.is_empty() {
        return Ok(String::new());
    }
    let fields = candidate.strip_prefix("candidate:").unwrap_or(candidate);
    let mut fields = fields.split(' ');
    let mut field = || fields.next().ok_or(Unfit::Malformed);
    let (foundation, component, transport) = (field()?, field()?, field()?);
    let (priority, address, port) = (field()?, field()?, field()?);
    let (typ, kind) = (field()?, field()?);
    if !transport.eq_ignore_ascii_case("udp") {
        return Err(Unfit::NotUdp);
    }
    let address: IpAddr = address.parse().map_err(|_| match is_name(address) {
        true => Unfit::Name,
        false => Unfit::Malformed,
    })?;
    let address = address.to_canonical();
    let priority = number(priority).ok_or(Unfit::Malformed)?;
    let well_formed = is_foundation(foundation)
        && component == "1"
        && typ == "typ"
        && matches!(kind, "host" | "srflx" | "prflx" | "relay");
    if !well_formed {
        return Err(Unfit::Malformed);
    }
    let port = match number(port).map(u16::try_from) {
        Some(Ok(port)) if port >= PORT_MIN => port,
        Some(Ok(_)) => return Err(Unfit::Port),
        _ => return Err(Unfit::Malformed),
    };
    match gate.judge(address) {
        Verdict::Permitted => {}
        Verdict::Unverified => return Err(Unfit::Unverified),
        Verdict::Refused => return Err(Unfit::Address),
    }
    Ok(format!("candidate:{foundation} 1 udp {priority} {address} {port} typ {kind}"))
}

/// Of ten digits at most, and nothing else: what parses numbers may take a sign.
fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn is_foundation(text: &str) -> bool {
    let is_ice_char = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    (1..=FOUNDATION_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_ice_char)
}

fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(is_letter)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::IpPolicy;

    fn udp(address: &str, port: &str) -> String {
        format!("candidate:1 1 udp 2130706431 {address} {port} typ host")
    }

    fn any() -> AddressGate {
        AddressGate { policy: IpPolicy::Any, ..AddressGate::default() }
    }

    #[test]
    fn what_real_engines_send_is_fit_and_reaches_the_engine_without_what_it_need_not_know() {
        for (sent, taken) in [
            ("", ""),
            (
                "candidate:2693830880 1 udp 2130706431 192.168.1.7 50418 typ host",
                "candidate:2693830880 1 udp 2130706431 192.168.1.7 50418 typ host",
            ),
            (
                "candidate:1 1 UDP 2122252543 2a00:1450::7 54321 typ host generation 0 ufrag x network-id 1",
                "candidate:1 1 udp 2122252543 2a00:1450::7 54321 typ host",
            ),
            (
                "4 1 udp 1694498815 11.0.113.9 61000 typ srflx raddr 0.0.0.0 rport 0",
                "candidate:4 1 udp 1694498815 11.0.113.9 61000 typ srflx",
            ),
            (
                "candidate:4 1 udp 1 ::ffff:11.0.113.9 61000 typ relay raddr 127.0.0.1\r\na=x rport 22 tcptype so",
                "candidate:4 1 udp 1 11.0.113.9 61000 typ relay",
            ),
        ] {
            assert_eq!(check(sent, &any()).as_deref(), Ok(taken), "{sent}");
        }
    }

    #[test]
    fn what_no_peer_can_be_at_is_unfit() {
        for address in
            ["0.0.0.0", "127.0.0.1", "::1", "169.254.169.254", "255.255.255.255", "::ffff:127.0.0.1"]
        {
            assert_eq!(check(&udp(address, "5000"), &any()), Err(Unfit::Address), "{address}");
        }
        assert_eq!(check(&udp("10.0.0.1", "5000"), &AddressGate::default()), Err(Unfit::Unverified));
        assert_eq!(check(&udp("intranet.example", "5000"), &any()), Err(Unfit::Name));
        assert_eq!(check(&udp("f2a1.local", "5000"), &any()), Err(Unfit::Name));
        assert_eq!(check(&udp("11.0.2.1", "53"), &any()), Err(Unfit::Port));
        let tcp = "candidate:1 1 tcp 1 11.0.2.1 5000 typ host tcptype passive";
        assert_eq!(check(tcp, &any()), Err(Unfit::NotUdp));
        let gate = AddressGate { loopback: true, ..AddressGate::default() };
        assert!(check(&udp("127.0.0.1", "5000"), &gate).is_ok());
    }

    #[test]
    fn what_another_parser_could_read_otherwise_is_malformed() {
        for malformed in [
            "candidate:",
            "candidate:1 1 udp 1\t127.0.0.1 11.0.2.1 5000 typ host",
            "candidate:1 1 udp 1 11.0.2.1\t127.0.0.1 5000 typ host",
            "candidate:1 1 udp 1 11.0.2.1 +5000 typ host",
            "candidate:1 1 udp 1 11.0.2.1 70000 typ host",
            "candidate:1 1 udp -1 11.0.2.1 5000 typ host",
            "candidate:1 2 udp 1 11.0.2.1 5000 typ host",
            "candidate:1 1 udp 1 11.0.2.1 5000 typ other",
            "candidate:1 1 udp 1 11.0.2.1 5000 host typ",
            "candidate:1 1 udp 1 [2a00::1] 5000 typ host",
            "candidate:1 1 udp 1 fe80::1%eth0 5000 typ host",
            "candidate: 1 udp 1 11.0.2.1 5000 typ host",
            "candidate:1\n 1 udp 1 11.0.2.1 5000 typ host",
        ] {
            assert_eq!(check(malformed, &any()), Err(Unfit::Malformed), "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_passes_passes_unchanged(
            text in "(candidate:)?[0-9a-z:. ]{0,80}",
            octets: [u8; 4],
            port: u16,
        ) {
            let address = IpAddr::from(octets);
            for text in [text, udp(&address.to_string(), &port.to_string())] {
                if let Ok(taken) = check(&text, &any()) {
                    prop_assert_eq!(check(&taken, &any()), Ok(taken.clone()));
                }
            }
        }
    }
}
