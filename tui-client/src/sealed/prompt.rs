//! Asks for a room or a code before there is a screen, on stderr. The terminal is in raw mode while it does, so that Tab
//! completes, and is given back on every way out.

use std::{
    io::{self, BufRead, IsTerminal, Read, Write, stderr, stdin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crossterm::{
    cursor,
    event::{self, Event},
    queue, style,
    terminal::{self, Clear, ClearType},
};

use super::{
    Choice, Place,
    code_line::{CodeLine, Step},
};
use crate::{
    event_loop::wait_for_input,
    exit::{Exit, Failure},
    headless::{Ending, Signals},
    safe_text::SafeText,
    stderr, wrap,
};

const QUESTION: &str = "room or code: ";
/// How long a signal waits for the thread that reads.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long crossterm waits for more of what it has begun to read.
const READ_TIMEOUT: Duration = Duration::from_millis(20);
const LINE_BYTES_MAX: u64 = 1024;

/// Asks until there is an answer that is a room.
///
/// # Errors
/// When the terminal cannot be used.
pub(super) async fn ask() -> Result<Choice, Failure> {
    let cannot = |reason| Failure::System { doing: "cannot ask for the room (name it)", reason };
    let mut signals = Signals::listen().map_err(cannot)?;
    let stop = Arc::new(AtomicBool::new(false));
    let raw = stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
    let stopped = Arc::clone(&stop);
    let mut asking = tokio::task::spawn_blocking(move || if raw { ask_raw(&stopped) } else { ask_plain() });
    let ending = tokio::select! {
        answer = &mut asking => return answer.map_err(|panic| cannot(panic.into()))?.map_err(cannot),
        ending = signals.next() => ending,
    };
    stop.store(true, Ordering::Relaxed);
    if raw {
        // It gives the terminal back; what it was told meanwhile is of no interest.
        let _ = asking.await;
    }
    Ok(Choice::End(match ending {
        Ending::Hangup => Exit::Hangup,
        Ending::Terminated => Exit::Terminated,
        _ => Exit::Interrupted,
    }))
}

/// The room that `line` names, or why it names none.
fn place(line: &str) -> Result<Choice, Failure> {
    match line.trim() {
        "" => Err(Failure::Usage("write the name of a room, or a code".into())),
        line => Place::of(line).map(|place| Choice::Join { place, made: false }),
    }
}

/// Where nothing can be drawn: the terminal's own line.
fn ask_plain() -> io::Result<Choice> {
    loop {
        write!(stderr(), "{QUESTION}")?;
        let mut line = String::new();
        if stdin().lock().take(LINE_BYTES_MAX).read_line(&mut line)? == 0 {
            return Ok(Choice::End(Exit::Usage));
        }
        match place(&line) {
            Ok(choice) => return Ok(choice),
            Err(failure) => stderr::say(failure),
        }
    }
}

fn ask_raw(stop: &AtomicBool) -> io::Result<Choice> {
    terminal::enable_raw_mode()?;
    let _raw = Raw;
    queue!(stderr(), event::EnableBracketedPaste)?;
    let mut line = CodeLine::default();
    loop {
        match read_raw(&mut line, stop)? {
            Step::Typing | Step::Interrupted => return Ok(Choice::End(Exit::Interrupted)),
            Step::Ended => return Ok(Choice::End(Exit::Usage)),
            Step::Done => {}
        }
        match place(line.text()) {
            Ok(choice) => return Ok(choice),
            // The line stays, to be mended.
            Err(failure) => write!(stderr(), "\r\n{failure}\r\n")?,
        }
    }
}

/// Raw mode until dropped.
struct Raw;

impl Drop for Raw {
    fn drop(&mut self) {
        // When the terminal is gone there is nothing to restore.
        let _ = queue!(stderr(), event::DisableBracketedPaste);
        let _ = terminal::disable_raw_mode();
        let _ = stderr().write_all(b"\n");
    }
}

/// Until the line is done with; [`Step::Typing`] when it was stopped before.
fn read_raw(line: &mut CodeLine, stop: &AtomicBool) -> io::Result<Step> {
    draw(line)?;
    while !stop.load(Ordering::Relaxed) {
        if !wait_for_input(Some(LOOK_INTERVAL))? {
            continue;
        }
        while event::poll(READ_TIMEOUT)? {
            let step = match event::read()? {
                Event::Key(key) => line.key(key),
                Event::Paste(text) => {
                    line.insert(&text);
                    Step::Typing
                }
                _ => Step::Typing,
            };
            draw(line)?;
            if step != Step::Typing {
                return Ok(step);
            }
        }
    }
    Ok(Step::Typing)
}

/// The question, the end of what was typed, and after the cursor what Tab offers.
fn draw(line: &CodeLine) -> io::Result<()> {
    let columns = terminal::size().map_or(80, |(columns, _)| usize::from(columns)).saturating_sub(1);
    let room = columns.saturating_sub(QUESTION.len());
    let text = SafeText::line(line.text());
    let mut shown = text.as_str();
    while wrap::width(shown) > room {
        shown = shown.char_indices().nth(1).map_or("", |(at, _)| &shown[at..]);
    }
    let offered = SafeText::line(&format!("   {}", line.offered().join(" ")));
    let offered = wrap::truncate(&offered, room - wrap::width(shown));
    let mut out = stderr();
    queue!(out, cursor::MoveToColumn(0), Clear(ClearType::UntilNewLine))?;
    queue!(out, style::Print(QUESTION), style::Print(shown), cursor::SavePosition)?;
    queue!(out, style::Print(offered), cursor::RestorePosition)?;
    out.flush()
}
