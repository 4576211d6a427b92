//! Histories that are good, and each with one thing in it that the checker must catch.

use super::*;

/// A history that grows by one record a microsecond.
#[derive(Default)]
struct Writing(Vec<Record>);

fn label(number: u64) -> Label {
    Label { writer: 1, number }
}

impl Writing {
    fn add(mut self, session: &str, what: What) -> Self {
        let at = self.0.len() as u64 + 1;
        self.0.push(Record { at, session: session.to_owned(), what });
        self
    }

    fn sent(self, numbers: &[u64]) -> Self {
        numbers.iter().fold(self, |history, number| {
            history.add("a", What::Sent { to: "b".to_owned(), label: label(*number) })
        })
    }

    fn received(self, numbers: &[u64]) -> Self {
        numbers.iter().fold(self, |history, number| {
            history.add("b", What::Received { from: "a".to_owned(), label: label(*number) })
        })
    }

    fn rejected(self, number: u64, code: &str) -> Self {
        self.add("a", What::Rejected { label: label(number), code: code.to_owned() })
    }

    fn resumed(self, session: &str, affected: Option<&str>) -> Self {
        let affected = affected.map(str::to_owned);
        let complete = affected.is_none();
        self.add(session, What::Resumed { complete, affected: affected.into_iter().collect() })
    }

    /// The receiver sends to the sender, which gets it.
    fn answered(self) -> Self {
        let label = Label { writer: 2, number: 1 };
        self.add("b", What::Sent { to: "a".to_owned(), label })
            .add("a", What::Received { from: "b".to_owned(), label })
    }

    fn settled(self, sessions: &[&str]) -> Self {
        let sessions = sessions.iter().map(|session| (*session).to_owned()).collect();
        self.add("", What::Settled { sessions })
    }

    fn violations(self) -> Vec<Violation> {
        check(&self.0).violations
    }
}

fn lost(number: u64) -> Vec<Violation> {
    vec![Violation::Lost { label: label(number), acknowledged: false }]
}

#[test]
fn all_that_was_sent_and_received_in_order_is_good() {
    let history = Writing::default().sent(&[1, 2, 5]).received(&[1, 2, 5]).settled(&["a", "b"]);
    let verdict = check(&history.0);
    assert_eq!(verdict.violations, []);
    assert_eq!((verdict.sent, verdict.received, verdict.told, verdict.ended), (3, 3, 0, 0));
}

#[test]
fn a_receiver_that_was_read_before_its_sender_is_good() {
    let history = Writing::default().received(&[1, 2]).sent(&[1, 2]).settled(&["a", "b"]);
    assert_eq!(history.violations(), []);
}

#[test]
fn the_last_message_may_not_be_missing_when_all_is_settled() {
    let history = Writing::default().sent(&[1, 2]).received(&[1]);
    assert_eq!(history.settled(&["a", "b"]).violations(), lost(2));
}

#[test]
fn an_acknowledged_message_that_is_lost_is_named_so() {
    let acknowledged = What::Acknowledged { labels: vec![label(1)] };
    let history = Writing::default().sent(&[1]).add("a", acknowledged).settled(&["a", "b"]);
    assert_eq!(history.violations(), [Violation::Lost { label: label(1), acknowledged: true }]);
}

#[test]
fn a_resume_that_says_complete_excuses_nothing() {
    let history = Writing::default().sent(&[1, 2]).received(&[1]).resumed("b", None);
    assert_eq!(history.settled(&["a", "b"]).violations(), lost(2));
}

#[test]
fn a_gap_is_found_though_the_sessions_end() {
    assert_eq!(Writing::default().sent(&[1, 2, 3]).received(&[1, 3]).answered().violations(), lost(2));
}

#[test]
fn a_sender_that_heard_nothing_more_may_have_missed_that_it_was_rejected() {
    let history = Writing::default().answered().sent(&[1, 2, 3]).received(&[1, 3]);
    let verdict = check(&history.0);
    assert_eq!((verdict.violations.len(), verdict.ended), (0, 1));
}

#[test]
fn what_was_told_is_not_lost_but_what_came_later_is() {
    for teller in [("a", "b"), ("b", "a")] {
        let history = Writing::default().sent(&[1]).resumed(teller.0, Some(teller.1));
        let verdict = check(&history.settled(&["a", "b"]).0);
        assert_eq!((verdict.violations.len(), verdict.told), (0, 1));
        let history = Writing::default().resumed(teller.0, Some(teller.1)).sent(&[1]);
        assert_eq!(history.settled(&["a", "b"]).violations(), lost(1));
    }
    let history = Writing::default().sent(&[1]).resumed("b", Some("c")).settled(&["a", "b"]);
    assert_eq!(history.violations(), lost(1));
}

#[test]
fn a_session_that_ended_excuses_what_was_on_its_way_at_the_end() {
    let verdict = check(&Writing::default().sent(&[1, 2]).received(&[1]).settled(&["a"]).0);
    assert_eq!((verdict.violations.len(), verdict.ended), (0, 1));
}

#[test]
fn a_message_that_comes_twice_is_found() {
    let history = Writing::default().sent(&[1, 2]).received(&[1, 2, 1]);
    assert_eq!(history.violations(), [Violation::Doubled { label: label(1) }]);
}

#[test]
fn messages_that_come_in_another_order_are_found() {
    let history = Writing::default().sent(&[1, 2]).received(&[2, 1]);
    assert_eq!(history.violations(), [Violation::OutOfOrder { label: label(1), after: label(2) }]);
}

#[test]
fn what_nobody_sent_or_somebody_else_is_found() {
    let forged = Writing::default().sent(&[1]).received(&[1, 2]);
    assert_eq!(forged.violations(), [Violation::Forged { label: label(2) }]);
    let misdelivered = [Violation::Misdelivered { label: label(1) }];
    let received = |from: &str| What::Received { from: from.to_owned(), label: label(1) };
    assert_eq!(Writing::default().sent(&[1]).add("c", received("a")).violations(), misdelivered);
    assert_eq!(Writing::default().sent(&[1]).add("b", received("c")).violations(), misdelivered);
}

#[test]
fn a_rejected_message_is_not_lost_and_may_not_arrive() {
    let busy = Writing::default().sent(&[1, 2]).rejected(1, "PEER_BUSY").received(&[2]);
    assert_eq!(busy.settled(&["a", "b"]).violations(), []);
    let both = Writing::default().sent(&[1]).rejected(1, "PEER_BUSY").received(&[1]);
    assert_eq!(both.violations(), [Violation::RejectedAndReceived { label: label(1) }]);
}

#[test]
fn a_peer_that_is_there_may_not_be_said_to_be_away() {
    let code = "NO_SUCH_PEER".to_owned();
    let away = Writing::default().sent(&[1]).rejected(1, &code).settled(&["a"]);
    assert_eq!(away.violations(), []);
    let here = Writing::default().sent(&[1]).rejected(1, &code).settled(&["a", "b"]);
    assert_eq!(here.violations(), [Violation::WronglyRejected { label: label(1), code }]);
}

#[test]
fn a_number_may_never_be_out_of_sequence() {
    let code = "OUT_OF_SEQUENCE".to_owned();
    let history = Writing::default().sent(&[1]).rejected(1, &code);
    assert_eq!(history.violations(), [Violation::WronglyRejected { label: label(1), code }]);
}

#[test]
fn a_session_that_ends_is_found() {
    let history = Writing::default().add("a", What::Ended { reason: "removed".to_owned() });
    assert!(matches!(&history.violations()[..], [Violation::Ended { .. }]));
}
