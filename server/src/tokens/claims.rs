//! What a token says (RFC 7519 section 4.1, and `room` or `room_prefix`, and `perm`), and whether that is to be believed at a time.
//! Pure: the time is given. Only what a key has signed comes here.

use std::time::Duration;

use patchcord_proto::limits::ROOM_NAME_BYTES_MAX;
use serde::{Deserialize, Serialize, Serializer};

use super::{
    denied::Denied,
    grant::{Grant, Permissions},
    jwk::Jwk,
    jws::{self, NotSigned},
};
use crate::name::{RoomName, is_printable};

/// By how much clocks may differ.
pub const LEEWAY: Duration = Duration::from_secs(30);
/// Bytes of `sub` and of `jti`.
pub const ID_BYTES_MAX: usize = 128;
/// The last second of the year 9999. What is beyond is a mistake, such as milliseconds.
const TIME_MAX: f64 = 253_402_300_799.0;

/// What a server takes.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What `aud` has to name.
    pub audience: String,
    /// For how long a token may be good at most.
    pub ttl_max: Duration,
}

/// Which rooms a token is for. Each kind has a claim of its own, because a name may hold any sign that could tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum RoomPattern {
    /// The one of this name: `room`.
    #[serde(rename = "room")]
    Name(String),
    /// All whose names begin so, and with nothing every room: `room_prefix`.
    #[serde(rename = "room_prefix")]
    Prefix(String),
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// For which server.
    #[serde(rename = "aud")]
    pub audience: String,
    /// For whom; may be empty.
    #[serde(rename = "sub", skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Which token this is; may be empty.
    #[serde(rename = "jti", skip_serializing_if = "String::is_empty")]
    pub token_id: String,
    /// Since when, in seconds since 1970.
    #[serde(rename = "iat")]
    pub issued_at: u64,
    /// Until when.
    #[serde(rename = "exp")]
    pub expires_at: u64,
    /// For which rooms.
    #[serde(flatten)]
    pub room: RoomPattern,
    /// To do what.
    #[serde(rename = "perm", serialize_with = "names")]
    pub permissions: Permissions,
}

/// As it was signed. What a member twice would mean nobody knows, so serde refuses it; other members are not read.
#[derive(Deserialize)]
struct Raw {
    aud: Option<Audience>,
    sub: Option<String>,
    jti: Option<String>,
    iat: Option<f64>,
    nbf: Option<f64>,
    exp: Option<f64>,
    room: Option<String>,
    room_prefix: Option<String>,
    perm: Option<Permissions>,
}

/// RFC 7519 section 4.1.3: one, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(several) => several.iter().any(|one| one == audience),
        }
    }
}

impl Rules {
    /// How long what was issued by now is good at most, by any clock that is near enough.
    pub fn remembered(&self) -> Duration {
        self.ttl_max + 2 * LEEWAY
    }
}

impl Claims {
    /// Reads what a key has signed, if a server with these rules takes it at this time.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(payload: &[u8], rules: &Rules, now: u64) -> Result<Self, Denied> {
        let raw: Raw = jws::object(payload)?;
        if !raw.aud.as_ref().is_some_and(|audience| audience.names(&rules.audience)) {
            return Err(Denied::Audience);
        }
        let expires_at = time("exp is no time", raw.exp)?.ok_or(Denied::Claim("exp is missing"))?;
        // nbf does not stand in for it: a token that begins later than it was made would outlive the revocation of its subject.
        let issued_at = time("iat is no time", raw.iat)?.ok_or(Denied::Claim("iat is missing"))?;
        if let Some(begins_at) = time("nbf is no time", raw.nbf)? {
            begun(begins_at, now)?;
        }
        let room = match (raw.room, raw.room_prefix) {
            (Some(name), None) => RoomPattern::Name(name),
            (None, Some(prefix)) => RoomPattern::Prefix(prefix),
            (None, None) => return Err(Denied::Claim("room or room_prefix is missing")),
            (Some(_), Some(_)) => return Err(Denied::Claim("room and room_prefix exclude each other")),
        };
        let permissions = raw.perm.ok_or(Denied::Claim("perm is missing"))?;
        let claims = Self {
            audience: rules.audience.clone(),
            subject: raw.sub.unwrap_or_default(),
            token_id: raw.jti.unwrap_or_default(),
            issued_at,
            expires_at,
            room,
            permissions,
        };
        claims.check(rules, now).map(|()| claims)
    }

    /// Whether a server with these rules takes it at this time.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, rules: &Rules, now: u64) -> Result<(), Denied> {
        if self.audience != rules.audience {
            return Err(Denied::Audience);
        }
        if now > self.expires_at.saturating_add(LEEWAY.as_secs()) {
            return Err(Denied::Expired(Duration::from_secs(now - self.expires_at)));
        }
        begun(self.issued_at, now)?;
        if self.expires_at.saturating_sub(self.issued_at) > rules.ttl_max.as_secs() {
            return Err(Denied::LivesTooLong(rules.ttl_max));
        }
        if !is_id(&self.subject) {
            return Err(Denied::Claim("sub is longer than 128 bytes or not printable"));
        }
        if !is_id(&self.token_id) {
            return Err(Denied::Claim("jti is longer than 128 bytes or not printable"));
        }
        match &self.room {
            RoomPattern::Name(name) if RoomName::parse(name, ROOM_NAME_BYTES_MAX).is_none() => {
                Err(Denied::Claim("room is no name of a room: 1 to 128 bytes, printable"))
            }
            RoomPattern::Name(_) | RoomPattern::Prefix(_) => Ok(()),
        }
    }

    /// A token that says so.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, key: &Jwk) -> Result<String, NotSigned> {
        jws::sign(key, self)
    }

    /// What is left of it once it is taken, signed with this key.
    pub fn grant(&self, key_id: &str) -> Grant {
        Grant {
            key_id: key_id.into(),
            subject: self.subject.as_str().into(),
            token_id: self.token_id.as_str().into(),
            issued_at: self.issued_at,
            permissions: self.permissions,
        }
    }
}

impl RoomPattern {
    /// Whether a room is among them.
    pub fn covers(&self, room: &str) -> bool {
        match self {
            Self::Name(name) => room == name,
            Self::Prefix(prefix) => room.starts_with(prefix.as_str()),
        }
    }

    /// Whether all rooms are.
    pub fn is_every(&self) -> bool {
        matches!(self, Self::Prefix(prefix) if prefix.is_empty())
    }
}

fn names<S: Serializer>(permissions: &Permissions, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(permissions.iter().map(|permission| permission.as_str()))
}

/// A NumericDate (RFC 7519 section 2) in whole seconds.
fn time(what: &'static str, given: Option<f64>) -> Result<Option<u64>, Denied> {
    match given {
        None => Ok(None),
        Some(time) if (0.0..=TIME_MAX).contains(&time) => Ok(Some(time as u64)),
        Some(_) => Err(Denied::Claim(what)),
    }
}

fn begun(begins_at: u64, now: u64) -> Result<(), Denied> {
    match now.saturating_add(LEEWAY.as_secs()) < begins_at {
        true => Err(Denied::NotYet(Duration::from_secs(begins_at - now))),
        false => Ok(()),
    }
}

/// Shown to operators and written to the log.
fn is_id(text: &str) -> bool {
    text.len() <= ID_BYTES_MAX && is_printable(text)
}

#[cfg(test)]
mod tests;
