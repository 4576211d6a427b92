//! What can keep the server from serving. What a client can see is a `Refusal` or a `Status` instead.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::tokens::{KeyFileError, RevokedFileError};

/// Why the configuration is not accepted. Found before anything is bound.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A url that no WebRTC engine would take.
    #[error("{flag}: {url:?} is not a url of the form {expected}")]
    Url {
        /// The flag it came with.
        flag: &'static str,
        /// As given.
        url: String,
        /// What it should look like.
        expected: &'static str,
    },
    /// More urls than an ICE server may have.
    #[error("{flag}: at most {max} urls, {given} are given")]
    TooManyUrls {
        /// The flag.
        flag: &'static str,
        /// How many there are.
        given: usize,
        /// How many there may be.
        max: usize,
    },
    /// TURN servers ask for credentials, and there is nothing to make them from.
    #[error("--turn-url needs --turn-secret or --turn-secret-file")]
    TurnSecretMissing,
    /// A secret that nothing uses is a mistake.
    #[error("--turn-secret and --turn-secret-file need --turn-url")]
    TurnUrlMissing,
    /// Two secrets.
    #[error("--turn-secret and --turn-secret-file exclude each other")]
    TurnSecretTwice,
    /// The file with the secret cannot be used.
    #[error("--turn-secret-file: cannot read {}: {source}", path.display())]
    TurnSecretFile {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file with the secret holds nothing.
    #[error("--turn-secret-file: {} is empty", path.display())]
    TurnSecretEmpty {
        /// The file.
        path: PathBuf,
    },
    /// The file with the keys of tokens cannot be used.
    #[error("--token-keys-file {}: {reason}", path.display())]
    TokenKeysFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: KeyFileError,
    },
    /// A key that can sign has no business on a server that only checks.
    #[error(
        "--token-keys-file {}: its key {kid:?} holds the private half (\"d\"), which belongs to who signs alone; give the \
         server the public one (patchcord-server key --public-file)",
        path.display()
    )]
    TokenKeyPrivate {
        /// The file.
        path: PathBuf,
        /// The key.
        kid: String,
    },
    /// Tokens would be for nobody.
    #[error("--token-audience is empty")]
    TokenAudienceEmpty,
    /// Nothing to revoke.
    #[error("--revoked-file needs --token-keys-file")]
    TokenKeysMissing,
    /// The file with what is revoked cannot be used.
    #[error("--revoked-file {}: {reason}", path.display())]
    RevokedFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: RevokedFileError,
    },
    /// Both doors at one place.
    #[error("--listen and --admin-listen are both {0}")]
    SameAddress(SocketAddr),
    /// A number outside its range.
    #[error("{flag}: {given} is not in {min} to {max}")]
    OutOfRange {
        /// The flag.
        flag: &'static str,
        /// As given.
        given: u64,
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
}

/// Why the server does not serve, or no longer does.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is not accepted.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for the {door} door: {source}")]
    Bind {
        /// "public" or "admin".
        door: &'static str,
        /// The address.
        address: SocketAddr,
        /// What went wrong.
        source: io::Error,
    },
    /// The contract's own descriptors are damaged: a broken build.
    #[error("cannot describe the services: {0}")]
    Reflection(String),
    /// A door closed by itself.
    #[error("the {door} door failed: {source}")]
    Door {
        /// "public" or "admin".
        door: &'static str,
        /// What went wrong.
        source: tonic::transport::Error,
    },
}
