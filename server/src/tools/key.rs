//! `patchcord-server key`: makes a key and adds it to a file. A file is replaced whole or not at all, and one that can
//! sign is for its owner and group alone.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use patchcord_server::tokens::{Algorithm, Jwk, KeyFileError, KeySet};

/// Arguments of `patchcord-server key`.
#[derive(Args, Debug)]
pub struct KeyArgs {
    /// The key's id, which tokens name: 1 to 128 visible ASCII characters, such as the month it was made in.
    #[arg(long, value_name = "NAME")]
    kid: String,

    /// How it signs.
    #[arg(long, value_enum, value_name = "ALGORITHM", default_value_t)]
    alg: Signing,

    /// Add it to this file, which is made if it is not there, with mode 0600; without, it is printed.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,

    /// With eddsa: add its public half to this file, for the server.
    #[arg(long, value_name = "PATH")]
    public_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Signing {
    /// One secret, for who signs and for the server: simple where both are one.
    #[default]
    Hs256,
    /// Two halves: who has the server's cannot sign.
    Eddsa,
}

/// Makes the key; what is returned is for stdout.
pub fn run(args: &KeyArgs) -> Result<String, String> {
    let algorithm = match args.alg {
        Signing::Hs256 => Algorithm::Hs256,
        Signing::Eddsa => Algorithm::EdDsa,
    };
    if algorithm == Algorithm::Hs256 && args.public_file.is_some() {
        return Err("--public-file is for --alg eddsa; a key for hs256 has no public half".to_owned());
    }
    let key = Jwk::random(&args.kid, algorithm).map_err(|reason| format!("--kid {:?} {reason}", args.kid))?;
    // The public half first: a private one that no server knows is the harmless half to lose.
    if let Some(path) = &args.public_file {
        add(path, key.public()).map_err(|error| format!("--public-file {}: {error}", path.display()))?;
    }
    match &args.file {
        None => Ok(KeySet::of(key).reveal()),
        Some(path) => {
            add(path, key).map_err(|error| format!("--file {}: {error}", path.display()))?;
            Ok(String::new())
        }
    }
}

fn add(path: &Path, key: Jwk) -> Result<(), String> {
    let set = match KeySet::read(path) {
        Ok(mut set) => {
            set.add(key).map_err(|error| error.to_string())?;
            set
        }
        Err(KeyFileError::Read(error)) if error.kind() == ErrorKind::NotFound => KeySet::of(key),
        Err(error) => return Err(error.to_string()),
    };
    let mode_max = if set.keys().iter().any(Jwk::is_secret) { 0o660 } else { 0o666 };
    replace(path, set.reveal().as_bytes(), mode_max).map_err(|error| error.to_string())
}

/// Puts a file in place of another, with its owner, and its mode as far as that is permitted.
fn replace(path: &Path, contents: &[u8], mode_max: u32) -> io::Result<()> {
    let mut name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = write_new(&beside, path, contents, mode_max).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // It is of no use, and the reason it could not be used is told.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_new(beside: &Path, like: &Path, contents: &[u8], mode_max: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    if let Ok(old) = File::open(like).and_then(|file| file.metadata()) {
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(old.mode() & mode_max))?;
    }
    file.write_all(contents)?;
    file.sync_all()
}
