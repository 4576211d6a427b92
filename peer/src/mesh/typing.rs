//! Telling the others that we write, and seldom (chat.proto, `ChatTyping`): whoever tells it at every key is taken for a
//! flood and cut off. Pure: the time is an input.

use std::time::Duration;

use tokio::time::Instant;

/// They believe it for 6 seconds.
const INTERVAL: Duration = Duration::from_secs(3);

/// What the others believe.
#[derive(Debug, Default)]
pub(super) struct Typing {
    /// When they were last told that we write.
    told: Option<Instant>,
    /// Whether that still holds, as far as they know.
    believed: bool,
}

impl Typing {
    /// Whether they are to be told that we write, or stopped.
    pub(super) fn set(&mut self, active: bool, now: Instant) -> bool {
        if !active {
            return std::mem::take(&mut self.believed);
        }
        let is_due = self.told.is_none_or(|told| told + INTERVAL <= now);
        if is_due {
            *self = Self { told: Some(now), believed: true };
        }
        is_due
    }

    /// A text that everybody gets says by itself that it is finished.
    pub(super) fn text_sent(&mut self) {
        self.believed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_we_write_is_told_once_an_interval_and_that_we_stopped_only_to_who_believes_it() {
        let start = Instant::now();
        let mut typing = Typing::default();
        assert!(!typing.set(false, start), "nobody believes it");
        assert!(typing.set(true, start));
        assert!(!typing.set(true, start + INTERVAL / 2));
        assert!(typing.set(false, start + INTERVAL / 2));
        assert!(!typing.set(false, start + INTERVAL / 2));
        assert!(!typing.set(true, start + INTERVAL / 2), "too soon after the last time");
        assert!(typing.set(true, start + INTERVAL));
        typing.text_sent();
        assert!(!typing.set(false, start + INTERVAL), "the text has said it");
    }
}
