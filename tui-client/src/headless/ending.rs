//! Why a session without a screen ends, and the signals that are among the reasons.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// Why the session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The input ended, or asked to leave.
    Left,
    /// Nobody reads the output any more.
    OutputClosed,
    /// SIGHUP.
    Hangup,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// An operator removed us or closed the room.
    Removed {
        /// From the operator; free of control characters.
        message: String,
    },
    /// The room is over for a reason that should not occur.
    Broken,
}

impl Ending {
    /// The exit code, given whether everything was delivered.
    pub(crate) fn exit(&self, delivered: bool) -> Exit {
        match self {
            Self::Left | Self::OutputClosed if delivered => Exit::Done,
            Self::Left | Self::OutputClosed => Exit::Undelivered,
            Self::Hangup => Exit::Hangup,
            Self::Interrupted => Exit::Interrupted,
            Self::Terminated => Exit::Terminated,
            Self::Removed { .. } => Exit::Removed,
            Self::Broken => Exit::Internal,
        }
    }

    /// Its name in `--json` output: never changed once released.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Left | Self::OutputClosed => "left",
            Self::Hangup => "hangup",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
            Self::Removed { .. } => "removed",
            Self::Broken => "failed",
        }
    }

    /// Whether somebody waits for the process to end.
    pub(crate) fn is_signal(&self) -> bool {
        matches!(self, Self::Hangup | Self::Interrupted | Self::Terminated)
    }
}

/// The signals that end a session.
#[derive(Debug)]
pub(crate) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on these signals no longer end the process by themselves.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next one. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.hangup.recv() => Ending::Hangup,
            _ = self.interrupt.recv() => Ending::Interrupted,
            _ = self.terminate.recv() => Ending::Terminated,
        }
    }
}
