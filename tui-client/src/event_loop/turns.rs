//! The turns of the loop: an event into the app, its effects out, a frame when one is due.

use std::{collections::VecDeque, io, io::Write, mem::ManuallyDrop, time::Duration};

use crossterm::event::Event as InputEvent;
use jiff::tz::TimeZone;
use patchcord_peer::EndReason;
use ratatui::layout::{Position, Rect};

use super::{
    Outcome, Reason, SIGNAL_LEAVE_TIMEOUT, Session, StopSignal, frames, frames::Frames, requests::Requests,
};
use crate::{
    app::{App, AppEvent, Effect, Phase, Setup, Surface},
    clock::Clock,
    room_events::Events,
    terminal::Screen,
    theme::Theme,
};

/// Events taken in before the next look at the clock, so that a flood is drawn while it comes.
const BATCH_MAX: usize = 1024;

/// What the loop keeps between two turns.
pub struct Turns {
    clock: Clock,
    app: App,
    theme: Theme,
    /// Never dropped: ratatui would complain on stderr that a terminal which is gone has no cursor to show, and
    /// panic if stderr is gone as well. The guard shows the cursor.
    screen: ManuallyDrop<Screen>,
    frames: Frames,
    requests: Requests,
    events: Events,
    events_ended: bool,
    stopped: Option<(Reason, Duration)>,
    terminal_lost: bool,
    /// The app is yet to be told that the terminal is lost; the next turn begins with it.
    stop_due: bool,
}

impl Turns {
    /// A loop that has not begun.
    pub fn new(session: Session, screen: Screen) -> Self {
        let clock = Clock::start();
        // A terminal without a size is as good as a small one until it says more.
        let size = screen.size().unwrap_or_default();
        let setup = Setup {
            info: session.room.info().clone(),
            connect_policy: session.connect_policy,
            surface: Surface::Screen { columns: size.width, rows: size.height },
            time_zone: TimeZone::system(),
            notices: session.notices,
            invite: session.invite,
            trust: session.trust.clone(),
        };
        Self {
            app: App::new(setup, clock.now()),
            clock,
            theme: Theme::detect(|name| std::env::var(name).ok()),
            screen: ManuallyDrop::new(screen),
            frames: Frames::new(),
            requests: Requests::start(session.room, session.trust),
            events: session.events,
            events_ended: false,
            stopped: None,
            terminal_lost: false,
            stop_due: false,
        }
    }

    /// Draws if a frame is due; then how long to sleep when nothing happens, `None` for as long as it takes.
    pub fn draw_and_sleep(&mut self) -> Option<Duration> {
        let now = self.clock.now().uptime;
        if !self.terminal_lost && self.frames.due(now).is_some_and(|due| due <= now) {
            self.frames.drawn(now);
            if frames::draw(&self.app, self.theme, &mut self.screen).is_err() {
                self.lose_terminal();
            }
        }
        if self.stop_due {
            return Some(Duration::ZERO);
        }
        let frame = if self.terminal_lost { None } else { self.frames.due(now) };
        let stop = self.stopped.as_ref().map(|(_, deadline)| *deadline);
        wake([self.app.deadline(), frame, stop], now)
    }

    /// Whether there is nothing to draw on and to read from any more.
    pub fn is_terminal_lost(&self) -> bool {
        self.terminal_lost
    }

    /// Whether the program is about to end, with or without a terminal.
    pub fn is_stopping(&self) -> bool {
        self.stopped.is_some()
    }

    /// What came from the terminal; nothing more comes after `None`.
    pub fn input(&mut self, event: Option<InputEvent>) -> Option<AppEvent> {
        Some(match event {
            Some(InputEvent::Key(key)) => AppEvent::Key(key),
            Some(InputEvent::Paste(text)) => AppEvent::Paste(text),
            Some(InputEvent::Resize(columns, rows)) => AppEvent::Resize { columns, rows },
            Some(InputEvent::FocusGained) => AppEvent::Focus(true),
            Some(InputEvent::FocusLost) => AppEvent::Focus(false),
            Some(InputEvent::Mouse(_)) => return None,
            None => {
                self.lose_terminal();
                return None;
            }
        })
    }

    /// The next thing that the room does. Cancel-safe.
    pub async fn happened(&mut self) -> Option<AppEvent> {
        tokio::select! {
            answer = self.requests.answer() => Some(answer),
            event = self.events.recv(), if !self.events_ended => {
                self.events_ended = event.is_none();
                Some(event.map_or(AppEvent::RoomLost, AppEvent::Room))
            }
        }
    }

    /// A signal asks the program to end: the first leaves in order, the next ends at once. A hangup only ever
    /// tells that the terminal is gone, which is no second wish.
    pub fn stop(&mut self, signal: StopSignal) -> AppEvent {
        let first = self.stopped.is_none();
        self.end_because(Reason::Stopped(signal));
        let leaving = *self.app.phase() == Phase::Leaving { then_quit: true };
        match (first, signal) {
            (true, _) if leaving => AppEvent::Timer,
            (false, StopSignal::Hangup) => AppEvent::Timer,
            _ => AppEvent::Stop,
        }
    }

    /// The terminal was somebody else's meanwhile, and has been taken over again or could not be.
    pub fn resumed(&mut self, taken_over: io::Result<()>) -> AppEvent {
        match taken_over {
            Ok(()) => self.repaint(),
            Err(_) => self.lose_terminal(),
        }
        self.resized()
    }

    /// The terminal may have another size.
    pub fn resized(&mut self) -> AppEvent {
        match self.screen.size() {
            Ok(size) => AppEvent::Resize { columns: size.width, rows: size.height },
            Err(_) => AppEvent::Timer,
        }
    }

    /// One turn: the event, and what of the room is at hand. `Some` is the end.
    pub fn take_in(&mut self, event: AppEvent) -> Option<Outcome> {
        if std::mem::take(&mut self.stop_due) && self.carry_out(AppEvent::Stop) {
            return Some(self.outcome());
        }
        let mut next = Some(event);
        let mut budget = BATCH_MAX;
        while let Some(event) = next.take() {
            if self.carry_out(event) {
                return Some(self.outcome());
            }
            budget -= 1;
            if budget > 0 {
                next = self.events.try_recv().map(AppEvent::Room);
            }
        }
        self.frames.mark();
        let late = self.stopped.as_ref().is_some_and(|(_, deadline)| *deadline <= self.clock.now().uptime);
        late.then(|| self.outcome())
    }

    /// Whether the app wants to end.
    fn carry_out(&mut self, event: AppEvent) -> bool {
        let mut events = VecDeque::from([event]);
        // Only refusals add events, and each effect is refused once.
        while let Some(event) = events.pop_front() {
            for effect in self.app.update(event, self.clock.now()) {
                match effect {
                    Effect::Quit => return true,
                    Effect::Bell => self.ring(),
                    Effect::Repaint => self.repaint(),
                    Effect::Suspend => events.extend(request_suspension()),
                    effect => events.extend(self.requests.submit(effect)),
                }
            }
        }
        false
    }

    fn ring(&mut self) {
        let out = self.screen.backend_mut();
        if out.write_all(b"\x07").and_then(|()| Write::flush(out)).is_err() {
            self.lose_terminal();
        }
    }

    fn repaint(&mut self) {
        // Not `clear`: that asks the terminal for the cursor's place, and the answer would be read as keys.
        let size = self.screen.size();
        if size.and_then(|size| self.screen.resize(Rect::from((Position::ORIGIN, size)))).is_err() {
            self.lose_terminal();
        }
        self.frames.mark();
    }

    /// The room is left as if a signal had asked for it, unless one has.
    fn lose_terminal(&mut self) {
        if !std::mem::replace(&mut self.terminal_lost, true) && self.stopped.is_none() {
            self.end_because(Reason::TerminalLost);
            self.stop_due = *self.app.phase() != Phase::Leaving { then_quit: true };
        }
    }

    fn end_because(&mut self, reason: Reason) {
        let deadline = self.clock.now().uptime + SIGNAL_LEAVE_TIMEOUT;
        self.stopped.get_or_insert((reason, deadline));
    }

    fn outcome(&mut self) -> Outcome {
        let reason = match (self.stopped.take(), self.app.phase()) {
            (Some((reason, _)), _) => reason,
            (None, Phase::Ended(EndReason::Removed { message })) => {
                Reason::Removed { message: message.clone() }
            }
            (None, _) if self.app.has_room_failed() => Reason::Failed,
            (None, _) => Reason::Left,
        };
        Outcome { reason, undelivered: self.app.undelivered() }
    }
}

/// How long until the first of `deadlines`; `None` when there is none.
fn wake(deadlines: [Option<Duration>; 3], now: Duration) -> Option<Duration> {
    deadlines.into_iter().flatten().min().map(|at| at.saturating_sub(now))
}

/// Asks the kernel to stop us; where no shell could continue us, that is told instead.
#[cfg(unix)]
fn request_suspension() -> Option<AppEvent> {
    if !crate::terminal::suspend::is_possible() {
        return Some(AppEvent::SuspendRefused);
    }
    crate::terminal::suspend::request();
    None
}

#[cfg(not(unix))]
fn request_suspension() -> Option<AppEvent> {
    Some(AppEvent::SuspendRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_nothing_due_there_is_no_timer() {
        assert_eq!(wake([None, None, None], Duration::from_secs(9)), None);
    }

    #[test]
    fn the_first_deadline_wakes_and_a_past_one_at_once() {
        let second = Duration::from_secs(1);
        assert_eq!(wake([Some(second * 5), None, Some(second * 4)], second), Some(second * 3));
        assert_eq!(wake([Some(second), None, None], second * 2), Some(Duration::ZERO));
    }
}
