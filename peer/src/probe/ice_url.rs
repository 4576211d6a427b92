//! STUN and TURN urls (RFC 7064, RFC 7065) as something to connect to.

use super::Trouble;

const PORT: u16 = 3478;
const SECURED_PORT: u16 = 5349;

/// How a STUN or TURN server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A plain stream.
    Tcp,
    /// A stream over TLS.
    Tls,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IceUrl {
    pub is_turn: bool,
    pub host: String,
    pub port: u16,
    pub transport: Transport,
}

impl IceUrl {
    pub(super) fn parse(url: &str) -> Result<Self, Trouble> {
        let wrong = || Trouble::InvalidUrl("it is neither stun:HOST:PORT nor turn:HOST:PORT");
        let (scheme, rest) = url.split_once(':').ok_or_else(wrong)?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let scheme = scheme.to_ascii_lowercase();
        let is_turn = scheme.starts_with("turn");
        let transport = match (scheme.as_str(), query) {
            ("stun", "") | ("turn", "" | "transport=udp") => Transport::Udp,
            ("turn", "transport=tcp") => Transport::Tcp,
            ("stuns", "") | ("turns", "" | "transport=tcp") => Transport::Tls,
            ("turns", "transport=udp") => {
                return Err(Trouble::InvalidUrl("TURN over DTLS is not supported"));
            }
            _ => return Err(wrong()),
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(literal) => literal.split_once(']').ok_or_else(wrong)?,
            None => address.find(':').map_or((address, ""), |at| address.split_at(at)),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| wrong())?,
            None if !port.is_empty() => return Err(wrong()),
            None if transport == Transport::Tls => SECURED_PORT,
            None => PORT,
        };
        match host.is_empty() {
            true => Err(wrong()),
            false => Ok(Self { is_turn, host: host.to_owned(), port, transport }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_of_url_is_told_apart() {
        let parsed = |url| {
            let IceUrl { is_turn, host, port, transport } = IceUrl::parse(url).unwrap();
            (is_turn, host, port, transport)
        };
        for (url, is_turn, host, port, transport) in [
            ("stun:stun.example", false, "stun.example", 3478, Transport::Udp),
            ("STUN:192.0.2.1:19302", false, "192.0.2.1", 19302, Transport::Udp),
            ("stuns:stun.example", false, "stun.example", 5349, Transport::Tls),
            ("turn:turn.example", true, "turn.example", 3478, Transport::Udp),
            ("turn:turn.example:80?transport=tcp", true, "turn.example", 80, Transport::Tcp),
            ("turns:[2001:db8::1]:443", true, "2001:db8::1", 443, Transport::Tls),
        ] {
            assert_eq!(parsed(url), (is_turn, host.to_owned(), port, transport), "{url}");
        }
        for wrong in ["", "turn", "turn:", "http://x", "stun:x:port", "turns:x?transport=udp", "turn:[::1]9"]
        {
            assert!(matches!(IceUrl::parse(wrong), Err(Trouble::InvalidUrl(_))), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_server_names_is_parsed_or_refused(url in "(stun|turn)?s?:?\\PC{0,40}") {
            if let Ok(parsed) = IceUrl::parse(&url) {
                prop_assert!(!parsed.host.is_empty());
            }
        }
    }
}
