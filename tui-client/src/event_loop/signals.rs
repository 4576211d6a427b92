//! The signals that concern a screen.

/// A signal that asks the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGHUP: the terminal goes away.
    Hangup,
    /// SIGINT from outside; Ctrl-C is a key here.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalEvent {
    /// To end.
    Stop(StopSignal),
    /// To stop until continued.
    Suspend,
    /// To go on after having been stopped.
    Continued,
    /// To look at the size of the terminal.
    Resized,
}

#[cfg(unix)]
pub use of_unix::Signals;

#[cfg(unix)]
mod of_unix {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::{SignalEvent, StopSignal};

    /// The signals, caught from now on.
    #[derive(Debug)]
    pub struct Signals {
        hangup: Signal,
        interrupt: Signal,
        terminate: Signal,
        suspend: Signal,
        continued: Signal,
        resized: Signal,
    }

    impl Signals {
        /// Catches them.
        pub fn listen() -> io::Result<Self> {
            let raw = |of: rustix::process::Signal| signal(SignalKind::from_raw(of.as_raw()));
            Ok(Self {
                hangup: signal(SignalKind::hangup())?,
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                suspend: raw(rustix::process::Signal::TSTP)?,
                continued: raw(rustix::process::Signal::CONT)?,
                resized: signal(SignalKind::window_change())?,
            })
        }

        /// The next one. Cancel-safe.
        pub async fn next(&mut self) -> SignalEvent {
            tokio::select! {
                _ = self.hangup.recv() => SignalEvent::Stop(StopSignal::Hangup),
                _ = self.interrupt.recv() => SignalEvent::Stop(StopSignal::Interrupt),
                _ = self.terminate.recv() => SignalEvent::Stop(StopSignal::Terminate),
                _ = self.suspend.recv() => SignalEvent::Suspend,
                _ = self.continued.recv() => SignalEvent::Continued,
                _ = self.resized.recv() => SignalEvent::Resized,
            }
        }

        /// SIGCONT alone.
        pub fn continued(&mut self) -> &mut Signal {
            &mut self.continued
        }
    }
}

#[cfg(not(unix))]
pub use elsewhere::Signals;

#[cfg(not(unix))]
mod elsewhere {
    use super::{SignalEvent, StopSignal};

    /// Ctrl-C events from outside; there is nothing else.
    #[derive(Debug)]
    pub struct Signals;

    impl Signals {
        /// Catches them.
        pub fn listen() -> std::io::Result<Self> {
            Ok(Self)
        }

        /// The next one.
        pub async fn next(&mut self) -> SignalEvent {
            match tokio::signal::ctrl_c().await {
                Ok(()) => SignalEvent::Stop(StopSignal::Interrupt),
                Err(_) => std::future::pending().await,
            }
        }
    }
}
