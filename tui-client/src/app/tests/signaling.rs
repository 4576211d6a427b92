//! A signaling that comes and goes is told, and does not flood the transcript.

use super::*;
use crate::app::signaling::SIGNALING_FOLD_TIME;

impl Bench {
    fn away(&mut self, seconds: u64) {
        let reason = "refused".into();
        self.after(seconds, AppEvent::Room(Event::Signaling(SignalingState::Away { reason })));
        self.room(Event::Signaling(SignalingState::Resuming));
    }

    fn back(&mut self) {
        self.after(1, AppEvent::Room(Event::Signaling(SignalingState::Connected)));
    }

    /// Lets the app's deadline come, as long as it has one.
    fn deadlines(&mut self) {
        while let Some(deadline) = self.app.deadline() {
            assert!(deadline >= self.uptime, "a deadline that has passed would be due for ever");
            self.uptime = deadline;
            self.event(AppEvent::Timer);
        }
    }

    fn told(&self) -> Vec<String> {
        let entries = self.app.transcript().since(EntryId(0)).filter_map(|entry| match &entry.body {
            Body::Notice { text, .. } if text.as_str().contains("signaling") => Some(text.to_string()),
            _ => None,
        });
        entries.collect()
    }
}

const AWAY: &str = "signaling is away (refused): open chats go on, it is tried again";

#[test]
fn one_absence_is_told_at_once_with_its_end() {
    let mut bench = Bench::pair();
    bench.away(0);
    bench.back();
    bench.deadlines();
    assert_eq!(bench.told(), [AWAY, "signaling is back"]);
    bench.away(1);
    assert_eq!(bench.told().len(), 3, "later it is told at once again");
}

#[test]
fn a_long_absence_ends_with_a_word() {
    let mut bench = Bench::pair();
    bench.away(0);
    bench.deadlines();
    bench.after(600, AppEvent::Timer);
    bench.back();
    assert_eq!(bench.told(), [AWAY, "signaling is back"]);
}

#[test]
fn repeated_absences_are_counted_in_one_line_a_minute() {
    let mut bench = Bench::pair();
    for _ in 0..5 {
        bench.away(1);
        bench.back();
    }
    assert_eq!(bench.told().len(), 2, "the first of each");
    assert_eq!(*bench.app.signaling(), SignalingState::Connected, "the title shows every change");
    bench.deadlines();
    assert_eq!(bench.told()[2..], ["signaling was away 4 more times within a minute, and is back"]);

    let mut bench = Bench::pair();
    for _ in 0..300 {
        bench.away(1);
        bench.back();
    }
    assert!(bench.told().len() <= 2 + 600 / SIGNALING_FOLD_TIME.as_secs() as usize, "{:#?}", bench.told());
}

#[test]
fn an_absence_that_was_only_counted_is_told_if_it_lasts() {
    let mut bench = Bench::pair();
    bench.away(0);
    bench.back();
    bench.away(1);
    bench.room(Event::Signaling(SignalingState::Away { reason: "refused".into() }));
    bench.deadlines();
    let last = "signaling was away once more within a minute, and is away now (refused)";
    assert_eq!(bench.told()[2..], [last]);
}

#[test]
fn that_it_is_gone_for_good_is_always_told() {
    let mut bench = Bench::pair();
    for _ in 0..3 {
        bench.away(1);
        bench.back();
    }
    bench.room(Event::Signaling(SignalingState::Gone { reason: "room full".into() }));
    assert!(bench.told().last().unwrap().starts_with("signaling is gone (room full)"));
}
