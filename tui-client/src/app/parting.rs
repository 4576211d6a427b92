//! Leaving the room, and being out of it. Whether we left or an operator was quicker, the room itself says.

use patchcord_peer::{ConnectionState, Departure, EndReason};

use super::{App, Effect, Level, Phase, Surface};
use crate::clock::Moment;

impl App {
    /// Leaves and ends the program; asked a second time, ends it at once.
    pub(super) fn quit(&mut self, now: Moment) -> Vec<Effect> {
        match self.phase {
            Phase::Joined | Phase::Leaving { then_quit: false } => self.leave(true, now),
            Phase::Leaving { then_quit: true } | Phase::Ended(_) => vec![Effect::Quit],
        }
    }

    /// Leaves the room. There is nothing to read back on lines: leaving ends the program there.
    pub(super) fn leave(&mut self, quit: bool, now: Moment) -> Vec<Effect> {
        let then_quit = quit || self.surface == Surface::Lines;
        match &mut self.phase {
            Phase::Joined => {
                self.phase = Phase::Leaving { then_quit };
                vec![Effect::Leave]
            }
            Phase::Leaving { then_quit: known } => {
                *known |= then_quit;
                Vec::new()
            }
            Phase::Ended(_) if then_quit => vec![Effect::Quit],
            Phase::Ended(_) => {
                self.hint_at("the room is left: write /quit", now);
                Vec::new()
            }
        }
    }

    /// Leaving has answered: the room is over, though its last receipts may not have been read.
    pub(super) fn departed(&mut self, departure: Departure, now: Moment) -> Vec<Effect> {
        if matches!(self.phase, Phase::Ended(_)) {
            return Vec::new();
        }
        self.undelivered = departure.undelivered.len();
        self.end(departure.reason, now)
    }

    /// The room has told its last. Where leaving is under way, its answer tells more.
    pub(super) fn ended(&mut self, reason: EndReason, now: Moment) -> Vec<Effect> {
        self.events_over = true;
        self.fail_all(|_| true, now);
        if self.phase == Phase::Joined { self.end(reason, now) } else { Vec::new() }
    }

    /// The room tells nothing any more, and has not said why: a part of it has failed.
    pub(super) fn lost(&mut self, now: Moment) -> Vec<Effect> {
        if std::mem::replace(&mut self.events_over, true) {
            return Vec::new();
        }
        self.room_failed = true;
        self.fail_all(|_| true, now);
        self.notice(Level::Problem, "the room has failed: nothing can be sent or received any more", now);
        if matches!(self.phase, Phase::Ended(_)) { Vec::new() } else { self.out(EndReason::Left) }
    }

    fn end(&mut self, reason: EndReason, now: Moment) -> Vec<Effect> {
        let what = match &reason {
            EndReason::Left => "you left the room".to_owned(),
            EndReason::Removed { message } => format!("you were removed from the room: {message}"),
        };
        match (&reason, self.undelivered) {
            (EndReason::Left, 0) => self.notice(Level::Info, &what, now),
            (_, 0) => self.notice(Level::Problem, &what, now),
            (_, count) => self.notice(Level::Problem, &format!("{what}\n{count} not delivered"), now),
        }
        self.out(reason)
    }

    fn out(&mut self, reason: EndReason) -> Vec<Effect> {
        let quits =
            self.surface == Surface::Lines || matches!(self.phase, Phase::Leaving { then_quit: true });
        self.phase = Phase::Ended(reason);
        // Out of the room nobody is connected.
        for member in self.roster.members_mut() {
            (member.state, member.path, member.channel_open) = (ConnectionState::Closed, None, false);
            member.typing_until = None;
        }
        if quits { vec![Effect::Quit] } else { Vec::new() }
    }
}
