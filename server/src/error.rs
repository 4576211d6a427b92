//! What can keep the server from serving. What a client can see is a `Refusal` or a `Status` instead.

use std::{
    fmt::Display,
    fs::{self, File},
    io::{self, ErrorKind, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
};

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
    /// Half of what belongs together.
    #[error("{flag} needs {needed}")]
    Needs {
        /// The flag that is given.
        flag: &'static str,
        /// Those that are not.
        needed: &'static str,
    },
    /// Two things that cannot both be meant.
    #[error("{flag} and {other} exclude each other")]
    Excludes {
        /// One flag.
        flag: &'static str,
        /// The other.
        other: &'static str,
    },
    /// A file cannot be read.
    #[error("{flag}: cannot read {}: {source}", path.display())]
    File {
        /// The flag it came with.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{flag}: {}: {reason}", path.display())]
    Unusable {
        /// The flag it came with.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Whoever reaches the admin door could use it.
    #[error(
        "--admin-listen: {0} is not on loopback and the admin door asks for no key: give it --admin-keys-file (made by \
         `patchcord-server admin-key`), --admin-token-file or --admin-client-ca; or say --admin-open if only the right \
         people reach it"
    )]
    AdminOpen(SocketAddr),
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

/// Bytes of a file that a flag names. What has more is something else, such as a device that never ends.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A file and the flag it came with, for what is wrong with it.
pub(crate) struct Flag<'a> {
    flag: &'static str,
    path: &'a Path,
}

impl<'a> Flag<'a> {
    pub(crate) fn new(flag: &'static str, path: &'a Path) -> Self {
        Self { flag, path }
    }

    pub(crate) fn read(&self) -> Result<Vec<u8>, ConfigError> {
        let Self { flag, path } = *self;
        read_file(path).map_err(|source| ConfigError::File { flag, path: path.to_owned(), source })
    }

    pub(crate) fn read_text(&self) -> Result<String, ConfigError> {
        String::from_utf8(self.read()?).map_err(|_| self.unusable("it is no text"))
    }

    /// What an operator should know about a file that holds a secret.
    #[cfg(unix)]
    pub(crate) fn readable_by_all(&self) -> Option<String> {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(self.path).ok()?.permissions().mode();
        let advice = "every user of this machine can read it: chmod o-r";
        (mode & 0o004 != 0).then(|| format!("{}: {}: {advice}", self.flag, self.path.display()))
    }

    #[cfg(not(unix))]
    pub(crate) fn readable_by_all(&self) -> Option<String> {
        None
    }

    pub(crate) fn warn_if_readable_by_all(&self) {
        if let Some(warning) = self.readable_by_all() {
            tracing::warn!("{warning}");
        }
    }

    pub(crate) fn unusable(&self, reason: impl Display) -> ConfigError {
        ConfigError::Unusable { flag: self.flag, path: self.path.to_owned(), reason: reason.to_string() }
    }
}

/// All of a file, if it may be one of ours.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::new(ErrorKind::InvalidData, "it has more than 1 MiB")),
        false => Ok(bytes),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_never_ends_is_not_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let read = |bytes: u64| {
            fs::write(&path, vec![b'x'; usize::try_from(bytes).unwrap()]).unwrap();
            Flag::new("--flag", &path).read().map(|read| read.len() as u64)
        };
        assert_eq!(read(FILE_BYTES_MAX).unwrap(), FILE_BYTES_MAX);
        assert!(read(FILE_BYTES_MAX + 1).unwrap_err().to_string().ends_with("it has more than 1 MiB"));
        assert!(Flag::new("--flag", Path::new("/dev/zero")).read_text().is_err());
    }
}
