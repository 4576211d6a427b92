//! The screen's one loop: keys, the room's events, answers and signals go into the app; effects and frames
//! come out. There is no tick: with nothing due it sleeps until something happens.

use std::io;

use crossterm::event::EventStream;
use futures_util::StreamExt;
use patchcord_peer::{ConnectPolicy, Event, Room};
use tokio::sync::mpsc;

use crate::{app::AppEvent, terminal::TerminalGuard};

mod frames;
mod requests;
mod signals;
mod turns;

pub use signals::StopSignal;
use signals::{SignalEvent, Signals};
use turns::Turns;

/// A joined room to show.
#[derive(Debug)]
pub struct Session {
    /// The room.
    pub room: Room,
    /// Its events, none of which was read.
    pub events: mpsc::Receiver<Event>,
    /// As it was joined with.
    pub connect_policy: ConnectPolicy,
    /// Told at the start, such as how others can join.
    pub notices: Vec<String>,
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
    let mut guard = TerminalGuard::enter()?;
    let mut turns = Turns::new(session, guard.screen()?)?;
    let mut input = EventStream::new();
    loop {
        let wake = turns.draw_and_sleep();
        let event = tokio::select! {
            signal = signals.next() => match signal {
                SignalEvent::Stop(signal) => Some(turns.stop(signal)),
                SignalEvent::Suspend => suspend(&guard, &mut signals).await?.then(|| turns.resumed()),
                SignalEvent::Continued => {
                    // Stopped behind our back: the shell has changed the terminal.
                    guard.give_back();
                    guard.take_over()?;
                    Some(turns.resumed())
                }
            },
            event = input.next(), if !turns.is_terminal_lost() => turns.input(event),
            event = turns.happened() => event,
            text = guard.panicked() => Some(AppEvent::Panicked(text)),
            () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => Some(AppEvent::Timer),
        };
        if let Some(outcome) = event.and_then(|event| turns.take_in(event)) {
            return Ok(outcome);
        }
    }
}

/// Stops until the shell continues us; `false` when there is none that could.
#[cfg(unix)]
async fn suspend(guard: &TerminalGuard, signals: &mut Signals) -> io::Result<bool> {
    let possible = crate::terminal::suspend::is_possible();
    if possible {
        guard.give_back();
        crate::terminal::suspend::stop(signals.continued()).await;
        guard.take_over()?;
    }
    Ok(possible)
}

#[cfg(not(unix))]
async fn suspend(_: &TerminalGuard, _: &mut Signals) -> io::Result<bool> {
    Ok(false)
}
