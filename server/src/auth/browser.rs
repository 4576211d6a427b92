//! What a page in somebody's browser could have been made to send. Such a page reaches what the browser's machine reaches,
//! loopback too, and may send there what it likes as long as it does not ask to read the answer (Fetch standard, "no-cors").

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{
        HeaderMap,
        header::{CONTENT_TYPE, HOST, ORIGIN},
        uri::Authority,
    },
};

use super::Denied;

/// What is not asked for in gRPC.
const PLAIN_PAGES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Refuses what a browser adds its origin to, and whatever is no gRPC although it is for a service: gRPC is told by its path
/// alone, and its content type is none that a page may send without being asked.
pub fn check_kind(path: &str, headers: &HeaderMap) -> Result<(), Denied> {
    if headers.contains_key(ORIGIN) {
        return Err(Denied::FromPage);
    }
    match PLAIN_PAGES.contains(&path) || is_grpc(headers) {
        true => Ok(()),
        false => Err(Denied::NotGrpc),
    }
}

/// Refuses what was sent to a name: a page may have let its own name lead here (DNS rebinding), and is then of one origin with
/// what it asks. No name leads to an address but the address itself, and `localhost` belongs to nobody (RFC 6761 section 6.3).
pub fn check_host(request: &Request) -> Result<(), Denied> {
    let of_header = || Authority::try_from(request.headers().get(HOST)?.as_bytes()).ok();
    let authority = request.uri().authority().cloned().or_else(of_header);
    match authority.is_some_and(|authority| is_own(authority.host())) {
        true => Ok(()),
        false => Err(Denied::HostName),
    }
}

/// Whether it was asked in gRPC.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn is_own(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_nobody_elses() {
        let told = |uri: &str, host: Option<&str>| {
            let builder =
                host.into_iter().fold(Request::get(uri), |builder, host| builder.header(HOST, host));
            check_host(&builder.body(Body::empty()).unwrap())
        };
        for own in ["127.0.0.1", "127.0.0.1:50052", "[::1]:50052", "192.0.2.1:1", "localhost", "LocalHost:1"]
        {
            assert_eq!(told("/", Some(own)), Ok(()), "{own}");
            assert_eq!(told(&format!("http://{own}/"), None), Ok(()), "{own}");
        }
        assert_eq!(told("/", Some("server.localhost.:50052")), Ok(()));
        for other in
            ["evil.example", "localhost.evil.example:50052", "127.0.0.1.evil.example", "notlocalhost", ""]
        {
            assert_eq!(told("/", Some(other)), Err(Denied::HostName), "{other}");
        }
        assert_eq!(told("/", None), Err(Denied::HostName));
        // In HTTP/2 it is the authority that a client was led to by its name.
        assert_eq!(told("http://evil.example/", Some("localhost")), Err(Denied::HostName));
    }
}
