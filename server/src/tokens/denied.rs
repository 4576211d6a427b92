//! Why a token is not taken: in words that tell its honest bearer what to do, and a guesser nothing. Nothing of the
//! token is in them.

use std::time::Duration;

use super::grant::Permission;

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// None was sent.
    Missing,
    /// What was sent is no JWT of the kind that we take, whoever signed it.
    Malformed,
    /// The key it names is not here.
    UnknownKey,
    /// The key it names did not sign it.
    Signature,
    /// A claim that it must have is missing or is not what it should be.
    Claim(&'static str),
    /// It is for another server.
    Audience,
    /// It was good until so long ago.
    Expired(Duration),
    /// It will be good in so long.
    NotYet(Duration),
    /// It is good for longer than this at most.
    LivesTooLong(Duration),
    /// It is for another room.
    OtherRoom,
    /// It does not permit this.
    NoPermission(Permission),
    /// An operator took it back.
    Revoked,
}

impl Denied {
    /// For metrics and the log.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claim(_) => "claim",
            Self::Audience => "audience",
            Self::Expired(_) => "expired",
            Self::NotYet(_) => "not_yet",
            Self::LivesTooLong(_) => "lives_too_long",
            Self::OtherRoom => "other_room",
            Self::NoPermission(Permission::Join) => "no_join",
            Self::NoPermission(Permission::Create) => "no_create",
            Self::NoPermission(Permission::Send) => "no_send",
            Self::NoPermission(Permission::Turn) => "no_turn",
            Self::NoPermission(Permission::Admin) => "no_admin",
            Self::Revoked => "revoked",
        }
    }
}

impl std::fmt::Display for Denied {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const ASK: &str = "ask whoever runs the server for";
        match self {
            Self::Missing => write!(formatter, "this server lets in who has a token: {ASK} one"),
            Self::Malformed => write!(
                formatter,
                "what was sent is no token: it must be a signed JWT, whole and without quotes"
            ),
            Self::UnknownKey => {
                write!(formatter, "the token is signed with a key that is not in use here: {ASK} a new token")
            }
            Self::Signature => {
                write!(formatter, "the token is not signed as its key would sign it: {ASK} a new one")
            }
            Self::Claim(claim) => write!(formatter, "the token's {claim}: {ASK} another"),
            Self::Audience => {
                write!(formatter, "the token is for another server: its aud does not name this one")
            }
            Self::Expired(ago) => write!(
                formatter,
                "the token has expired {} ago by the server's clock: {ASK} a new one",
                Span(*ago)
            ),
            Self::NotYet(wait) => write!(
                formatter,
                "the token becomes valid in {} by the server's clock: wait, or compare clocks",
                Span(*wait)
            ),
            Self::LivesTooLong(most) => write!(
                formatter,
                "the token is good for longer than {}, which is the most that is taken here: {ASK} one that ends sooner",
                Span(*most)
            ),
            Self::OtherRoom => write!(formatter, "the token is for another room: {ASK} one for this room"),
            Self::NoPermission(permission) => {
                let what = match permission {
                    Permission::Join => "does not permit to join a room",
                    Permission::Create => "does not permit to open a room, and nobody is in this one",
                    Permission::Send => "does not permit to send to other peers",
                    Permission::Turn => "does not permit to use TURN servers",
                    Permission::Admin => "does not permit administration of every room",
                };
                write!(formatter, "the token {what}: {ASK} one with \"{}\"", permission.as_str())
            }
            Self::Revoked => write!(formatter, "the token was revoked by whoever runs the server"),
        }
    }
}

/// A time as people say it: in its largest unit, rounded down.
struct Span(Duration);

impl std::fmt::Display for Span {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..=119 => write!(formatter, "{seconds} s"),
            seconds @ 120..=7_199 => write!(formatter, "{} min", seconds / 60),
            seconds @ 7_200..=172_799 => write!(formatter, "{} h", seconds / 3_600),
            seconds => write!(formatter, "{} days", seconds / 86_400),
        }
    }
}

impl std::error::Error for Denied {}
