//! What a token permits its bearer, for as long as the session lives.

use serde::{Deserialize, Deserializer};

/// One thing that a token may permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Enter a room.
    Join,
    /// Make a room by entering one that is not there.
    Create,
    /// Send other peers offers, answers, candidates and what is sealed.
    Send,
    /// Be given credentials for TURN servers.
    Turn,
    /// Use the admin door, with a token for every room.
    Admin,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Join, Self::Create, Self::Send, Self::Turn, Self::Admin];

    /// As it stands in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Create => "create",
            Self::Send => "send",
            Self::Turn => "turn",
            Self::Admin => "admin",
        }
    }

    /// The permission of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == name)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u8);

impl Permissions {
    /// Whether this one is among them.
    pub fn has(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Each, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.has(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | permission.bit()))
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        // What a later version permits is nothing here.
        Ok(names.iter().filter_map(|name| Permission::parse(name)).collect())
    }
}

/// What a token granted to its bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which key signed the token: its `kid`.
    pub key_id: Box<str>,
    /// Who the bearer is, to operators: `sub`; may be empty.
    pub subject: Box<str>,
    /// Which token it is: `jti`; may be empty.
    pub token_id: Box<str>,
    /// From when the token is, in seconds since 1970.
    pub issued_at: u64,
    /// What it permits.
    pub permissions: Permissions,
}
