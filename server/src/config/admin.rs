//! Who may use the admin door, as it is configured.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Config, Secret, any_path, given, on_or_off};
use crate::{auth::AdminKeys, error::ConfigError};

/// Keys of operators. With one of them, or where tokens are keys, the admin door asks for a key; otherwise it is open, and then
/// it has to be on loopback.
#[derive(Args, Clone, Debug, Default)]
pub struct AdminSettings {
    /// A file of keys for the admin door, one `NAME sha256:HEX` a line; `patchcord-server admin-key` makes them. Each opens
    /// it, so a new one can stand beside the old one until all use it. Read again on SIGHUP and when the file changes.
    #[arg(long, env = "PATCHCORD_ADMIN_KEYS_FILE", value_name = "PATH", value_parser = any_path)]
    pub admin_keys_file: Option<PathBuf>,

    /// A key for the admin door, of 16 characters at least, sent as `authorization: Bearer KEY`. Arguments can be seen by
    /// others: rather use the variable or a file.
    #[arg(long, env = "PATCHCORD_ADMIN_TOKEN", value_name = "KEY", hide_env_values = true)]
    pub admin_token: Option<Secret>,

    /// A file that holds that key; white space at its ends is dropped. Read again as above.
    #[arg(long, env = "PATCHCORD_ADMIN_TOKEN_FILE", value_name = "PATH", value_parser = any_path)]
    pub admin_token_file: Option<PathBuf>,

    /// Take a token that permits administration (`patchcord-server token --perm admin`) as a key too. The keys of
    /// --token-keys-file then open the admin door, so whoever signs tokens is an operator.
    #[arg(long, env = "PATCHCORD_ADMIN_BY_TOKEN", value_parser = on_or_off)]
    pub admin_by_token: bool,

    /// Let an admin door that is not on loopback be open to whoever reaches it: for containers whose port is published to
    /// loopback only. It may then be called by any name. Keys are asked for all the same if there are any.
    #[arg(long, env = "PATCHCORD_ADMIN_OPEN", value_parser = on_or_off)]
    pub admin_open: bool,
}

impl AdminSettings {
    /// Where keys come from; `None` where none are asked for.
    pub(crate) fn sources(&self) -> Result<Option<KeySources>, ConfigError> {
        let token = self.admin_token.clone().filter(|token| !token.reveal().is_empty());
        let owned = |path| given(path).map(Path::to_owned);
        let (keys_file, token_file) = (owned(&self.admin_keys_file), owned(&self.admin_token_file));
        if token.is_some() && token_file.is_some() {
            return Err(ConfigError::Excludes { flag: "--admin-token", other: "--admin-token-file" });
        }
        let sources = KeySources { keys_file, token, token_file };
        Ok((sources.keys_file.is_some() || sources.token.is_some() || sources.token_file.is_some())
            .then_some(sources))
    }
}

/// Where keys come from.
#[derive(Clone, Debug)]
pub struct KeySources {
    /// Many of them, hashed.
    pub keys_file: Option<PathBuf>,
    /// One.
    pub token: Option<Secret>,
    /// A file of one.
    pub token_file: Option<PathBuf>,
}

impl Config {
    /// Whether the keys can be used, and the admin door may be where it is to be.
    pub(super) fn check_admin(&self) -> Result<(), ConfigError> {
        if self.no_admin {
            return Ok(());
        }
        if self.admin.admin_by_token && !self.tokens_required() {
            return Err(ConfigError::Needs { flag: "--admin-by-token", needed: "--token-keys-file" });
        }
        if let Some(sources) = self.admin.sources()? {
            AdminKeys::new(sources)?;
        }
        self.check_admin_at(self.admin_listen)
    }

    /// Whether the admin door may be at this address.
    pub(crate) fn check_admin_at(&self, address: SocketAddr) -> Result<(), ConfigError> {
        let asks_for_key = self.admin.sources()?.is_some() || self.admin.admin_by_token;
        let asks = asks_for_key || given(&self.tls.admin_client_ca).is_some();
        if asks || self.admin.admin_open || address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        Err(ConfigError::AdminOpen(address))
    }
}
