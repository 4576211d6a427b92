//! Who may join: tokens (JWT, RFC 7519) that somebody whom the operator trusts has signed. What a token lets its
//! bearer do is in it, and the server keeps nothing but the keys and what was revoked.

mod claims;
mod denied;
mod grant;
mod jwk;
mod jws;
mod revoked;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::RwLock;
use tokio::sync::Notify;

pub use claims::{Claims, LEEWAY, RoomPattern, Rules};
pub use denied::Denied;
pub use grant::{Grant, Permission, Permissions};
pub use jwk::{Algorithm, Jwk, KeyFileError, KeySet, KeySetError, KeyUnfit};
pub use jws::NotSigned;
pub use revoked::{Revocation, RevokeError, Revoked, RevokedFileError, Target};

use crate::{
    config::Config,
    error::{ConfigError, Flag},
    name::RoomName,
    reload::Reload,
};

/// What decides whether a token is taken.
pub struct Tokens {
    keys_file: PathBuf,
    keys: RwLock<Arc<KeySet>>,
    rules: Rules,
    revoked: Revoked,
    revoked_elsewhere: Notify,
}

impl Tokens {
    /// As configured; `None` when everybody may join.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn new(config: &Config) -> Result<Option<Arc<Self>>, ConfigError> {
        let Some(keys_file) = config.token_keys_file() else { return Ok(None) };
        let keys = read_keys(keys_file)?;
        warn_if_exposed(&keys, keys_file);
        let ttl_max = Duration::from_secs(config.token_ttl_max_s);
        let rules = Rules { audience: config.token_audience.clone(), ttl_max };
        let path = config.revoked_file();
        let revoked = Revoked::open(path, rules.remembered(), unix_time(SystemTime::now()));
        let revoked = revoked.map_err(|reason| ConfigError::RevokedFile {
            path: path.map(PathBuf::from).unwrap_or_default(),
            reason,
        })?;
        tracing::info!(keys = keys.keys().len(), revoked = revoked.count(), "who joins needs a token");
        Ok(Some(Arc::new(Self {
            keys_file: keys_file.into(),
            keys: RwLock::new(Arc::new(keys)),
            rules,
            revoked,
            revoked_elsewhere: Notify::new(),
        })))
    }

    /// Whether a configuration can be served, without making any file.
    pub(crate) fn check(config: &Config) -> Result<(), ConfigError> {
        match config.token_keys_file() {
            Some(_) if config.token_audience.is_empty() => Err(ConfigError::TokenAudienceEmpty),
            Some(path) => read_keys(path).map(drop),
            // What nothing uses is a mistake.
            None if config.revoked_file().is_some() => Err(ConfigError::TokenKeysMissing),
            None => Ok(()),
        }
    }

    /// What a token permits in this room.
    ///
    /// # Errors
    /// Why it permits nothing there.
    pub fn admit(&self, token: &str, room: &RoomName, now: SystemTime) -> Result<Grant, Denied> {
        let (claims, grant) = self.read(token, now)?;
        if !claims.room.covers(room.as_str()) {
            return Err(Denied::OtherRoom);
        }
        if !grant.permissions.has(Permission::Join) {
            return Err(Denied::NoPermission(Permission::Join));
        }
        if self.is_revoked(&grant) { Err(Denied::Revoked) } else { Ok(grant) }
    }

    /// What a token permits an operator: it has to be for every room, and to permit administration.
    ///
    /// # Errors
    /// Why it does not.
    pub fn admit_operator(&self, token: &str, now: SystemTime) -> Result<Grant, Denied> {
        let (claims, grant) = self.read(token, now)?;
        if !claims.room.is_every() || !grant.permissions.has(Permission::Admin) {
            return Err(Denied::NoPermission(Permission::Admin));
        }
        if self.is_revoked(&grant) { Err(Denied::Revoked) } else { Ok(grant) }
    }

    fn read(&self, token: &str, now: SystemTime) -> Result<(Claims, Grant), Denied> {
        let keys = Arc::clone(&self.keys.read());
        let (claims, key_id) = read(token, &keys, &self.rules, unix_time(now))?;
        let grant = claims.grant(&key_id);
        Ok((claims, grant))
    }

    /// Whether what was granted has been taken back.
    pub fn is_revoked(&self, grant: &Grant) -> bool {
        self.revoked.covers(grant)
    }

    /// Takes back; see [`Revoked::revoke`].
    ///
    /// # Errors
    /// When there is no room for it. It is in force after [`RevokeError::NotWritten`].
    pub fn revoke(&self, target: Target, now: SystemTime) -> Result<Revocation, RevokeError> {
        self.revoked.revoke(target, unix_time(now))
    }

    /// How long what is taken back is remembered.
    pub fn remembered(&self) -> Duration {
        self.rules.remembered()
    }

    /// Returns when something was read that had been taken back elsewhere.
    pub async fn revoked_elsewhere(&self) {
        self.revoked_elsewhere.notified().await;
    }
}

/// What a token says, if one of the keys has signed it and a server with these rules takes it at this time, in seconds
/// since 1970. Nothing of it is believed before its signature is checked.
///
/// # Errors
/// Why it is not taken.
pub fn verify(token: &str, keys: &KeySet, rules: &Rules, now: u64) -> Result<Claims, Denied> {
    read(token, keys, rules, now).map(|(claims, _)| claims)
}

/// Which key has signed it, too.
fn read(token: &str, keys: &KeySet, rules: &Rules, now: u64) -> Result<(Claims, String), Denied> {
    if token.is_empty() {
        return Err(Denied::Missing);
    }
    let signed = jws::verify(token, keys)?;
    Ok((Claims::read(&signed.payload, rules, now)?, signed.key_id))
}

fn read_keys(path: &Path) -> Result<KeySet, ConfigError> {
    let unfit = |reason: KeyFileError| ConfigError::TokenKeysFile { path: path.into(), reason };
    let keys = KeySet::read(path).map_err(unfit)?;
    match keys.keys().iter().find(|key| key.is_private()) {
        Some(key) => Err(ConfigError::TokenKeyPrivate { path: path.into(), kid: key.id().to_owned() }),
        None => Ok(keys),
    }
}

/// Public halves are for everybody.
fn warn_if_exposed(keys: &KeySet, path: &Path) {
    if keys.keys().iter().any(Jwk::is_secret) {
        Flag::new("--token-keys-file", path).warn_if_readable_by_all();
    }
}

impl Reload for Tokens {
    fn name(&self) -> &'static str {
        "token_keys"
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.keys_file.clone()]
    }

    fn reload(&self) -> Result<String, ConfigError> {
        let keys = read_keys(&self.keys_file)?;
        warn_if_exposed(&keys, &self.keys_file);
        let ids: Vec<_> = keys.keys().iter().map(Jwk::id).collect();
        let told = format!("keys {}", ids.join(", "));
        *self.keys.write() = Arc::new(keys);
        Ok(told)
    }
}

/// What was revoked is read again on request only: it is the server that writes it.
pub struct RevokedReload(pub Arc<Tokens>);

impl Reload for RevokedReload {
    fn name(&self) -> &'static str {
        "revoked_tokens"
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn reload(&self) -> Result<String, ConfigError> {
        let Self(tokens) = self;
        let revoked = &tokens.revoked;
        let path = revoked.path().unwrap_or_default();
        let read = revoked.read_again(unix_time(SystemTime::now()));
        let new = read.map_err(|reason| ConfigError::RevokedFile { path, reason })?;
        if new > 0 {
            tokens.revoked_elsewhere.notify_one();
        }
        Ok(format!("{} revoked, {new} of them new", revoked.count()))
    }
}

/// A name for a token that no other has: 128 random bits.
pub fn random_id() -> String {
    let mut bytes = [0; 16];
    crate::random::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whole seconds since 1970.
fn unix_time(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
