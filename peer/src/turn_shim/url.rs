//! The TURN urls (RFC 7065) that need a stream.

const PORT: u16 = 3478;
const SECURED_PORT: u16 = 5349;

/// A TURN server behind TCP or TLS.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StreamUrl {
    /// Without brackets.
    pub host: String,
    pub port: u16,
    pub secured: bool,
}

impl StreamUrl {
    /// None for every other url.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let secured = match scheme.to_ascii_lowercase().as_str() {
            "turn" if query == "transport=tcp" => false,
            "turns" if query.is_empty() || query == "transport=tcp" => true,
            _ => return None,
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(literal) => literal.split_once(']')?,
            None => address.find(':').map_or((address, ""), |at| address.split_at(at)),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if port.is_empty() => {
                if secured {
                    SECURED_PORT
                } else {
                    PORT
                }
            }
            None => return None,
        };
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port, secured })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_need_a_stream_are_told_from_the_others() {
        let parsed = |url| StreamUrl::parse(url).map(|url| (url.host, url.port, url.secured));
        let of = |host: &str, port, secured| Some((host.to_owned(), port, secured));
        assert_eq!(parsed("turn:turn.example?transport=tcp"), of("turn.example", 3478, false));
        assert_eq!(parsed("turn:192.0.2.1:80?transport=tcp"), of("192.0.2.1", 80, false));
        assert_eq!(parsed("turns:turn.example"), of("turn.example", 5349, true));
        assert_eq!(parsed("turns:[2001:db8::1]:443?transport=tcp"), of("2001:db8::1", 443, true));
        for other in [
            "turn:turn.example",
            "turn:turn.example?transport=udp",
            "turns:turn.example?transport=udp",
            "stun:turn.example",
            "turns:",
            "turns:turn.example:port",
            "turns:[2001:db8::1]443",
            "",
        ] {
            assert_eq!(parsed(other), None, "{other}");
        }
    }
}
