//! Where time comes from. Everything pure is given a [`Moment`] and asks no clock itself.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// One point in time: for people, and for measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// What the wall clock shows; it can be set back.
    pub wall: Timestamp,
    /// Since the program began; it only rises.
    pub uptime: Duration,
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose uptime begins now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Now.
    pub fn now(&self) -> Moment {
        Moment { wall: Timestamp::now(), uptime: self.start.elapsed() }
    }

    /// When the uptime is that.
    pub fn instant(&self, uptime: Duration) -> Instant {
        self.start + uptime
    }
}
