//! What the program does besides serving: small tools for operators, each of which says what it made and ends.

mod key;
mod token;

use clap::Subcommand;

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
}

impl Tool {
    /// Does it, and returns what is for stdout.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn run(self) -> Result<String, String> {
        match self {
            Self::Key(args) => key::run(&args),
            Self::Token(args) => token::run(&args),
        }
    }
}
