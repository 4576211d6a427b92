//! A pseudo-terminal with a program in it, and the screen that its output makes. Waits for what is to be seen,
//! never for time to pass.

use std::{
    io::{Read, Write},
    num::NonZero,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use portable_pty::{ChildKiller, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

const DEADLINE: Duration = Duration::from_secs(30);

/// Enters the alternate screen; raw mode is on by then.
const SWITCH_ON: &[u8] = b"\x1b[?1049h";

/// What came out of the terminal.
struct Output {
    parser: vt100::Parser,
    raw: Vec<u8>,
    /// How the program ended.
    status: Option<ExitStatus>,
    /// The window is about to be closed: nobody reads any more.
    closing: bool,
}

pub struct Pty {
    output: Arc<(Mutex<Output>, Condvar)>,
    writer: Arc<Mutex<Box<dyn Write + Send>>>,
    /// Until the window is closed.
    master: Option<Box<dyn MasterPty + Send>>,
    reader: Option<JoinHandle<()>>,
    child: Box<dyn ChildKiller + Send + Sync>,
    pid: u32,
    termios: String,
    /// Its own profiles, so that nobody knows anybody.
    _data: tempfile::TempDir,
}

impl Pty {
    /// Runs `program` in a terminal of that size.
    pub fn run(program: &Path, arguments: &[&str], columns: u16, rows: u16) -> Self {
        Self::run_with(program, arguments, &[], columns, rows)
    }

    /// Runs it with more in its environment.
    pub fn run_with(
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        columns: u16,
        rows: u16,
    ) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let termios = format!("{:?}", pair.master.get_termios().unwrap());
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env_remove("NO_COLOR");
        let data = tempfile::tempdir().unwrap();
        command.env("XDG_DATA_HOME", data.path());
        for (name, value) in environment {
            command.env(name, value);
        }
        let mut child = pair.slave.spawn_command(command).unwrap();
        let (killer, pid) = (child.clone_killer(), child.process_id().unwrap());
        let writer = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let parser = vt100::Parser::new(NonZero::new(rows).unwrap(), NonZero::new(columns).unwrap(), 0);
        let output = Output { parser, raw: Vec::new(), status: None, closing: false };
        let output = Arc::new((Mutex::new(output), Condvar::new()));
        let reader = pair.master.try_clone_reader().unwrap();
        let (shared, answers) = (Arc::clone(&output), Arc::clone(&writer));
        let reader = std::thread::spawn(move || read_all(reader, &shared, &answers));
        let shared = Arc::clone(&output);
        std::thread::spawn(move || {
            let status = child.wait().unwrap();
            shared.0.lock().unwrap().status = Some(status);
            shared.1.notify_all();
        });
        let master = Some(pair.master);
        Self { output, writer, master, reader: Some(reader), child: killer, pid, termios, _data: data }
    }

    pub fn write(&self, bytes: &str) {
        let mut writer = self.writer.lock().unwrap();
        writer.write_all(bytes.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// Writes a line as somebody types it.
    pub fn enter(&self, line: &str) {
        self.write(&format!("{line}\r"));
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        self.output
            .0
            .lock()
            .unwrap()
            .parser
            .screen_mut()
            .set_size(NonZero::new(rows).unwrap(), NonZero::new(columns).unwrap());
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.master.as_ref().unwrap().resize(size).unwrap();
    }

    /// Closes the window while the program runs, and returns its exit code.
    pub fn hang_up(mut self) -> u32 {
        self.output.0.lock().unwrap().closing = true;
        // Ctrl-L: the program draws once more and has nothing else to draw; then the reader lets go.
        self.write("\x0c");
        self.reader.take().unwrap().join().unwrap();
        self.writer = Arc::new(Mutex::new(Box::new(std::io::sink())));
        self.master = None;
        self.wait_output("its end", |output| output.status.is_some());
        let status = self.output.0.lock().unwrap().status.clone().unwrap();
        status.exit_code()
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits until the screen is as wanted.
    pub fn wait(&self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) {
        self.wait_output(what, |output| wanted(output.parser.screen()));
    }

    /// Waits until the terminal was taken over for the second time, and `text` is on the screen. Before, what is typed
    /// goes through the terminal's own line editing.
    pub fn wait_text_again(&self, text: &str) {
        self.wait_output("the screen again", |output| {
            count(&output.raw, SWITCH_ON) > 1 && output.parser.screen().contents().contains(text)
        });
    }

    /// Waits until `text` is on the screen.
    pub fn wait_text(&self, text: &str) {
        self.wait(&format!("the text {text:?}"), |screen| screen.contents().contains(text));
    }

    fn wait_output(&self, what: &str, wanted: impl Fn(&Output) -> bool) {
        let (output, changed) = &*self.output;
        let mut output = output.lock().unwrap();
        let until = Instant::now() + DEADLINE;
        while !wanted(&output) {
            let left = until.saturating_duration_since(Instant::now());
            let contents = output.parser.screen().contents();
            assert!(!left.is_zero(), "waited in vain for {what}; the screen:\n{contents}");
            output = changed.wait_timeout(output, left).unwrap().0;
        }
    }

    /// Every byte that came out so far.
    #[allow(dead_code, reason = "each test file uses its part")]
    pub fn raw(&self) -> Vec<u8> {
        self.output.0.lock().unwrap().raw.clone()
    }

    pub fn contents(&self) -> String {
        self.output.0.lock().unwrap().parser.screen().contents()
    }

    /// The program's end, with what it says at the end read.
    pub fn end(&self) -> ExitStatus {
        self.wait_output("its end", |output| output.status.is_some() && !is_taken(output));
        self.output.0.lock().unwrap().status.clone().unwrap()
    }

    /// Asserts that the terminal is as it was before the program, whatever wrote to it.
    pub fn assert_restored(&self) {
        let output = self.output.0.lock().unwrap();
        let screen = output.parser.screen();
        assert!(!screen.alternate_screen(), "the alternate screen is on");
        assert!(!screen.bracketed_paste(), "bracketed paste is on");
        assert!(!screen.hide_cursor(), "the cursor is hidden");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert_eq!(
            count(&output.raw, b"\x1b[?1004h"),
            count(&output.raw, b"\x1b[?1004l"),
            "focus reporting is on"
        );
        assert_eq!(count(&output.raw, b"\x1b[>1u"), count(&output.raw, b"\x1b[<1u"), "keyboard flags are on");
        let termios = format!("{:?}", self.master.as_ref().unwrap().get_termios().unwrap());
        assert_eq!(termios, self.termios, "raw mode is on");
    }

    /// Asserts that the modes that must be switched off were on: otherwise there is nothing to restore.
    pub fn assert_was_taken(&self) {
        let output = self.output.0.lock().unwrap();
        for mode in ["\x1b[?1049h", "\x1b[?2004h", "\x1b[?1004h", "\x1b[>1u"] {
            assert!(count(&output.raw, mode.as_bytes()) > 0, "{mode:?} was never switched on");
        }
    }

    /// How often the alternate screen was entered and left.
    pub fn switches(&self) -> (usize, usize) {
        let output = self.output.0.lock().unwrap();
        (count(&output.raw, SWITCH_ON), count(&output.raw, b"\x1b[?1049l"))
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        let _ = self.child.kill();
    }
}

fn is_taken(output: &Output) -> bool {
    let screen = output.parser.screen();
    screen.alternate_screen() || screen.bracketed_paste() || screen.hide_cursor()
}

fn count(bytes: &[u8], sequence: &[u8]) -> usize {
    bytes.windows(sequence.len()).filter(|window| *window == sequence).count()
}

/// Feeds the screen, and answers as a terminal with the kitty keyboard protocol does.
fn read_all(
    mut reader: Box<dyn Read + Send>,
    shared: &(Mutex<Output>, Condvar),
    answers: &Mutex<Box<dyn Write + Send>>,
) {
    let mut buffer = [0; 4096];
    let mut answered = 0;
    loop {
        let read = reader.read(&mut buffer).unwrap_or(0);
        let mut output = shared.0.lock().unwrap();
        output.parser.process(&buffer[..read]);
        output.raw.extend_from_slice(&buffer[..read]);
        shared.1.notify_all();
        let drawn = output.closing && output.raw.ends_with(b"\x1b[?2026l");
        let asked = count(&output.raw, b"\x1b[?u\x1b[c");
        drop(output);
        for _ in answered..asked {
            // The program may be gone already.
            let _ = answers.lock().unwrap().write_all(b"\x1b[?0u\x1b[?62c");
        }
        answered = asked;
        if read == 0 || drawn {
            return;
        }
    }
}
