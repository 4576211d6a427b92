//! What comes from the terminal, read by a thread of its own. crossterm reads a terminal that is gone again and
//! again at full speed, so each time it is asked to read, the terminal was there a moment before.

use std::{io, thread, time::Duration};

use crossterm::event::{self, Event};
use tokio::sync::mpsc;

/// Events that wait for the loop; the thread waits with the next, and the terminal with what is typed.
const QUEUE_MAX: usize = 256;

/// How long crossterm waits for more of what it has begun to read. With no time at all it does not even look.
const READ_TIMEOUT: Duration = Duration::from_millis(20);

/// Reads from now on. The channel closes when the terminal is gone.
///
/// # Errors
/// When no thread can be started.
pub fn listen() -> io::Result<mpsc::Receiver<Event>> {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    thread::Builder::new().name("input".into()).spawn(move || {
        if let Err(reason) = read_to_end(&sender) {
            tracing::info!(%reason, "the terminal cannot be read any more");
        }
    })?;
    Ok(receiver)
}

fn read_to_end(sender: &mpsc::Sender<Event>) -> io::Result<()> {
    loop {
        wait_for_input(None)?;
        while event::poll(READ_TIMEOUT)? {
            if sender.blocking_send(event::read()?).is_err() {
                // The loop has ended.
                return Ok(());
            }
        }
    }
}

/// Waits until there is something to read, or for as long as `at_most`, and says which; fails when the terminal is gone.
#[cfg(unix)]
pub fn wait_for_input(at_most: Option<Duration>) -> io::Result<bool> {
    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        io::Errno,
    };

    let stdin = io::stdin();
    let mut terminal = [PollFd::new(&stdin, PollFlags::IN)];
    let timeout = at_most.and_then(|at_most| Timespec::try_from(at_most).ok());
    loop {
        match poll(&mut terminal, timeout.as_ref()) {
            Ok(0) if timeout.is_some() => return Ok(false),
            // A signal came, or none of what was asked for.
            Err(Errno::INTR) | Ok(0) => continue,
            Err(errno) => return Err(errno.into()),
            Ok(_) => {}
        }
        // Told whether asked for or not.
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        return match terminal[0].revents().intersects(gone) {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(true),
        };
    }
}

/// crossterm itself waits; a console that goes away takes the program with it.
#[cfg(not(unix))]
pub fn wait_for_input(at_most: Option<Duration>) -> io::Result<bool> {
    at_most.map_or(Ok(true), event::poll)
}
