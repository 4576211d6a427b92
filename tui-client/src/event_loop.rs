//! The screen's one loop: keys, the room's events, answers and signals go into the app; effects and frames
//! come out. There is no tick: with nothing due it sleeps until something happens.

use std::{io, time::Duration};

use patchcord_peer::{ConnectPolicy, Room};

use crate::{app::AppEvent, identity::Trust, room_events::Events, sealed::Invite, terminal::TerminalGuard};

mod frames;
mod input;
mod requests;
mod signals;
mod turns;

pub(crate) use input::wait_for_input;
pub use signals::StopSignal;
use signals::{SignalEvent, Signals};
use turns::Turns;

/// For leaving after a signal: whoever sent it waits.
const SIGNAL_LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A joined room to show.
#[derive(Debug)]
pub struct Session {
    /// The room.
    pub room: Room,
    /// Its events, none of which was read.
    pub events: Events,
    /// As it was joined with.
    pub connect_policy: ConnectPolicy,
    /// Told at the start, such as how others can join.
    pub notices: Vec<String>,
    /// How others come in, if the room is sealed.
    pub invite: Option<Invite>,
    /// What is known of peers.
    pub trust: Trust,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why.
    pub reason: Reason,
    /// Texts that could not be delivered, counted per receiver.
    pub undelivered: usize,
}

/// Why it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The user wanted it.
    Left,
    /// An operator removed us or closed the room; the message is free of control characters.
    Removed {
        /// From the operator.
        message: String,
    },
    /// The room ended for a reason that should not occur.
    Failed,
    /// A signal asked for it.
    Stopped(StopSignal),
    /// The terminal is gone.
    TerminalLost,
}

/// Shows the session until it ends. To be run on the thread that waits for it (`block_on`), not spawned: the
/// terminal is restored by the panic of that thread alone.
///
/// # Errors
/// When the terminal cannot be taken over or signals cannot be waited for.
pub async fn run(session: Session) -> io::Result<Outcome> {
    // Before any mode is on: a signal during the start must not leave it on.
    let mut signals = Signals::listen()?;
    let started = TerminalGuard::enter().and_then(|guard| Ok((guard.screen()?, input::listen()?, guard)));
    let (screen, mut input, mut guard) = match started {
        Ok(started) => started,
        Err(reason) => {
            session.leave().await;
            return Err(reason);
        }
    };
    let mut turns = Turns::new(session, screen);
    loop {
        let wake = turns.draw_and_sleep();
        let event = tokio::select! {
            signal = signals.next() => match signal {
                SignalEvent::Stop(signal) => Some(turns.stop(signal)),
                SignalEvent::Resized => Some(turns.resized()),
                SignalEvent::Suspend => suspend(&guard, &mut signals, &mut turns).await,
                // The kernel continues a session whose terminal it takes away: that is no reason to take it back.
                SignalEvent::Continued if turns.is_stopping() => None,
                SignalEvent::Continued => {
                    // Stopped behind our back: the shell has changed the terminal.
                    guard.give_back();
                    Some(turns.resumed(guard.take_over()))
                }
            },
            event = input.recv(), if !turns.is_terminal_lost() => turns.input(event),
            event = turns.happened() => event,
            text = guard.panicked() => Some(AppEvent::Panicked(text)),
            () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => Some(AppEvent::Timer),
        };
        if let Some(outcome) = event.and_then(|event| turns.take_in(event)) {
            return Ok(outcome);
        }
    }
}

impl Session {
    /// Leaves the room that nobody will be shown.
    async fn leave(self) {
        drop(self.events);
        // The answer is of no interest: nothing was said in the room.
        let _ = tokio::time::timeout(SIGNAL_LEAVE_TIMEOUT, self.room.leave()).await;
    }
}

/// Stops until the shell continues us; nothing happens where there is none that could.
#[cfg(unix)]
async fn suspend(guard: &TerminalGuard, signals: &mut Signals, turns: &mut Turns) -> Option<AppEvent> {
    if turns.is_stopping() || !crate::terminal::suspend::is_possible() {
        return None;
    }
    guard.give_back();
    crate::terminal::suspend::stop(signals.continued()).await;
    Some(turns.resumed(guard.take_over()))
}

#[cfg(not(unix))]
async fn suspend(_: &TerminalGuard, _: &mut Signals, _: &mut Turns) -> Option<AppEvent> {
    None
}
