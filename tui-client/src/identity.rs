//! Who we are and whom we know, from one room to the next: a profile is a folder with an identity key and the peers that were
//! verified with it.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use patchcord_peer::{Config, Identity};
use rustix::fs::{FlockOperation, flock};

use crate::{exit::Failure, stderr};

pub mod command;
mod decision;
mod key_file;
pub mod known_peers;
mod likeness;
mod trust;

pub use decision::{Decision, Outcome};
pub use known_peers::{How, KnownPeer};
pub use trust::{Opinion, Trust};

use known_peers::KnownPeersFile;

const PROFILE_BYTES_MAX: usize = 64;
/// Waits of 10 ms for another client that writes; it takes less than one of them.
const LOCK_ATTEMPTS: usize = 300;
const HELP_HEADING: &str = "Identity";

/// Which identity is shown.
#[derive(Args, Clone, Debug, Default)]
pub struct ProfileArgs {
    /// Whose identity key is shown to others, and whose verified peers are known: letters, digits, "-", "_" and ".".
    #[arg(long, env = "PATCHCORD_PROFILE", value_name = "NAME", default_value = "default")]
    #[arg(value_parser = profile_name, help_heading = HELP_HEADING)]
    pub profile: String,
}

/// Whether one is shown.
#[derive(Args, Clone, Debug, Default)]
pub struct IdentityArgs {
    /// Which.
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// Show no identity key: nobody can know you again, not even those who verified you.
    #[arg(long, env = "PATCHCORD_ANONYMOUS", help_heading = HELP_HEADING)]
    pub anonymous: bool,
}

/// It becomes the name of a folder.
fn profile_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !text.is_empty()
        && text.len() <= PROFILE_BYTES_MAX
        && !text.starts_with('.')
        && text.chars().all(fits)
    {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "a profile is named by up to {PROFILE_BYTES_MAX} letters, digits, \"-\", \"_\" and \".\", and begins with no \".\""
        )),
    }
}

/// The folder of a profile.
#[derive(Clone, Debug)]
pub struct Profile {
    folder: PathBuf,
}

impl Profile {
    /// That of this user: under XDG_DATA_HOME, or `~/.local/share`. `variable` reads the environment.
    ///
    /// # Errors
    /// When neither variable is set.
    pub fn of_user(name: &str, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> io::Result<Self> {
        // "All paths set in these environment variables must be absolute" (XDG Base Directory Specification).
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
        let data = data.ok_or_else(|| io::Error::other("neither XDG_DATA_HOME nor HOME is set"))?;
        Ok(Self { folder: data.join("patchcord").join(name) })
    }

    /// The file of the identity key.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join("identity_key")
    }

    /// The file of the peers that are known.
    pub fn known_peers(&self) -> KnownPeersFile {
        KnownPeersFile::new(self.clone())
    }

    /// Its identity, made now if there is none yet.
    ///
    /// # Errors
    /// When there is one that cannot be used: it is never replaced.
    pub fn identity(&self) -> Result<Identity, Failure> {
        key_file::read_or_make(self).map_err(|reason| Failure::Identity { path: self.key_path(), reason })
    }

    /// Held until dropped: of those who change something in the folder there is one at a time.
    pub(crate) fn lock(&self) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let path = self.folder.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        for _ in 0..LOCK_ATTEMPTS {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(lock),
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(10)),
                Err(error) => return Err(error.into()),
            }
        }
        let why = "another client of this profile does not let go of it";
        Err(io::Error::new(io::ErrorKind::WouldBlock, why))
    }

    /// Puts `text` in place of the file at once; whoever reads sees the one or the other. To be called with the lock held.
    fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let fresh = path.with_extension(format!("new-{}", std::process::id()));
        // Left by a process of the same number that did not end well. What is there is not to be written through.
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        let written = file.write_all(text).and_then(|()| file.sync_all());
        let placed = written.and_then(|()| std::fs::rename(&fresh, path));
        match placed {
            // The folder keeps the name. Where it cannot be synced the file is there all the same.
            Ok(()) => drop(File::open(&self.folder).and_then(|folder| folder.sync_all())),
            // What is left of it is of no use.
            Err(_) => drop(std::fs::remove_file(&fresh)),
        }
        placed
    }
}

/// Takes what the profile has into `config`: the identity to show, and whom it knows. Where there is no place for a profile
/// the chat goes on without.
///
/// # Errors
/// When what is there cannot be used.
pub fn take_profile(args: &IdentityArgs, config: &mut Config) -> Result<Trust, Failure> {
    let profile = match Profile::of_user(&args.profile.profile, |name| std::env::var_os(name)) {
        Ok(profile) => profile,
        Err(reason) => {
            stderr::say(format_args!(
                "patchcord: no identity is shown and nobody can be remembered: {reason}"
            ));
            let trust = Trust::default();
            config.judge = Some(trust.judge());
            return Ok(trust);
        }
    };
    if !args.anonymous {
        match profile.identity() {
            Ok(identity) => config.identity = Some(identity),
            Err(Failure::Identity { reason: key_file::KeyFileError::NoPlace(reason), path }) => {
                let path = path.display();
                stderr::say(format_args!("patchcord: no identity is shown: cannot write {path}: {reason}"));
            }
            Err(failure) => return Err(failure),
        }
    }
    let file = profile.known_peers();
    let known = file.read().map_err(|reason| Failure::KnownPeers { path: file.path(), reason })?;
    let trust = Trust::new(file, known, config.identity.as_ref().map(Identity::key));
    let trust = if config.seal.is_some() { trust.sealed() } else { trust };
    config.judge = Some(trust.judge());
    Ok(trust)
}

pub use key_file::KeyFileError;

#[cfg(test)]
mod tests;
