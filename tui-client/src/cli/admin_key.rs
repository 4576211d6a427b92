//! The key of an operator: from a file, from stdin or from a variable, and never from an argument that others on the machine
//! could read.

use std::{
    fs::File,
    io::{Read, stdin},
    path::{Path, PathBuf},
};

use clap::Args;

use crate::exit::Failure;

/// What is longer is no key.
const KEY_BYTES_MAX: u64 = 4096;

/// Where the key comes from.
#[derive(Args, Debug, Default)]
pub struct AdminKeyArgs {
    /// For an admin door that asks for a key: the file that holds it, or "-" for stdin. It may also be in the variable
    /// PATCHCORD_ADMIN_TOKEN.
    #[arg(long, env = "PATCHCORD_ADMIN_TOKEN_FILE", value_name = "PATH")]
    pub admin_token_file: Option<PathBuf>,
}

impl AdminKeyArgs {
    /// The key; the file wins over the variable.
    ///
    /// # Errors
    /// When there is none where one should be.
    pub fn read(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.admin_token_file else {
            return Ok(std::env::var("PATCHCORD_ADMIN_TOKEN").ok().filter(|key| !key.is_empty()));
        };
        let wrong = |reason: &dyn std::fmt::Display| {
            Failure::Usage(format!("--admin-token-file {}: {reason}", path.display()))
        };
        let text = match path == Path::new("-") {
            true => text_of(stdin().lock()),
            false => File::open(path).and_then(text_of),
        };
        match text.map_err(|error| wrong(&error))?.trim() {
            "" => Err(wrong(&"there is no key in it")),
            key => Ok(Some(key.to_owned())),
        }
    }
}

fn text_of(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(KEY_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}
