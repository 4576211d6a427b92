//! Every flag and variable with its default and limit. All of it is checked before anything is bound;
//! what is no flag is a constant here.

mod admin;
mod allowances;
mod tls;

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::{Parser, ValueEnum};
use patchcord_proto::{limits, v1::Limits};

use crate::{
    error::{ConfigError, read_file},
    ice_servers::IceServers,
    tls::{TlsDoor, read as read_tls},
    tokens::Tokens,
};

pub use admin::{AdminSettings, KeySources};
pub use allowances::*;
pub use tls::{TlsFiles, TlsSettings};

/// Where the public door is by default.
pub const LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 50051);
/// Where the admin door is by default: for this machine only.
pub const ADMIN_LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 50052);
/// Seconds that TURN credentials are good for by default.
pub const TURN_TTL_DEFAULT_S: u64 = 300;
/// Seconds that a peer has to come back after its stream is lost, by default.
pub const GRACE_TIME_DEFAULT_S: u64 = 30;
/// What tokens have to be for, by default.
pub const TOKEN_AUDIENCE_DEFAULT: &str = "patchcord";
/// Seconds that a token may be good for at most, by default.
pub const TOKEN_TTL_MAX_DEFAULT_S: u64 = 86_400;
/// Rooms of a server by default.
pub const ROOMS_MAX_DEFAULT: usize = 100_000;
/// Peers of a room by default.
pub const PEERS_PER_ROOM_MAX_DEFAULT: usize = 64;
/// Sessions of one connection by default.
pub const SESSIONS_PER_CONNECTION_MAX_DEFAULT: usize = 8;

/// Relayed messages and answers that may wait for a peer.
pub const OUTBOX_RELAYED_MESSAGES_MAX: usize = 120;
/// Bytes of relayed messages and answers that may wait for a peer.
pub const OUTBOX_RELAYED_BYTES_MAX: usize = 192 * 1024;
/// What may wait besides: `Joined`, one answer more, new ICE servers, an acknowledgement, the end.
const OUTBOX_SESSION_MESSAGES_MAX: usize = 8;
/// And of each peer that a room may have, that one left and another came.
const OUTBOX_MESSAGES_PER_PEER: usize = 2;
/// All that makes in bytes, and a roster's entry, with something to spare.
const OUTBOX_BYTES_PER_PEER: usize = 1024;
/// Responses kept for a peer that has not acknowledged them.
pub const RETAINED_MESSAGES_MAX: usize = 256;
/// Bytes kept for a peer that has not acknowledged them.
pub const RETAINED_BYTES_MAX: usize = 256 * 1024;
/// How long a peer may not read while its outbox is full.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(5);
/// From the acceptance of a connection to the end of its preface.
pub const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);
/// Without a byte for this long, the sum of what keepalive waits, a connection has to be about to end.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(12);
/// How long it has for that before it is cut: when its end is not read, keepalive cannot end it.
pub const IDLE_GRACE: Duration = Duration::from_secs(3);
/// From the opening of a stream to a successful join.
pub const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests carried out before the peer is told so, if nothing else goes out.
pub const ACK_EVERY: u64 = 16;
/// How long after a request the peer is told so, if nothing else goes out.
pub const ACK_DELAY: Duration = Duration::from_millis(250);
/// Seconds' worth of joins to one room that may come at once: four times the peers that it may have.
pub const ROOM_JOIN_BURST_S: u32 = 8;

/// Joins to one room a second: half the peers that it may have, for everybody there has to be told of each.
pub fn room_joins_rate(peers_per_room_max: usize) -> u32 {
    u32::try_from(peers_per_room_max).unwrap_or(u32::MAX).div_ceil(2)
}

/// How often a peer may change its profile: everybody in the room has to be told each time.
pub const UPDATE_PROFILE_INTERVAL: Duration = Duration::from_secs(1);
/// How long open streams and connections have to end by themselves after the signal to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// How long connections that did not end by themselves have to be cut.
pub const CUT_TIMEOUT: Duration = Duration::from_millis(500);
/// Over how long peers that have to come back are spread.
pub const RECONNECT_SPREAD: Duration = Duration::from_secs(1);
/// How long handling of a unary call may take.
pub const UNARY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often files that are read again when they change are looked at.
pub const RELOAD_POLL_INTERVAL: Duration = Duration::from_secs(10);
/// Wrong keys of one address a second at the admin door.
pub const WRONG_KEYS_PER_ADDRESS_RATE: u32 = 1;
/// Seconds' worth of wrong keys that may come at once.
pub const WRONG_KEY_BURST_S: u32 = 10;
/// How often it is looked whether whoever watches rooms would still be let in.
pub const PASS_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Watchers of rooms at one time.
pub const WATCHERS_MAX: usize = 64;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Something that must not appear in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(secret: &str) -> Result<Self, Self::Err> {
        Ok(Self(secret.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// How the switchboard serves.
#[derive(Clone, Debug, Parser)]
#[command(name = "patchcord-server", version, max_term_width = 110)]
pub struct Config {
    /// Address and port of the public door: signaling, health, reflection.
    #[arg(long, env = "PATCHCORD_LISTEN", value_name = "ADDRESS", default_value_t = LISTEN_DEFAULT)]
    pub listen: SocketAddr,

    /// Address and port of the admin door: rooms, health, reflection, /metrics, /livez, /readyz. Whoever
    /// reaches it can remove peers.
    #[arg(long, env = "PATCHCORD_ADMIN_LISTEN", value_name = "ADDRESS", default_value_t = ADMIN_LISTEN_DEFAULT)]
    pub admin_listen: SocketAddr,

    /// Open no admin door.
    #[arg(long, env = "PATCHCORD_NO_ADMIN", value_parser = on_or_off)]
    pub no_admin: bool,

    /// TLS of both doors.
    #[command(flatten)]
    pub tls: TlsSettings,

    /// Keys of operators.
    #[command(flatten)]
    pub admin: AdminSettings,

    /// A STUN server told to peers, as `stun:HOST:PORT`; may be repeated, or separated by commas.
    #[arg(long = "stun-url", env = "PATCHCORD_STUN_URL", value_name = "URL", value_delimiter = ',')]
    pub stun_urls: Vec<String>,

    /// A TURN server told to peers, as `turn:HOST:PORT?transport=udp` or `turns:...`, port and transport as
    /// needed; may be repeated, or separated by commas.
    #[arg(long = "turn-url", env = "PATCHCORD_TURN_URL", value_name = "URL", value_delimiter = ',')]
    pub turn_urls: Vec<String>,

    /// The secret shared with the TURN servers (coturn: static-auth-secret), from which each peer's
    /// credentials are made.
    #[arg(long, env = "PATCHCORD_TURN_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub turn_secret: Option<Secret>,

    /// A file that holds that secret; white space at its ends is dropped.
    #[arg(long, env = "PATCHCORD_TURN_SECRET_FILE", value_name = "PATH", value_parser = any_path)]
    pub turn_secret_file: Option<PathBuf>,

    /// Seconds that TURN credentials are good for, 60 to 86400. Peers are sent new ones before.
    #[arg(long = "turn-ttl", env = "PATCHCORD_TURN_TTL", value_name = "SECONDS", default_value_t = TURN_TTL_DEFAULT_S)]
    pub turn_ttl_s: u64,

    /// Seconds that a peer whose stream is lost has to come back before it has left, 0 to 600. With 0 a lost
    /// stream is a leave.
    #[arg(long = "grace-time", env = "PATCHCORD_GRACE_TIME", value_name = "SECONDS", default_value_t = GRACE_TIME_DEFAULT_S)]
    pub grace_time_s: u64,

    /// Let only those join who have a token that is signed with a key of this file, a JWK Set; `patchcord-server key`
    /// makes one. Keys may be added and taken out while the server runs. [default: everybody may join]
    #[arg(long, env = "PATCHCORD_TOKEN_KEYS_FILE", value_name = "PATH", value_parser = any_path)]
    pub token_keys_file: Option<PathBuf>,

    /// What tokens must be for (aud): another name for each server that shares keys with this one.
    #[arg(long, env = "PATCHCORD_TOKEN_AUDIENCE", value_name = "NAME", default_value = TOKEN_AUDIENCE_DEFAULT)]
    pub token_audience: String,

    /// Seconds that a token may be good for at most, 60 to 31536000; so long a revoked one is remembered.
    #[arg(long = "token-ttl-max", env = "PATCHCORD_TOKEN_TTL_MAX", value_name = "SECONDS", default_value_t = TOKEN_TTL_MAX_DEFAULT_S)]
    pub token_ttl_max_s: u64,

    /// Keep in this file which tokens are revoked, so that a restart does not forget it; it must be this server's own.
    #[arg(long, env = "PATCHCORD_REVOKED_FILE", value_name = "PATH", value_parser = any_path)]
    pub revoked_file: Option<PathBuf>,

    /// Rooms at one time, 1 to 10000000.
    #[arg(long, env = "PATCHCORD_ROOMS_MAX", value_name = "COUNT", default_value_t = ROOMS_MAX_DEFAULT)]
    pub rooms_max: usize,

    /// Peers in a room at one time, 2 to 1000.
    #[arg(long, env = "PATCHCORD_PEERS_PER_ROOM_MAX", value_name = "COUNT", default_value_t = PEERS_PER_ROOM_MAX_DEFAULT)]
    pub peers_per_room_max: usize,

    /// Sessions on one connection at one time, 1 to 10000. Behind a proxy that shares its connections between
    /// users, raise it.
    #[arg(long, env = "PATCHCORD_SESSIONS_PER_CONNECTION_MAX", value_name = "COUNT",
          default_value_t = SESSIONS_PER_CONNECTION_MAX_DEFAULT)]
    pub sessions_per_connection_max: usize,

    /// What one address, connection or session may take.
    #[command(flatten)]
    pub allowances: Allowances,

    /// How the log on stderr is written.
    #[arg(long, env = "PATCHCORD_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, or a filter such as info,patchcord_server=debug.
    #[arg(long, env = "PATCHCORD_LOG_LEVEL", value_name = "FILTER", default_value = "info")]
    pub log_level: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: LISTEN_DEFAULT,
            admin_listen: ADMIN_LISTEN_DEFAULT,
            no_admin: false,
            tls: TlsSettings::default(),
            admin: AdminSettings::default(),
            stun_urls: Vec::new(),
            turn_urls: Vec::new(),
            turn_secret: None,
            turn_secret_file: None,
            turn_ttl_s: TURN_TTL_DEFAULT_S,
            grace_time_s: GRACE_TIME_DEFAULT_S,
            token_keys_file: None,
            token_audience: TOKEN_AUDIENCE_DEFAULT.to_owned(),
            token_ttl_max_s: TOKEN_TTL_MAX_DEFAULT_S,
            revoked_file: None,
            rooms_max: ROOMS_MAX_DEFAULT,
            peers_per_room_max: PEERS_PER_ROOM_MAX_DEFAULT,
            sessions_per_connection_max: SESSIONS_PER_CONNECTION_MAX_DEFAULT,
            allowances: Allowances::default(),
            log_format: LogFormat::default(),
            log_level: "info".to_owned(),
        }
    }
}

impl Config {
    /// Checks everything that can be checked without binding, what is in files too. The file of TURN's secret is read for
    /// good: what is returned holds the secret itself. All others are read again by who serves.
    ///
    /// # Errors
    /// The first thing that is wrong, with the flag's name.
    pub fn checked(mut self) -> Result<Self, ConfigError> {
        if !self.no_admin && self.listen == self.admin_listen && self.listen.port() != 0 {
            return Err(ConfigError::SameAddress(self.listen));
        }
        in_range("--turn-ttl", self.turn_ttl_s, 60, 86_400)?;
        in_range("--grace-time", self.grace_time_s, 0, 600)?;
        in_range("--token-ttl-max", self.token_ttl_max_s, 60, 31_536_000)?;
        in_range("--rooms-max", self.rooms_max as u64, 1, 10_000_000)?;
        in_range("--peers-per-room-max", self.peers_per_room_max as u64, 2, 1_000)?;
        in_range("--sessions-per-connection-max", self.sessions_per_connection_max as u64, 1, 10_000)?;
        self.allowances.check()?;
        for (door, files) in [(TlsDoor::Public, self.tls.public()?), (TlsDoor::Admin, self.tls.admin()?)] {
            if let Some(files) = files {
                read_tls(door, &files)?;
            }
        }
        self.check_admin()?;
        self.turn_secret = self.read_turn_secret()?;
        self.turn_secret_file = None;
        IceServers::new(&self)?;
        Tokens::check(&self)?;
        Ok(self)
    }

    fn read_turn_secret(&self) -> Result<Option<Secret>, ConfigError> {
        // A variable that is set to nothing, as compose files do, is one that is not set.
        let secret = self.turn_secret.clone().filter(|secret| !secret.reveal().is_empty());
        match (secret, given(&self.turn_secret_file)) {
            (Some(_), Some(_)) => Err(ConfigError::TurnSecretTwice),
            (secret, None) => Ok(secret),
            (None, Some(path)) => match read_file(path).and_then(into_text) {
                Ok(text) if text.trim().is_empty() => {
                    Err(ConfigError::TurnSecretEmpty { path: path.to_owned() })
                }
                Ok(text) => Ok(Some(text.trim().to_owned().into())),
                Err(source) => Err(ConfigError::TurnSecretFile { path: path.to_owned(), source }),
            },
        }
    }

    /// Whether only those may join who have a token.
    pub fn tokens_required(&self) -> bool {
        self.token_keys_file().is_some()
    }

    pub(crate) fn token_keys_file(&self) -> Option<&Path> {
        given(&self.token_keys_file)
    }

    pub(crate) fn revoked_file(&self) -> Option<&Path> {
        given(&self.revoked_file)
    }

    /// How long a peer whose stream is lost has to come back.
    pub(crate) fn grace_time(&self) -> Duration {
        Duration::from_secs(self.grace_time_s)
    }

    /// Responses that may wait for a peer: 256 by default, more where rooms are larger.
    pub(crate) fn outbox_messages_max(&self) -> usize {
        let peers = self.peers_per_room_max.max(PEERS_PER_ROOM_MAX_DEFAULT);
        OUTBOX_RELAYED_MESSAGES_MAX + OUTBOX_SESSION_MESSAGES_MAX + peers * OUTBOX_MESSAGES_PER_PEER
    }

    /// Bytes that may wait for a peer: 256 KiB by default, more where rooms are larger.
    pub(crate) fn outbox_bytes_max(&self) -> usize {
        let peers = self.peers_per_room_max.max(PEERS_PER_ROOM_MAX_DEFAULT);
        OUTBOX_RELAYED_BYTES_MAX + peers * OUTBOX_BYTES_PER_PEER
    }

    /// The limits as peers are told them.
    pub fn limits(&self) -> Limits {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Limits {
            room_name_bytes_max: count(limits::ROOM_NAME_BYTES_MAX),
            display_name_bytes_max: count(limits::DISPLAY_NAME_BYTES_MAX),
            sdp_bytes_max: count(limits::SDP_BYTES_MAX),
            candidate_bytes_max: count(limits::CANDIDATE_BYTES_MAX),
            sealed_bytes_max: count(limits::SEALED_BYTES_MAX),
            peers_per_room_max: count(self.peers_per_room_max),
            outbox_messages_max: count(self.outbox_messages_max()),
            outbox_bytes_max: count(self.outbox_bytes_max()),
            stall_timeout: crate::frame::duration(STALL_TIMEOUT),
        }
    }
}

fn into_text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text"))
}

/// An empty one too: compose files set variables to nothing, which is to say that they are not set.
fn any_path(path: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(path.into())
}

/// A variable that is set to nothing is one that is not set.
fn given(path: &Option<PathBuf>) -> Option<&Path> {
    path.as_deref().filter(|path| !path.as_os_str().is_empty())
}

/// What a variable says of a flag; to nothing is to say that it is not set.
fn on_or_off(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "" | "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("write true or false"),
    }
}

fn in_range(flag: &'static str, given: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&given) { Ok(()) } else { Err(ConfigError::OutOfRange { flag, given, min, max }) }
}

#[cfg(test)]
mod tests;
