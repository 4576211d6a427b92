//! What people write for a server, made into urls.

use patchcord_peer::IceServer;

const PUBLIC_PORT: u16 = 50051;
const ADMIN_PORT: u16 = 50052;

pub(super) fn public_url(text: &str) -> Result<String, String> {
    complete_url(text, PUBLIC_PORT)
}

pub(super) fn admin_url(text: &str) -> Result<String, String> {
    complete_url(text, ADMIN_PORT)
}

/// Makes a url of what people write: a url is taken as it is, a host gets `http` and `default_port`.
fn complete_url(text: &str, default_port: u16) -> Result<String, String> {
    let text = text.trim();
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text.into());
    }
    let wrong = || "write HOST, HOST:PORT, http://HOST:PORT or https://HOST:PORT".to_owned();
    if text.is_empty() || text.contains("://") || text.contains(['/', '@', '?', '#', ' ']) {
        return Err(wrong());
    }
    if let Ok(address) = text.parse::<std::net::Ipv6Addr>() {
        return Ok(format!("http://[{address}]:{default_port}"));
    }
    let after_host = text.rfind(']').map_or(text, |end| &text[end..]);
    match after_host.rsplit_once(':') {
        None => Ok(format!("http://{text}:{default_port}")),
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok(format!("http://{text}")),
        Some(_) => Err(wrong()),
    }
}

/// A STUN or TURN url (RFC 7064, RFC 7065); for TURN with the account after it. The credential may hold commas.
pub(super) fn ice_server(text: &str) -> Result<IceServer, String> {
    let wrong = || "write stun:HOST:PORT or turn:HOST:PORT,USERNAME,CREDENTIAL".to_owned();
    let mut parts = text.splitn(3, ',');
    let url = parts.next().unwrap_or_default();
    let account = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (scheme, host) = url.split_once(':').ok_or_else(wrong)?;
    let wants_account = match scheme {
        "stun" | "stuns" => false,
        "turn" | "turns" => true,
        _ => return Err(wrong()),
    };
    let has_account = !account.0.is_empty() && !account.1.is_empty();
    let has_none = !text.contains(',');
    if host.is_empty() || url.contains('@') || !(if wants_account { has_account } else { has_none }) {
        return Err(wrong());
    }
    Ok(IceServer { urls: vec![url.into()], username: account.0.into(), credential: account.1.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_for_a_server_becomes_a_url() {
        for (written, url) in [
            ("host", "http://host:50051"),
            ("host:1", "http://host:1"),
            ("10.0.0.1", "http://10.0.0.1:50051"),
            ("[::1]:7", "http://[::1]:7"),
            ("[::1]", "http://[::1]:50051"),
            ("::1", "http://[::1]:50051"),
            ("https://host", "https://host"),
            ("http://host:9", "http://host:9"),
        ] {
            assert_eq!(public_url(written).as_deref(), Ok(url));
        }
        assert_eq!(admin_url("host").as_deref(), Ok("http://host:50052"));
        for wrong in ["", "ftp://host", "host:port", "host:99999", "a b", "host/path", "user@host"] {
            assert!(public_url(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_turn_server_has_its_account_after_the_url() {
        let turn = ice_server("turn:turn.example:3478?transport=tcp,1700000000:k7m2,c3Vt,Lw==").unwrap();
        assert_eq!(turn.urls, ["turn:turn.example:3478?transport=tcp"]);
        assert_eq!((turn.username.as_str(), turn.credential.as_str()), ("1700000000:k7m2", "c3Vt,Lw=="));
        assert_eq!(ice_server("stun:stun.example:3478").unwrap().urls, ["stun:stun.example:3478"]);
        for wrong in ["", "stun:", "http://x", "turn:host", "turn:host,user", "turn:host,,c", "stun:host,u,c"]
        {
            assert!(ice_server(wrong).is_err(), "{wrong:?}");
        }
        assert!(ice_server("turn:user:credential@host").is_err(), "that is no TURN url");
    }
}
