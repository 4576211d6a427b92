//! The numbers of requests.

use patchcord_proto::v1::SignalRequest;

use crate::refusal::Refusal;

/// Numbers of requests: 1 for the first, then one more each; 0 for those without.
#[derive(Default)]
pub struct Sequence {
    last: u64,
}

impl Sequence {
    /// The last number that was taken; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Takes the number of a request if it follows the last.
    pub fn check(&mut self, seq: u64) -> Result<(), Refusal> {
        let expected = self.last.saturating_add(1);
        if seq != 0 && (seq != expected || seq == self.last) {
            return Err(Refusal::out_of_sequence(seq, expected));
        }
        self.last = self.last.max(seq);
        Ok(())
    }

    /// Before a session each attempt may be its first request again.
    pub fn check_before_join(&mut self, seq: u64) -> Result<(), Refusal> {
        if seq == 1 {
            self.last = 0;
        }
        self.check(seq)
    }
}

/// Whether a request is an acknowledgement alone, which has no answer.
pub fn is_bare_ack(request: &SignalRequest) -> bool {
    request.seq == 0 && request.ack > 0 && request.message.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_must_follow_its_predecessor() {
        let mut sequence = Sequence::default();
        for (seq, taken) in
            [(2, false), (1, true), (1, false), (0, true), (3, false), (2, true), (u64::MAX, false)]
        {
            assert_eq!(sequence.check(seq).is_ok(), taken, "{seq}");
        }
        assert_eq!(sequence.last(), 2);
    }

    #[test]
    fn a_new_attempt_to_join_may_count_on_or_start_again() {
        let mut sequence = Sequence::default();
        for (seq, taken) in [(1, true), (2, true), (1, true), (2, true), (4, false)] {
            assert_eq!(sequence.check_before_join(seq).is_ok(), taken, "{seq}");
        }
    }

    #[test]
    fn the_last_number_of_all_is_followed_by_none() {
        let mut sequence = Sequence { last: u64::MAX };
        assert!(sequence.check(1).is_err());
        assert!(sequence.check(u64::MAX).is_err());
    }
}
