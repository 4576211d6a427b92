//! Pure: which of our texts are still to reach whom, as the receipts tell.

use std::collections::BTreeSet;

use patchcord_peer::{DeliveryState, Departure, MessageId, PeerId};

/// The texts under way. As many as the library queues at most.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    under_way: BTreeSet<(MessageId, PeerId)>,
    failed: Vec<(MessageId, PeerId)>,
    /// Failures count from now on.
    failures_count: bool,
    refused: bool,
}

impl Deliveries {
    /// `from_the_start`: a text that fails counts although the session went on after it.
    pub(super) fn new(from_the_start: bool) -> Self {
        Self { failures_count: from_the_start, ..Self::default() }
    }

    /// From now on whoever wrote can do nothing about a failure.
    pub(super) fn input_ended(&mut self) {
        self.failures_count = true;
    }

    /// Takes a receipt in.
    pub(super) fn record(&mut self, message_id: MessageId, peer_id: &PeerId, state: DeliveryState) {
        let text = (message_id, peer_id.clone());
        match state {
            DeliveryState::Queued | DeliveryState::Sent => {
                self.under_way.insert(text);
            }
            DeliveryState::Delivered => {
                self.under_way.remove(&text);
            }
            DeliveryState::Failed => {
                self.under_way.remove(&text);
                // One is as good as all of them for the exit code.
                if self.failures_count && self.failed.len() < FAILURES_MAX {
                    self.failed.push(text);
                }
            }
        }
    }

    /// A text was not taken.
    pub(super) fn refuse(&mut self) {
        self.refused |= self.failures_count;
    }

    /// The room's own account, which holds also where a receipt did not come in time.
    pub(super) fn departed(&mut self, departure: Departure) {
        self.under_way =
            departure.undelivered.into_iter().filter(|text| !self.failed.contains(text)).collect();
    }

    /// Whether all that counts has arrived.
    pub(super) fn complete(&self) -> bool {
        self.under_way.is_empty() && self.failed.is_empty() && !self.refused
    }

    /// Who lacks what, in the order of the texts; not those that were refused.
    pub(super) fn undelivered(&self) -> Vec<(MessageId, PeerId)> {
        let mut all: Vec<_> = self.failed.iter().chain(&self.under_way).cloned().collect();
        all.sort();
        all
    }
}

const FAILURES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn deliveries(from_the_start: bool, receipts: &[(u64, DeliveryState)]) -> Deliveries {
        let peer_id = PeerId::parse("bo").unwrap();
        let mut deliveries = Deliveries::new(from_the_start);
        for (id, state) in receipts {
            deliveries.record(MessageId(*id), &peer_id, *state);
        }
        deliveries
    }

    #[test]
    fn a_text_is_under_way_until_it_is_delivered() {
        use DeliveryState::{Delivered, Queued, Sent};
        assert!(deliveries(false, &[]).complete());
        assert!(!deliveries(false, &[(1, Queued), (1, Sent)]).complete());
        assert!(deliveries(false, &[(1, Queued), (1, Sent), (1, Delivered)]).complete());
        assert!(!deliveries(false, &[(1, Delivered), (1, Queued)]).complete(), "sent again on a new channel");
    }

    #[test]
    fn a_failure_counts_when_nobody_can_act_on_it() {
        let receipts = [(1, DeliveryState::Queued), (1, DeliveryState::Failed)];
        assert!(deliveries(false, &receipts).complete());
        assert_eq!(deliveries(true, &receipts).undelivered(), [(MessageId(1), PeerId::parse("bo").unwrap())]);
        let mut later = deliveries(false, &receipts);
        later.input_ended();
        assert!(later.complete());
        later.record(MessageId(2), &PeerId::parse("bo").unwrap(), DeliveryState::Failed);
        assert!(!later.complete());
    }

    #[test]
    fn a_refused_text_counts_like_a_failed_one() {
        let mut strict = deliveries(true, &[]);
        strict.refuse();
        assert!(!strict.complete());
        let mut interactive = deliveries(false, &[]);
        interactive.refuse();
        assert!(interactive.complete());
    }
}
