//! The ICE servers that peers are told: STUN as configured, TURN with credentials that are each peer's
//! own and soon end (TURN REST API, draft-uberti-behave-turn-rest-00 section 2.2).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use patchcord_proto::v1::IceServer;
use sha1::Sha1;

use crate::{
    config::{Config, Secret},
    error::ConfigError,
    peer_id::PeerId,
};

const URLS_MAX: usize = 8;
const STUN_FORM: &str = "stun:host[:port] or stuns:host[:port]";
const TURN_FORM: &str = "turn:host[:port][?transport=udp|tcp] or turns:...";

/// What is told to each peer.
#[derive(Debug)]
pub struct IceServers {
    stun_urls: Vec<String>,
    turn: Option<Turn>,
}

#[derive(Debug)]
struct Turn {
    urls: Vec<String>,
    secret: Secret,
    ttl: Duration,
}

/// What one peer is told.
#[derive(Clone, Debug)]
pub struct Issue {
    /// The servers.
    pub servers: Vec<IceServer>,
    /// When the credentials among them end.
    pub expire_at: Option<SystemTime>,
}

impl IceServers {
    /// What a checked configuration says of ICE servers.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let stun_urls = urls("--stun-url", &config.stun_urls, STUN_FORM, is_stun_url)?;
        let turn_urls = urls("--turn-url", &config.turn_urls, TURN_FORM, is_turn_url)?;
        let turn = match (turn_urls.is_empty(), config.turn_secret.clone()) {
            (true, None) => None,
            (true, Some(_)) => return Err(ConfigError::TurnUrlMissing),
            (false, None) => return Err(ConfigError::TurnSecretMissing),
            (false, Some(secret)) => {
                Some(Turn { urls: turn_urls, secret, ttl: Duration::from_secs(config.turn_ttl_s) })
            }
        };
        Ok(Self { stun_urls, turn })
    }

    /// What this peer is told at this time; credentials only if it may have them.
    pub fn issue(&self, peer_id: PeerId, may_turn: bool, now: SystemTime) -> Issue {
        let mut servers = Vec::new();
        if !self.stun_urls.is_empty() {
            servers.push(IceServer { urls: self.stun_urls.clone(), ..IceServer::default() });
        }
        let expire_at = self.turn.as_ref().filter(|_| may_turn).map(|turn| {
            let (server, expire_at) = turn.issue(peer_id, now);
            servers.push(server);
            expire_at
        });
        Issue { servers, expire_at }
    }

    /// How long after an issue the next is due: well before the credentials end. `None` when they do not.
    pub fn renewal_interval(&self) -> Option<Duration> {
        self.turn.as_ref().map(|turn| turn.ttl * 2 / 3)
    }
}

impl Turn {
    fn issue(&self, peer_id: PeerId, now: SystemTime) -> (IceServer, SystemTime) {
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let expiry = Duration::from_secs(since_epoch.as_secs()) + self.ttl;
        let username = format!("{}:{peer_id}", expiry.as_secs());
        let credential = credential(self.secret.reveal(), &username);
        (IceServer { urls: self.urls.clone(), username, credential }, UNIX_EPOCH + expiry)
    }
}

/// base64(HMAC-SHA1(secret, username)).
fn credential(secret: &str, username: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(username.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

fn urls(
    flag: &'static str,
    given: &[String],
    expected: &'static str,
    is_valid: fn(&str) -> bool,
) -> Result<Vec<String>, ConfigError> {
    let urls: Vec<String> =
        given.iter().map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()).collect();
    if let Some(url) = urls.iter().find(|url| !is_valid(url)) {
        return Err(ConfigError::Url { flag, url: url.clone(), expected });
    }
    if urls.len() > URLS_MAX {
        return Err(ConfigError::TooManyUrls { flag, given: urls.len(), max: URLS_MAX });
    }
    Ok(urls)
}

/// RFC 7064 section 3.1.
fn is_stun_url(url: &str) -> bool {
    url.strip_prefix("stun:").or_else(|| url.strip_prefix("stuns:")).is_some_and(is_host_and_port)
}

/// RFC 7065 section 3.1.
fn is_turn_url(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("turn:").or_else(|| url.strip_prefix("turns:")) else { return false };
    match rest.split_once('?') {
        None => is_host_and_port(rest),
        Some((address, query)) => {
            is_host_and_port(address) && matches!(query, "transport=udp" | "transport=tcp")
        }
    }
}

fn is_host_and_port(address: &str) -> bool {
    let (host, port) = match address.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((host, rest)) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
                (host, rest.strip_prefix(':'))
            }
            _ => return false,
        },
        None => match address.split_once(':') {
            Some((host, port)) if is_host(host) => (host, Some(port)),
            None if is_host(address) => (address, None),
            _ => return false,
        },
    };
    !host.is_empty() && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            stun_urls: vec!["stun:stun.example.org:3478".to_owned()],
            turn_urls: vec!["turn:turn.example.org?transport=udp".to_owned()],
            turn_secret: Some("north".to_owned().into()),
            ..Config::default()
        }
    }

    #[test]
    fn credential_is_that_of_the_turn_rest_draft() {
        assert_eq!(credential("north", "1767225600:peer-7f3a"), "IDvlHju7TMBVJkXy8MWliCkHVsQ=");
    }

    #[test]
    fn credentials_are_the_peers_own_and_end() {
        let servers = IceServers::new(&config()).unwrap();
        let peer_id = PeerId::from_bits([7; 10]);
        let issue = servers.issue(peer_id, true, UNIX_EPOCH + Duration::from_millis(1_000_900));
        assert_eq!(issue.servers.len(), 2);
        assert_eq!(issue.servers[0].urls, ["stun:stun.example.org:3478"]);
        assert_eq!(issue.servers[0].username, "");
        assert_eq!(issue.servers[1].username, format!("1300:{peer_id}"));
        assert_eq!(issue.servers[1].credential, credential("north", &issue.servers[1].username));
        assert_eq!(issue.expire_at, Some(UNIX_EPOCH + Duration::from_secs(1_300)));
        assert_eq!(servers.renewal_interval(), Some(Duration::from_secs(200)));
    }

    #[test]
    fn who_may_not_use_turn_is_told_stun_only() {
        let issue = IceServers::new(&config()).unwrap().issue(PeerId::random(), false, UNIX_EPOCH);
        assert_eq!((issue.servers.len(), issue.expire_at), (1, None));
        assert!(issue.servers[0].credential.is_empty());
    }

    #[test]
    fn without_turn_nothing_expires() {
        let servers = IceServers::new(&Config { turn_urls: vec![], turn_secret: None, ..config() }).unwrap();
        let issue = servers.issue(PeerId::random(), true, UNIX_EPOCH);
        assert_eq!((issue.servers.len(), issue.expire_at, servers.renewal_interval()), (1, None, None));
    }

    #[test]
    fn urls_are_checked() {
        for url in ["stun:a", "stun:a.b:1", "stuns:10.0.0.1:5349", "stun:[::1]:3478", "stun:[::1]"] {
            assert!(is_stun_url(url), "{url}");
        }
        for url in [
            "",
            "stun:",
            "a",
            "turn:a",
            "stun:a:0",
            "stun:a:65536",
            "stun:a:b",
            "stun:[::1",
            "stun:::1",
            "stun:a b",
        ] {
            assert!(!is_stun_url(url), "{url}");
        }
        for url in ["turn:a", "turns:a:443?transport=tcp", "turn:[2001:db8::1]:3478?transport=udp"] {
            assert!(is_turn_url(url), "{url}");
        }
        for url in ["turn:", "stun:a", "turn:a?transport=sctp", "turn:a?", "turn://a"] {
            assert!(!is_turn_url(url), "{url}");
        }
    }

    #[test]
    fn turn_url_and_secret_need_each_other() {
        let lone_url = Config { turn_secret: None, ..config() };
        assert!(matches!(IceServers::new(&lone_url), Err(ConfigError::TurnSecretMissing)));
        let lone_secret = Config { turn_urls: vec![], ..config() };
        assert!(matches!(IceServers::new(&lone_secret), Err(ConfigError::TurnUrlMissing)));
    }
}
