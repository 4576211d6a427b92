//! What the program does besides serving: small tools for operators, each of which says what it made and ends.

mod admin_key;
mod key;
mod ready;
mod token;

use clap::Subcommand;
use patchcord_server::Config;

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Make a key that tokens are signed with.
    ///
    /// The file is a JWK Set (RFC 7517), for --token-keys-file. Other keys in it stay as they are: a new key beside the
    /// old one is the first half of a rotation, taking the old one out the second.
    Key(key::KeyArgs),
    /// Sign a token that lets its bearer join.
    ///
    /// It is all that stdout gets, one line. Whoever has it can use it until it expires or is revoked
    /// (RoomService.RevokeToken on the admin door).
    Token(token::TokenArgs),
    /// Make a key for the admin door.
    ///
    /// Prints the key, which is for whoever is to use the admin door and is shown this once, and then the line that is for
    /// --admin-keys-file. Other lines there stay good: a new key beside the old one is the first half of a rotation, taking the
    /// old one out the second.
    AdminKey(admin_key::AdminKeyArgs),
    /// Ask the server on this machine whether it is ready to serve, as its variables say where; for health checks.
    ///
    /// Exit codes: 0 it is, 1 it is not, 2 bad configuration.
    Ready,
}

impl Tool {
    /// Whether it only asks: then a failure is an answer.
    pub fn is_question(&self) -> bool {
        matches!(self, Self::Ready)
    }

    /// Does it, and returns what is for stdout.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn run(self, config: &Config) -> Result<String, String> {
        match self {
            Self::Key(args) => key::run(&args),
            Self::Token(args) => token::run(&args),
            Self::AdminKey(args) => admin_key::run(&args),
            Self::Ready => ready::run(config),
        }
    }
}
