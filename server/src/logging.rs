//! The log on stderr, for people or for programs. Nothing that peers say to each other is in it.

use std::io::{self, IsTerminal};

use patchcord_server::{Config, LogFormat};
use tracing_subscriber::{EnvFilter, filter::ParseError};

/// Starts logging as configured.
pub fn init(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.log_level).map_err(|error: ParseError| {
        format!("--log-level: {:?} is not a filter: {error}", config.log_level)
    })?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match config.log_format {
        LogFormat::Text => subscriber.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    Ok(())
}
