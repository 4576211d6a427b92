//! `patchcord-server admin-key`: makes a key for the admin door. The server's file gets its hash, the operator the key.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use patchcord_server::AdminKey;

/// Arguments of `patchcord-server admin-key`.
#[derive(Args, Debug)]
pub struct AdminKeyArgs {
    /// Whose it is, for the log: 1 to 64 letters, digits, dots, dashes and underscores.
    #[arg(long, value_name = "NAME")]
    name: String,

    /// Add the line to this file, which is made if it is not there, with mode 0600; then only the key is printed.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
}

/// Makes the key; what is returned is for stdout.
pub fn run(args: &AdminKeyArgs) -> Result<String, String> {
    let key = AdminKey::random(&args.name).map_err(|rule| format!("--name {:?}: {rule}", args.name))?;
    match &args.file {
        None => Ok(format!("{}\n{key}\n", key.reveal())),
        Some(path) => {
            add(path, &key.to_string()).map_err(|error| format!("--file {}: {error}", path.display()))?;
            Ok(format!("{}\n", key.reveal()))
        }
    }
}

/// In one write, so that a server that reads it sees the line or does not.
fn add(path: &Path, line: &str) -> io::Result<()> {
    let there = match fs::read(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let open_line = there.last().is_some_and(|&last| last != b'\n');
    let added = format!("{}{line}\n", if open_line { "\n" } else { "" });
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(added.as_bytes())?;
    file.sync_all()
}
