//! How many wrong words a code may still meet: each guess of whoever does not know them costs one, also when they hang up.
//!
//! Invariant: no more than [`GUESSES_MAX`] guesses leak for one code and one client, over however many runs.

/// With 31 bits of words, all of them together find the code once in 134 million.
pub(crate) const GUESSES_MAX: u32 = 16;

/// Of one code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guesses {
    used: u32,
}

impl Guesses {
    /// As it was kept.
    pub(crate) fn with_used(used: u32) -> Self {
        Self { used }
    }

    /// To be kept.
    pub(crate) fn used(self) -> u32 {
        self.used
    }

    /// Whether the code must not be used any more.
    pub(crate) fn are_used_up(self) -> bool {
        self.used >= GUESSES_MAX
    }

    /// The other could try one, or did.
    pub(crate) fn count(&mut self) {
        self.used = self.used.saturating_add(1);
    }

    /// What was counted last was no guess: the other knows the words.
    pub(crate) fn take_back(&mut self) {
        self.used = self.used.saturating_sub(1);
    }
}
