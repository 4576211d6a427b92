//! The identity key on disk: one line, readable by its owner alone, made once and never written again.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
};

use patchcord_peer::Identity;
use zeroize::Zeroizing;

use super::Profile;

const BEGINNING: &str = "patchcord-identity-1 ";
/// Of the file: what is longer is none.
const FILE_BYTES_MAX: u64 = 1024;
/// For group and others.
const OPEN_TO_OTHERS: u32 = 0o077;

/// Why there is no identity to show.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is none, and none can be put there.
    #[error("{0}")]
    NoPlace(io::Error),
    /// There is one that cannot be read.
    #[error(
        "it cannot be read: {0}; make it yours to read, or set XDG_DATA_HOME to a folder of yours, or show none with --anonymous"
    )]
    Unreadable(io::Error),
    /// What is there is no key.
    #[error(
        "it is no identity key; put it back from a backup, or move it away to get a new one (others will then see that yours \
         has changed); --anonymous shows none"
    )]
    Damaged,
    /// Others of the machine can read it.
    #[error(
        "other users can read it (mode {mode:03o}): if nobody has, chmod 600 it; else move it away to get a new one"
    )]
    OpenToOthers {
        /// Its permissions.
        mode: u32,
    },
}

/// The identity of a profile.
pub(super) fn read_or_make(profile: &Profile) -> Result<Identity, KeyFileError> {
    if let Some(identity) = read(profile)? {
        return Ok(identity);
    }
    let _lock = profile.lock().map_err(KeyFileError::NoPlace)?;
    // Another client may have made it meanwhile.
    if let Some(identity) = read(profile)? {
        return Ok(identity);
    }
    let identity = Identity::generate().map_err(KeyFileError::NoPlace)?;
    let seed = identity.seed();
    let digits: Zeroizing<String> = Zeroizing::new(seed.iter().map(|byte| format!("{byte:02x}")).collect());
    let line = Zeroizing::new(format!("{BEGINNING}{}\n", *digits));
    profile.replace(&profile.key_path(), line.as_bytes()).map_err(KeyFileError::NoPlace)?;
    Ok(identity)
}

/// None where there is no file.
fn read(profile: &Profile) -> Result<Option<Identity>, KeyFileError> {
    let file = match File::open(profile.key_path()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(KeyFileError::Unreadable(error)),
    };
    let mode = file.metadata().map_err(KeyFileError::Unreadable)?.permissions().mode() & 0o777;
    if mode & OPEN_TO_OTHERS != 0 {
        return Err(KeyFileError::OpenToOthers { mode });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(KeyFileError::Unreadable)?;
    parse(&bytes).map(Some).ok_or(KeyFileError::Damaged)
}

fn parse(bytes: &[u8]) -> Option<Identity> {
    let digits = std::str::from_utf8(bytes).ok()?.strip_prefix(BEGINNING)?.trim_end().as_bytes();
    let mut seed = Zeroizing::new([0; 32]);
    if digits.len() != 2 * seed.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Identity::from_seed(&seed))
}
