//! The guard of the terminal: what it switched on it switches off exactly once, on every way out. A panic of
//! the thread that owns the screen restores it before the text of the panic is printed; a panic of another
//! thread leaves the screen alone and is told there.

use std::{
    io::{self, BufWriter, Stdout, Write, stdout},
    panic::PanicHookInfo,
    sync::{Mutex, MutexGuard, Once, PoisonError},
    thread::{self, ThreadId},
};

use crossterm::{
    cursor, event, execute, queue,
    terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
};
use ratatui::{Terminal, backend::CrosstermBackend};
use tokio::sync::mpsc;

#[cfg(unix)]
pub mod suspend;

/// Panics of other threads that are remembered; more are only logged.
const PANICS_MAX: usize = 16;

/// The terminal as the screen draws on it.
pub type Screen = Terminal<CrosstermBackend<BufWriter<Stdout>>>;

/// What is switched on now, and by whom; `None` when the terminal is as the shell had it.
static HELD: Mutex<Option<Held>> = Mutex::new(None);
static HOOK: Once = Once::new();

struct Held {
    owner: ThreadId,
    keyboard_flags: bool,
    live: mpsc::Sender<String>,
    panics: Vec<String>,
}

/// Holds the terminal in raw mode on the alternate screen until it is dropped. To be made, used and dropped on
/// one thread: only its panics restore the terminal.
#[derive(Debug)]
pub struct TerminalGuard {
    keyboard_flags: bool,
    live: mpsc::Sender<String>,
    panics: mpsc::Receiver<String>,
}

impl TerminalGuard {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it cannot be switched; then it is as before.
    pub fn enter() -> io::Result<Self> {
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| on_panic(info, &previous)));
        });
        let (live, panics) = mpsc::channel(PANICS_MAX);
        let mut guard = Self { keyboard_flags: false, live, panics };
        guard.take_over()?;
        // Asked in raw mode, and before anything else reads: the answer comes in as input. A terminal that
        // does not even say what it is costs crossterm's limit of 2 s, once.
        guard.keyboard_flags = terminal::supports_keyboard_enhancement().unwrap_or(false);
        if guard.keyboard_flags {
            let flags = event::KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES;
            execute!(stdout(), event::PushKeyboardEnhancementFlags(flags))?;
            if let Some(held) = held().as_mut() {
                held.keyboard_flags = true;
            }
        }
        Ok(guard)
    }

    /// The screen to draw on.
    ///
    /// # Errors
    /// When the terminal's size cannot be read.
    pub fn screen(&self) -> io::Result<Screen> {
        Terminal::new(CrosstermBackend::new(BufWriter::new(stdout())))
    }

    /// What threads other than the owner said when they panicked.
    pub async fn panicked(&mut self) -> String {
        match self.panics.recv().await {
            Some(text) => text,
            // `live` keeps the channel open.
            None => std::future::pending().await,
        }
    }

    /// Gives the terminal back for a while.
    pub fn give_back(&self) {
        restore();
    }

    /// Takes it again.
    ///
    /// # Errors
    /// When it cannot be switched.
    pub fn take_over(&self) -> io::Result<()> {
        *held() = Some(Held {
            owner: thread::current().id(),
            keyboard_flags: self.keyboard_flags,
            live: self.live.clone(),
            panics: Vec::new(),
        });
        let entered = self.switch_on();
        if entered.is_err() {
            restore();
        }
        entered
    }

    fn switch_on(&self) -> io::Result<()> {
        terminal::enable_raw_mode()?;
        let mut out = stdout();
        queue!(out, EnterAlternateScreen, event::EnableBracketedPaste, event::EnableFocusChange)?;
        if self.keyboard_flags {
            let flags = event::KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES;
            queue!(out, event::PushKeyboardEnhancementFlags(flags))?;
        }
        out.flush()
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        restore();
    }
}

fn held() -> MutexGuard<'static, Option<Held>> {
    // Whoever panicked with it in hand left either of its two values behind.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Switches everything off again, if it is on.
fn restore() {
    let Some(held) = held().take() else { return };
    // Each step is tried whatever became of the others: the terminal may be gone, and nobody is left to tell.
    let mut out = stdout();
    let _ = queue!(out, terminal::EndSynchronizedUpdate);
    if held.keyboard_flags {
        let _ = queue!(out, event::PopKeyboardEnhancementFlags);
    }
    let _ = queue!(
        out,
        event::DisableFocusChange,
        event::DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = out.flush();
    let _ = terminal::disable_raw_mode();
    for text in held.panics {
        crate::stderr::say(format_args!("patchcord: a part of the program failed: {text}"));
    }
}

fn on_panic(info: &PanicHookInfo<'_>, previous: &(dyn Fn(&PanicHookInfo<'_>) + Sync + Send)) {
    let owner = held().as_ref().map(|held| held.owner);
    match owner {
        None => previous(info),
        Some(owner) if owner == thread::current().id() => {
            restore();
            previous(info);
        }
        Some(_) => {
            let text = crate::safe_text::SafeText::line(&info.to_string()).to_string();
            tracing::error!(panic = %text, "a thread panicked");
            if let Some(held) = held().as_mut().filter(|held| held.panics.len() < PANICS_MAX) {
                // When it is full, the screen shows enough of them.
                let _ = held.live.try_send(text.clone());
                held.panics.push(text);
            }
        }
    }
}
