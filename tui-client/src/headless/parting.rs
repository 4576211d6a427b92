//! Pure: how long leaving may take and what it is called in the end. The first signal gives it a limit, the next
//! ends it at once.

use std::time::Duration;

use tokio::time::Instant;

use super::Ending;

/// For leaving after a signal: whoever sent it waits.
const SIGNAL_LEAVE_TIMEOUT: Duration = Duration::from_secs(4);

/// Leaving, for a reason.
#[derive(Debug)]
pub(super) struct Parting {
    ending: Ending,
    deadline: Option<Instant>,
}

impl Parting {
    /// Leaving begins. What only the library limits has no deadline here.
    pub(super) fn begin(ending: Ending, now: Instant) -> Self {
        let deadline = ending.is_signal().then(|| now + SIGNAL_LEAVE_TIMEOUT);
        Self { ending, deadline }
    }

    /// When it is given up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes a signal in; says whether leaving ends at once.
    pub(super) fn is_cut_short(&mut self, signal: Ending, now: Instant) -> bool {
        let first = self.deadline.is_none();
        if first {
            *self = Self::begin(signal, now);
            return false;
        }
        // The kernel and a shell both tell that the terminal is gone: that is no second wish.
        let second_wish = signal != Ending::Hangup;
        if second_wish {
            self.ending = signal;
        }
        second_wish
    }

    /// Why the session ended, when the room was over as `last`. Whoever sent a signal expects its code.
    pub(super) fn left(&self, last: Ending) -> Ending {
        match last {
            Ending::Removed { .. } | Ending::Broken if !self.ending.is_signal() => last,
            _ => self.ending.clone(),
        }
    }

    /// Why it ended, when the room was not waited for any longer.
    pub(super) fn given_up(&self) -> Ending {
        self.ending.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_limits_leaving_and_the_next_ends_it() {
        let now = Instant::now();
        let mut parting = Parting::begin(Ending::Left, now);
        assert_eq!(parting.deadline(), None);
        assert!(!parting.is_cut_short(Ending::Terminated, now));
        assert_eq!(parting.deadline(), Some(now + SIGNAL_LEAVE_TIMEOUT));
        assert_eq!(parting.left(Ending::Left), Ending::Terminated);
        assert!(parting.is_cut_short(Ending::Interrupted, now));
        assert_eq!(parting.given_up(), Ending::Interrupted);
    }

    #[test]
    fn when_leaving_began_with_a_signal_the_next_one_ends_it() {
        let now = Instant::now();
        let mut parting = Parting::begin(Ending::Interrupted, now);
        assert_eq!(parting.deadline(), Some(now + SIGNAL_LEAVE_TIMEOUT));
        assert!(parting.is_cut_short(Ending::Interrupted, now));
    }

    #[test]
    fn a_hangup_is_told_more_than_once_and_cuts_nothing_short() {
        let now = Instant::now();
        for first in [Ending::Hangup, Ending::Terminated] {
            let mut parting = Parting::begin(first.clone(), now);
            assert!(!parting.is_cut_short(Ending::Hangup, now + SIGNAL_LEAVE_TIMEOUT / 2));
            assert_eq!(parting.deadline(), Some(now + SIGNAL_LEAVE_TIMEOUT), "it is no new limit");
            assert_eq!(parting.left(Ending::Left), first);
        }
    }

    #[test]
    fn a_removal_while_leaving_is_told_unless_a_signal_asked_for_the_end() {
        let removed = Ending::Removed { message: "be nice".into() };
        let ending = |begun| Parting::begin(begun, Instant::now()).left(removed.clone());
        assert_eq!(ending(Ending::Left), removed);
        assert_eq!(ending(Ending::OutputClosed), removed);
        assert_eq!(ending(Ending::Terminated), Ending::Terminated);
    }
}
