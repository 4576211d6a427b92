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

    /// Takes the number of a request if it follows the last; `false` for one that was taken before.
    pub fn check(&mut self, seq: u64) -> Result<bool, Refusal> {
        if seq == 0 {
            return Ok(true);
        }
        if seq <= self.last {
            return Ok(false);
        }
        if seq != self.last + 1 {
            return Err(Refusal::out_of_sequence(seq, self.last + 1));
        }
        self.last = seq;
        Ok(true)
    }

    /// Before a session each attempt may be its first request again.
    pub fn check_before_join(&mut self, seq: u64) -> Result<bool, Refusal> {
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
    fn a_number_follows_its_predecessor_or_repeats_one() {
        let mut sequence = Sequence::default();
        let mut taken = |seq| sequence.check(seq).ok();
        let seqs =
            [(2, None), (1, Some(true)), (1, Some(false)), (0, Some(true)), (3, None), (2, Some(true))];
        for (seq, expected) in seqs.into_iter().chain([(1, Some(false)), (u64::MAX, None)]) {
            assert_eq!(taken(seq), expected, "{seq}");
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
        assert_eq!(sequence.check(1), Ok(false));
        assert_eq!(sequence.check(u64::MAX), Ok(false));
    }
}
