//! What a connection went through, step by step, for people who ask why it is as it is.

use std::{
    collections::VecDeque,
    fmt::{self, Display, Formatter},
    time::{Duration, SystemTime},
};

use crate::{CandidateType, Path};

/// Steps that are kept of one peer; older ones are forgotten.
const STEPS_MAX: usize = 32;

/// One step of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineEntry {
    /// By our clock.
    pub at: SystemTime,
    /// What happened.
    pub step: ConnectionStep,
}

/// What may happen to a connection. Its text is for people.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ConnectionStep {
    /// Sockets were opened and candidates are gathered.
    Gathering,
    /// Our offer went to the server.
    OfferSent,
    /// The peer's offer came.
    OfferReceived,
    /// Our answer went to the server.
    AnswerSent,
    /// The peer's answer came: candidates are checked.
    AnswerReceived,
    /// The first candidate of our own in this generation.
    FirstLocalCandidate(CandidateType),
    /// The peer's first candidate in this generation.
    FirstRemoteCandidate(CandidateType),
    /// A TURN server over TCP or TLS that no stream reaches.
    RelayUnreachable {
        /// Its url, free of control characters.
        url: String,
        /// What the network said or is wrong with its certificate, and what to do.
        reason: String,
    },
    /// The server was too busy to pass on what we said; it is said again after this long.
    NotRelayed(Duration),
    /// Packets flow, over this path if it is known.
    Connected(Option<Path>),
    /// The chat channel is open in both directions.
    ChannelOpen,
    /// Packets stopped flowing.
    Disconnected,
    /// The local addresses have changed.
    AddressesChanged,
    /// The how manieth ICE restart since packets stopped flowing.
    IceRestart(u32),
    /// A relay was chosen before direct paths could be checked: the how manieth ICE restart that gives them another chance.
    DirectPathTried(u32),
    /// The how manieth new connection since packets stopped flowing.
    NewConnection(u32),
    /// The connection failed; why, and what to do.
    Failed(String),
    /// Closed on purpose.
    Closed,
}

impl Display for ConnectionStep {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gathering => formatter.write_str("gathering candidates"),
            Self::OfferSent => formatter.write_str("offer sent"),
            Self::OfferReceived => formatter.write_str("offer received"),
            Self::AnswerSent => formatter.write_str("answer sent"),
            Self::AnswerReceived => formatter.write_str("answer received, checking candidates"),
            Self::FirstLocalCandidate(kind) => write!(formatter, "first own candidate: {}", kind.as_str()),
            Self::FirstRemoteCandidate(kind) => {
                write!(formatter, "first candidate of the peer: {}", kind.as_str())
            }
            Self::RelayUnreachable { url, reason } => {
                write!(formatter, "the relay {url} cannot be reached: {reason}")
            }
            Self::NotRelayed(wait) => {
                write!(formatter, "the server is too busy to pass this on, again in {} s", wait.as_secs())
            }
            Self::Connected(None) => formatter.write_str("connected"),
            Self::Connected(Some(path)) => {
                write!(formatter, "connected by {} to {}", path.local.as_str(), path.remote.as_str())
            }
            Self::ChannelOpen => formatter.write_str("channel open"),
            Self::Disconnected => formatter.write_str("no packets come"),
            Self::AddressesChanged => formatter.write_str("the addresses of this host have changed"),
            Self::IceRestart(number) => write!(formatter, "ICE restart {number}"),
            Self::DirectPathTried(number) => {
                write!(formatter, "a direct path had no chance yet: ICE restart {number} for one")
            }
            Self::NewConnection(number) => write!(formatter, "new connection {number}"),
            Self::Failed(why) => write!(formatter, "failed: {why}"),
            Self::Closed => formatter.write_str("closed"),
        }
    }
}

/// The last steps of one connection.
#[derive(Debug, Default)]
pub(crate) struct Timeline(VecDeque<TimelineEntry>);

impl Timeline {
    pub(crate) fn add(&mut self, step: ConnectionStep) {
        if self.0.len() == STEPS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(TimelineEntry { at: SystemTime::now(), step });
    }

    pub(crate) fn entries(&self) -> Vec<TimelineEntry> {
        self.0.iter().cloned().collect()
    }

    /// Why it failed and what to do, if that is how things are now.
    pub(crate) fn advice(&self) -> Option<String> {
        let steps = self.0.iter().rev().map(|entry| &entry.step);
        let mut steps = steps.skip_while(|step| **step == ConnectionStep::Closed);
        match steps.next()? {
            ConnectionStep::Failed(why) => Some(why.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_steps_are_kept_and_no_more() {
        let mut timeline = Timeline::default();
        (0..100).for_each(|number| timeline.add(ConnectionStep::IceRestart(number)));
        let steps: Vec<_> = timeline.entries().into_iter().map(|entry| entry.step).collect();
        assert_eq!(steps, (68..100).map(ConnectionStep::IceRestart).collect::<Vec<_>>());
    }

    #[test]
    fn advice_is_given_as_long_as_nothing_follows_the_failure() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.advice(), None);
        timeline.add(ConnectionStep::Failed("do this".into()));
        timeline.add(ConnectionStep::Closed);
        assert_eq!(timeline.advice().as_deref(), Some("do this"));
        timeline.add(ConnectionStep::Gathering);
        assert_eq!(timeline.advice(), None);
    }
}
