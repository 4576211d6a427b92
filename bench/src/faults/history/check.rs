//! The history checker: from records to what must not be in them.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Label, Record, What};

/// What must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Taken, not received, and nobody was told.
    Lost {
        label: Label,
        acknowledged: bool,
    },
    Doubled {
        label: Label,
    },
    OutOfOrder {
        label: Label,
        after: Label,
    },
    /// Received, but nobody sent it.
    Forged {
        label: Label,
    },
    /// Received in another session than it was for, or under another name than that of its sender.
    Misdelivered {
        label: Label,
    },
    /// Said to be not carried out, and carried out.
    RejectedAndReceived {
        label: Label,
    },
    /// A session ended, or heard what makes no sense.
    Ended {
        session: String,
        reason: String,
    },
    /// Refused for a reason that was none.
    WronglyRejected {
        label: Label,
        code: String,
    },
}

/// The outcome.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub violations: Vec<Violation>,
    pub sent: usize,
    pub acknowledged: usize,
    pub received: usize,
    pub rejected: BTreeMap<String, usize>,
    /// Not received, but a resume told of it.
    pub told: usize,
    /// Not received, and one of the two sessions ended.
    pub ended: usize,
    /// Those of them that the server had acknowledged.
    pub ended_acknowledged: usize,
}

struct Sent<'a> {
    pair: (&'a str, &'a str),
    at: u64,
}

#[derive(Default)]
struct Index<'a> {
    sent: HashMap<Label, Sent<'a>>,
    /// Per sender and receiver, in the order of sending.
    pairs: HashMap<(&'a str, &'a str), Vec<Label>>,
    acknowledged: HashSet<Label>,
    rejected: HashMap<Label, (&'a str, u64)>,
    /// When first.
    received: HashMap<Label, u64>,
    /// Per sender and receiver, until when a resume says that messages may be missing.
    told: HashMap<(&'a str, &'a str), u64>,
    /// When the newest message was sent that a session received: of what the server had told it by then, it has heard.
    heard_until: HashMap<&'a str, u64>,
    /// When a session was last seen with everything settled.
    settled: HashMap<&'a str, u64>,
}

/// Judges a whole history.
pub(crate) fn check(records: &[Record]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut index = Index::default();
    // Of different processes the receiver may have been read before the sender.
    for record in records {
        index.take(record);
    }
    index.hear(records);
    verdict.deliveries(&index, records);
    for record in records {
        if let What::Ended { reason } = &record.what {
            verdict.add(Violation::Ended { session: record.session.clone(), reason: reason.clone() });
        }
    }
    for (label, (code, at)) in &index.rejected {
        *verdict.rejected.entry((*code).to_owned()).or_default() += 1;
        let unfounded = match *code {
            "NO_SUCH_PEER" => index.sent.get(label).is_some_and(|sent| index.is_settled(sent.pair.1, *at)),
            "PEER_BUSY" | "RATE_LIMITED" => false,
            _ => true,
        };
        if unfounded {
            verdict.add(Violation::WronglyRejected { label: *label, code: (*code).to_owned() });
        }
    }
    for (pair, labels) in &index.pairs {
        verdict.absences(&index, *pair, labels);
    }
    verdict.sent = index.sent.len();
    verdict.acknowledged = index.acknowledged.len();
    verdict.received = index.received.len();
    verdict
}

impl<'a> Index<'a> {
    fn take(&mut self, record: &'a Record) {
        let session = record.session.as_str();
        match &record.what {
            What::Sent { to, label } => {
                let pair = (session, to.as_str());
                if self.sent.insert(*label, Sent { pair, at: record.at }).is_none() {
                    self.pairs.entry(pair).or_default().push(*label);
                }
            }
            What::Acknowledged { labels } => self.acknowledged.extend(labels),
            What::Rejected { label, code } => {
                self.rejected.entry(*label).or_insert((code, record.at));
            }
            What::Received { label, .. } => {
                self.received.entry(*label).or_insert(record.at);
            }
            What::Resumed { complete: false, affected } => {
                for other in affected {
                    self.told.insert((session, other), record.at);
                    self.told.insert((other, session), record.at);
                }
            }
            What::Settled { sessions } => {
                self.settled.extend(sessions.iter().map(|session| (session.as_str(), record.at)));
            }
            _ => {}
        }
    }

    fn hear(&mut self, records: &'a [Record]) {
        for record in records {
            let What::Received { label, .. } = &record.what else { continue };
            let Some(sent) = self.sent.get(label) else { continue };
            let until = self.heard_until.entry(&record.session).or_default();
            *until = (*until).max(sent.at);
        }
    }

    fn is_settled(&self, session: &str, since: u64) -> bool {
        self.settled.get(session).is_some_and(|at| *at >= since)
    }

    fn is_told(&self, pair: (&'a str, &'a str), sent_at: u64) -> bool {
        self.told.get(&pair).is_some_and(|until| sent_at <= *until)
    }

    /// Whether a sender would have heard of a rejection that was made before a later message of its was received.
    fn has_heard(&self, sender: &str, sent_at: u64, overtaken_at: u64) -> bool {
        self.is_settled(sender, sent_at)
            || self.heard_until.get(sender).is_some_and(|until| *until >= overtaken_at)
    }
}

impl Verdict {
    fn add(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    /// What each session received: once, in order, and what was sent to it.
    fn deliveries<'a>(&mut self, index: &Index<'a>, records: &'a [Record]) {
        let mut seen = HashSet::new();
        let mut newest: HashMap<(&str, &str), Label> = HashMap::new();
        for record in records {
            let What::Received { from, label } = &record.what else { continue };
            let Some(sent) = index.sent.get(label) else {
                self.add(Violation::Forged { label: *label });
                continue;
            };
            if !seen.insert(*label) {
                self.add(Violation::Doubled { label: *label });
                continue;
            }
            if sent.pair != (from.as_str(), record.session.as_str()) {
                self.add(Violation::Misdelivered { label: *label });
                continue;
            }
            if index.rejected.contains_key(label) {
                self.add(Violation::RejectedAndReceived { label: *label });
            }
            // A writer numbers all that it writes, to whomever.
            let last = newest.entry(sent.pair).or_insert(*label);
            if *last > *label {
                self.add(Violation::OutOfOrder { label: *label, after: *last });
            }
            *last = (*last).max(*label);
        }
    }

    /// What of one pair did not arrive, and whether it had to.
    fn absences<'a>(&mut self, index: &Index<'a>, pair: (&'a str, &'a str), labels: &[Label]) {
        // When the first of those after it was received.
        let mut overtaken_at: Option<u64> = None;
        for label in labels.iter().rev() {
            if let Some(at) = index.received.get(label) {
                overtaken_at = Some(overtaken_at.map_or(*at, |earlier| earlier.min(*at)));
                continue;
            }
            let sent_at = index.sent.get(label).map_or(0, |sent| sent.at);
            if index.rejected.contains_key(label) {
                continue;
            }
            if index.is_told(pair, sent_at) {
                self.told += 1;
                continue;
            }
            let settled = index.is_settled(pair.0, sent_at) && index.is_settled(pair.1, sent_at);
            let overtaken = overtaken_at.is_some_and(|at| index.has_heard(pair.0, sent_at, at));
            let acknowledged = index.acknowledged.contains(label);
            if settled || overtaken {
                self.add(Violation::Lost { label: *label, acknowledged });
            } else {
                self.ended += 1;
                self.ended_acknowledged += usize::from(acknowledged);
            }
        }
    }
}

#[cfg(test)]
mod tests;
