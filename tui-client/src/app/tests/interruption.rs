//! A chat that is interrupted is told of, with its end, and a bad line does not flood the transcript.

use super::*;
use crate::app::interruption::INTERRUPTION_TOLD_INTERVAL;

const GONE: &str = "bo does not answer at the moment: what you write to it waits";
const BACK: &str = "bo answers again";

impl Bench {
    fn connection(&mut self, state: ConnectionState) {
        self.room(Event::Connection { peer_id: id("bbbb1111"), state, path: None });
    }

    fn opened(&mut self) {
        self.connection(ConnectionState::Connected);
        self.room(Event::ChannelOpen { peer_id: id("bbbb1111"), display_name: Untrusted::new("bo") });
    }

    fn interruptions(&self) -> Vec<String> {
        let entries = self.app.transcript().since(EntryId(0)).filter_map(|entry| match &entry.body {
            Body::Notice { text, .. } if text.as_str().contains("answer") => Some(text.to_string()),
            _ => None,
        });
        entries.collect()
    }
}

#[test]
fn an_interruption_is_told_with_its_end() {
    let mut bench = Bench::pair();
    bench.opened();
    bench.connection(ConnectionState::Disconnected);
    assert_eq!(bench.last_text(), GONE);
    bench.connection(ConnectionState::Disconnected);
    bench.connection(ConnectionState::Connected);
    bench.connection(ConnectionState::Connected);
    assert_eq!(bench.interruptions(), [GONE, BACK]);
}

#[test]
fn one_that_ends_with_a_new_channel_or_with_a_failure_is_told_by_that() {
    let mut bench = Bench::pair();
    bench.opened();
    bench.connection(ConnectionState::Disconnected);
    bench.room(Event::ChannelClosed { peer_id: id("bbbb1111") });
    bench.opened();
    assert_eq!(bench.last_text(), "chat with bo is open");
    bench.connection(ConnectionState::Connected);
    assert_eq!(bench.interruptions(), [GONE]);

    let mut bench = Bench::pair();
    bench.opened();
    bench.connection(ConnectionState::Disconnected);
    bench.connection(ConnectionState::Failed);
    bench.opened();
    assert_eq!(bench.interruptions(), [GONE]);
}

#[test]
fn a_connection_that_never_came_about_is_not_interrupted() {
    let mut bench = Bench::pair();
    bench.connection(ConnectionState::Connecting);
    bench.connection(ConnectionState::Disconnected);
    assert_eq!(bench.interruptions(), [""; 0]);
}

#[test]
fn a_bad_line_is_told_rarely() {
    let mut bench = Bench::pair();
    bench.opened();
    for _ in 0..10 {
        bench.connection(ConnectionState::Disconnected);
        bench.connection(ConnectionState::Connected);
    }
    assert_eq!(bench.interruptions(), [GONE, BACK]);
    bench.after(INTERRUPTION_TOLD_INTERVAL.as_secs(), AppEvent::Timer);
    bench.connection(ConnectionState::Disconnected);
    assert_eq!(bench.last_text(), GONE);
}
