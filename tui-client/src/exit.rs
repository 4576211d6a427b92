//! The exit codes: each way the program can end has one number, listed here and in `--help` and nowhere else.

use std::process::ExitCode;

use patchcord_peer::{InspectError, JoinError};

use crate::identity::{KeyFileError, known_peers::KnownPeersError};

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All that was asked is done.
    Done,
    /// A defect, or the operating system refused something.
    Internal,
    /// `patchcord doctor`: a chat will not work.
    NoChat,
    /// The arguments make no sense.
    Usage,
    /// The server cannot be reached, does not answer, or refused.
    Signaling,
    /// A text was not delivered to everybody it was for.
    Undelivered,
    /// The code of a sealed room was guessed at too often.
    CodeUsedUp,
    /// An operator removed this peer or closed the room.
    Removed,
    /// The server asks for a token or a key, and there is none or not a good one.
    NotPermitted,
    /// SIGHUP: the terminal went away.
    Hangup,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

/// The table that `--help` shows.
pub const EXIT_CODES_HELP: &str = "\
Exit codes:
  0    done: left in order, everything given was delivered
  1    internal error, or the operating system refused something; doctor: a
       chat will not work
  2    the arguments make no sense
  3    the server cannot be reached, does not answer, or refused
  4    a text was not delivered: nobody was there, its receiver left, or no
       connection came about in time; or a line of a pipe was not understood
  5    the code is used up: too many wrong words were tried with it
  6    an operator removed you, revoked your token or closed the room
  7    not let in: the server wants a token or a key, or another than was given
  129  ended by SIGHUP or a lost terminal, after leaving in order
  130  ended by SIGINT (Ctrl-C), after leaving in order
  143  ended by SIGTERM, after leaving in order";

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal | Self::NoChat => 1,
            Self::Usage => 2,
            Self::Signaling => 3,
            Self::Undelivered => 4,
            Self::CodeUsedUp => 5,
            Self::Removed => 6,
            Self::NotPermitted => 7,
            Self::Hangup => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command could not do what was asked. Its text is for people: what failed, then what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The room could not be joined.
    #[error("{0}{step}", step = after_join(.0))]
    Join(#[from] JoinError),
    /// The rooms could not be looked into.
    #[error("{0}{step}", step = after_inspect(.0))]
    Inspect(#[from] InspectError),
    /// The address of the own switchboard cannot be used.
    #[error("cannot listen on {address}: {reason}; choose another with --bind ADDRESS:PORT")]
    Bind {
        /// As asked for.
        address: std::net::SocketAddr,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// The own switchboard ended.
    #[error("the switchboard stopped: {0}")]
    Switchboard(String),
    /// The log file cannot be written.
    #[error("cannot write the log file {}: {reason}; choose another with --log-file", path.display())]
    LogFile {
        /// As given.
        path: std::path::PathBuf,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// The identity key of the profile cannot be used.
    #[error("the identity key {}: {reason}", path.display())]
    Identity {
        /// Where it is.
        path: std::path::PathBuf,
        /// What is wrong with it, and what to do.
        reason: KeyFileError,
    },
    /// Who is remembered is not known.
    #[error("who is remembered in {}: {reason}", path.display())]
    KnownPeers {
        /// Where it is.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: KnownPeersError,
    },
    /// The code of the sealed room must not be used any more.
    #[error("too many wrong words were tried with this code: it is used up; make a new one with --new")]
    CodeUsedUp,
    /// An argument that only shows to be wrong when it is used.
    #[error("{0}")]
    Usage(String),
    /// The operating system refused something.
    #[error("{doing}: {reason}")]
    System {
        /// What was attempted.
        doing: &'static str,
        /// What the operating system said.
        reason: std::io::Error,
    },
}

/// The next step, where the library does not say it or cannot name the flag.
fn after_join(error: &JoinError) -> String {
    match error {
        JoinError::Unreachable { reason, .. } => flag_for(reason).into(),
        // Something answers, or at least accepts connections.
        JoinError::StreamEnded { url, .. } | JoinError::Timeout { url, .. } => {
            format!("; is it a switchboard's public door? \"patchcord doctor --server {url}\" finds out")
        }
        JoinError::NotPermitted { reason, .. } if reason == "missing" => {
            " (--token-file PATH or PATCHCORD_TOKEN)".to_owned()
        }
        _ => String::new(),
    }
}

fn after_inspect(error: &InspectError) -> &'static str {
    match error {
        InspectError::Unreachable { reason, .. } => flag_for(reason),
        InspectError::NotPermitted { message } if message.contains("certificate") => {
            " (--client-cert PATH --client-key PATH)"
        }
        InspectError::NotPermitted { .. } => " (--admin-token-file PATH, or PATCHCORD_ADMIN_TOKEN)",
        InspectError::Refused(reason) if reason.contains("not implemented") => {
            "; is this its admin address (port 50052 unless chosen otherwise)?"
        }
        _ => "",
    }
}

fn flag_for(reason: &str) -> &'static str {
    if reason.ends_with("trust the certificate of its authority") {
        " (--ca-file PATH)"
    } else if reason.contains("certificate of yours") || reason.contains("your certificate") {
        " (--client-cert PATH --client-key PATH)"
    } else {
        ""
    }
}

impl Failure {
    /// The exit code that stands for it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Join(JoinError::InvalidServer { .. })
            | Self::Inspect(
                InspectError::InvalidServer { .. }
                | InspectError::SecretInClear(_)
                | InspectError::InvalidKey,
            ) => Exit::Usage,
            Self::Usage(_) | Self::Join(JoinError::SecretInClear(_) | JoinError::NoToken { .. }) => {
                Exit::Usage
            }
            Self::Join(JoinError::NotPermitted { .. }) | Self::Inspect(InspectError::NotPermitted { .. }) => {
                Exit::NotPermitted
            }
            Self::CodeUsedUp => Exit::CodeUsedUp,
            Self::Join(JoinError::Engine(_)) => Exit::Internal,
            Self::Join(_) | Self::Inspect(_) => Exit::Signaling,
            Self::Identity { .. } | Self::KnownPeers { .. } => Exit::Internal,
            Self::Bind { .. } | Self::Switchboard(_) | Self::LogFile { .. } | Self::System { .. } => {
                Exit::Internal
            }
        }
    }

    /// Its name in `--json` output: never changed once released.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Join(JoinError::InvalidServer { .. })
            | Self::Inspect(InspectError::InvalidServer { .. }) => "invalid_server",
            Self::Join(JoinError::Unreachable { .. }) | Self::Inspect(InspectError::Unreachable { .. }) => {
                "unreachable"
            }
            Self::Join(JoinError::NotPermitted { .. }) => "not_permitted",
            Self::Join(JoinError::SecretInClear(_)) | Self::Inspect(InspectError::SecretInClear(_)) => {
                "secret_in_clear"
            }
            Self::Join(JoinError::NoToken { .. }) => "no_token",
            Self::Join(JoinError::Timeout { .. }) => "join_timeout",
            Self::Join(JoinError::Refused { .. }) | Self::Inspect(InspectError::Refused(_)) => "refused",
            Self::Inspect(InspectError::InvalidKey) => "usage",
            Self::Inspect(InspectError::NotPermitted { .. }) => "not_permitted",
            Self::Join(JoinError::StreamEnded { .. }) => "stream_ended",
            Self::Join(JoinError::Engine(_)) => "engine",
            Self::Bind { .. } => "cannot_bind",
            Self::Switchboard(_) => "switchboard_stopped",
            Self::LogFile { .. } => "log_file",
            Self::Identity { .. } => "identity",
            Self::KnownPeers { .. } => "known_peers",
            Self::CodeUsedUp => "code_used_up",
            Self::Usage(_) => "usage",
            Self::System { .. } => "system",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Exit; 12] = [
        Exit::Done,
        Exit::Internal,
        Exit::NoChat,
        Exit::Usage,
        Exit::Signaling,
        Exit::Undelivered,
        Exit::CodeUsedUp,
        Exit::Removed,
        Exit::NotPermitted,
        Exit::Hangup,
        Exit::Interrupted,
        Exit::Terminated,
    ];

    #[test]
    fn every_code_is_in_the_help_and_the_help_has_no_other() {
        let listed: Vec<u8> =
            EXIT_CODES_HELP.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
        let mut codes = ALL.map(Exit::code).to_vec();
        codes.dedup();
        assert_eq!(listed, codes);
    }

    #[test]
    fn a_server_that_is_away_is_told_from_a_wrong_argument() {
        let away = JoinError::Unreachable { url: "http://h:1".into(), reason: "refused".into() };
        assert_eq!(Failure::from(away).exit(), Exit::Signaling);
        let wrong = JoinError::InvalidServer { url: "://".into() };
        assert_eq!(Failure::from(wrong).exit(), Exit::Usage);
        let locked = InspectError::NotPermitted { message: "it asks for a key".into() };
        assert_eq!(Failure::from(locked).exit(), Exit::NotPermitted);
    }
}
