//! The log: to a file when asked for, and never to the screen or into the talk.

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::Path, sync::Mutex};

use tracing_subscriber::EnvFilter;

use crate::exit::Failure;

/// Appends what is traced from now on to the file at `path`, which only its owner can read: it tells who met whom.
///
/// # Errors
/// When the file cannot be opened or `filter` is none.
pub fn start(path: &Path, filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::Usage(format!("--log-level {filter:?} is no filter: {error}")))?;
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|reason| Failure::LogFile { path: path.into(), reason })?;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Mutex::new(file)).init();
    Ok(())
}
