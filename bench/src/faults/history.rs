//! What happened in a run, as each peer recorded it, and whether it may have happened. Pure.
//!
//! A message that was taken must be received once and in order while both sessions live, or its sender or its
//! receiver must be told: by `Rejected`, or by a resume that was not complete and names the other.

mod check;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

pub(crate) use check::{Verdict, Violation, check};

/// Names a message: who wrote it, whatever session it had, and the how manieth it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Label {
    pub writer: u64,
    pub number: u64,
}

/// One line of the history. A session has the name of its peer id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Microseconds, by the one clock that all processes of this machine share.
    pub at: u64,
    pub session: String,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// The server began the session; `was` is the one that it had forgotten.
    Began { was: Option<String> },
    /// The session took the message, before any of it went out.
    Sent { to: String, label: Label },
    /// The server has carried these out, or rejected them.
    Acknowledged { labels: Vec<Label> },
    /// The server says that it did not carry it out.
    Rejected { label: Label, code: String },
    /// The program has it.
    Received { from: String, label: Label },
    /// The stream is lost.
    Away,
    /// Another stream carries the session.
    Resumed { complete: bool, affected: Vec<String> },
    /// The session said that it does not take more for these, for now.
    Refused { peers: Vec<String> },
    /// The session ended for good.
    Ended { reason: String },
    /// Nothing is on its way any more, and these are all the sessions there are.
    Settled { sessions: Vec<String> },
}

/// The records in the order in which they were read: that of each process is its own.
#[derive(Default)]
pub(crate) struct History {
    records: Vec<Record>,
    settled: usize,
}

impl History {
    pub(crate) fn push(&mut self, record: Record) {
        self.records.push(record);
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Notes that everything has arrived that ever will.
    pub(crate) fn settle(&mut self, at: u64, sessions: Vec<String>) {
        self.push(Record { at, session: String::new(), what: What::Settled { sessions } });
        self.settled = self.records.len();
    }

    /// Messages between `sessions` since all was settled last of which nothing is known yet.
    pub(crate) fn on_their_way(&self, sessions: &HashSet<String>) -> usize {
        let mut open = HashSet::new();
        let mut closed = HashSet::new();
        for record in &self.records[self.settled..] {
            match &record.what {
                What::Sent { to, label } if sessions.contains(&record.session) && sessions.contains(to) => {
                    open.insert(*label);
                }
                What::Received { label, .. } | What::Rejected { label, .. } => {
                    closed.insert(*label);
                }
                _ => {}
            }
        }
        open.difference(&closed).count()
    }
}
