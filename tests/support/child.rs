//! The product's programs, and others, as children of a test: read line by line, waited for with a deadline, signalled,
//! and killed when dropped.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]
#![allow(dead_code, reason = "each test file compiles its own copy and uses its own part")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use patchcord_proto::v1::{RemovePeerRequest, room_service_client::RoomServiceClient};
use serde_json::{Value, json};

/// How long anything here may take. Everything takes milliseconds; only a fault takes this long.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Where profiles are kept.
const DATA: &str = "XDG_DATA_HOME";

/// A child whose output is lines.
pub struct Child {
    name: String,
    process: std::process::Child,
    stdin: Option<ChildStdin>,
    unread: Option<ChildStdout>,
    out: mpsc::Receiver<String>,
    err: mpsc::Receiver<String>,
    heard: Arc<Mutex<Vec<String>>>,
    /// Its own, so that nobody knows anybody.
    data: tempfile::TempDir,
}

/// How a child ended, and what it wrote that no test had read by then.
pub struct Ended {
    /// Its exit code; `None` when a signal killed it.
    pub code: Option<i32>,
    /// The rest of its stdout.
    pub out: Vec<String>,
    /// The rest of its stderr.
    pub err: Vec<String>,
}

impl Child {
    /// Starts `command` and reads what it writes; `name` is for messages.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let mut child = Self::start_unread(name, command);
        child.read();
        child
    }

    /// Starts `command` and leaves its stdout alone until [`Child::read`] or [`Child::close_output`].
    pub fn start_unread(name: &str, command: &mut Command) -> Self {
        let data = tempfile::tempdir().unwrap();
        let shared = profile_folder().join("tmp-data");
        if command.get_envs().any(|(name, value)| name == DATA && value == Some(shared.as_os_str())) {
            command.env(DATA, data.path());
        }
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = piped.spawn().unwrap_or_else(|error| panic!("{name}: {command:?}: {error}"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let err = lines("stderr", process.stderr.take().unwrap(), &heard);
        Self {
            name: name.to_owned(),
            stdin: process.stdin.take(),
            unread: process.stdout.take(),
            process,
            out: mpsc::channel().1,
            err,
            heard,
            data,
        }
    }

    /// Reads its stdout from now on.
    pub fn read(&mut self) {
        self.out = lines("stdout", self.unread.take().unwrap(), &self.heard);
    }

    /// Closes the reading end of its stdout.
    pub fn close_output(&mut self) {
        self.unread = None;
    }

    /// Writes a line to its stdin.
    pub fn say(&mut self, line: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("stdin is open until end_input");
        let line = [line.as_ref(), b"\n"].concat();
        stdin.write_all(&line).unwrap_or_else(|error| panic!("{}: {error}\n{}", self.name, self.heard()));
    }

    /// Its stdin, to be written by another thread.
    pub fn take_input(&mut self) -> ChildStdin {
        self.stdin.take().unwrap()
    }

    /// Ends its stdin.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    /// The first line on stdout from here on for which `pick` has something.
    pub fn until<T>(&self, what: &str, pick: impl FnMut(&str) -> Option<T>) -> T {
        self.wait_for(what, &self.out, pick)
    }

    /// The first line on stderr from here on for which `pick` has something.
    pub fn until_status<T>(&self, what: &str, pick: impl FnMut(&str) -> Option<T>) -> T {
        self.wait_for(what, &self.err, pick)
    }

    /// Waits for a line on stdout that contains `part`.
    pub fn hears(&self, part: &str) -> String {
        self.until(part, |line| line.contains(part).then(|| line.to_owned()))
    }

    /// Waits for a line on stderr that contains `part`.
    pub fn is_told(&self, part: &str) -> String {
        self.until_status(part, |line| line.contains(part).then(|| line.to_owned()))
    }

    /// The first JSON value on stdout from here on for which `pick` has something. Each begins on a line of its
    /// own, and may take several.
    pub fn until_value<T>(&self, what: &str, mut pick: impl FnMut(&Value) -> Option<T>) -> T {
        let mut begun = String::new();
        self.until(what, |line| {
            begun.push_str(line);
            let value = match serde_json::from_str(&begun) {
                Err(error) if error.is_eof() => return None,
                value => value.unwrap_or_else(|error| panic!("no JSON: {error}: {begun:?}")),
            };
            begun.clear();
            pick(&value)
        })
    }

    /// The next JSON value on stdout.
    pub fn object(&self) -> Value {
        self.until_value("object", |value| Some(value.clone()))
    }

    /// The first value from here on whose `"type"` is `kind`.
    pub fn event(&self, kind: &str) -> Value {
        self.until_value(kind, |value| (value["type"] == kind).then(|| value.clone()))
    }

    /// Waits until it ends by itself.
    pub fn end(mut self) -> Ended {
        let deadline = Instant::now() + DEADLINE;
        let rest = |source: &mpsc::Receiver<String>| {
            let left = || deadline.saturating_duration_since(Instant::now());
            std::iter::from_fn(|| source.recv_timeout(left()).ok()).collect::<Vec<_>>()
        };
        let (out, err) = (rest(&self.out), rest(&self.err));
        assert!(Instant::now() < deadline, "{} does not end\n{}", self.name, self.heard());
        Ended { code: self.process.wait().unwrap().code(), out, err }
    }

    /// What it has written so far.
    pub fn heard(&self) -> String {
        self.heard.lock().unwrap().join("\n")
    }

    fn wait_for<T>(
        &self,
        what: &str,
        source: &mpsc::Receiver<String>,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let line = source.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|error| {
                panic!("{}: no {what}: {error}; what it wrote:\n{}", self.name, self.heard())
            });
            if let Some(picked) = pick(&line) {
                return picked;
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The lines of `pipe` as they come.
fn lines(
    name: &'static str,
    pipe: impl Read + Send + 'static,
    heard: &Arc<Mutex<Vec<String>>>,
) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let heard = Arc::clone(heard);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8(line).expect("output is UTF-8");
            heard.lock().unwrap().push(format!("{name}: {line}"));
            // Nobody waits any more when the test is over.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// `patchcord-server` with both doors on free ports of the loopback.
pub struct Server {
    child: Child,
    /// HOST:PORT of the public door.
    pub public: String,
    /// HOST:PORT of the admin door.
    pub admin: String,
}

impl Server {
    /// Starts it and waits until it says where it listens.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with more arguments.
    pub fn start_with(flags: &[&str]) -> Self {
        let mut command = program("patchcord-server");
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-format", "json"]);
        command.args(flags);
        let child = Child::start("patchcord-server", &mut command);
        let mut doors = std::collections::HashMap::new();
        let (public, admin) = child.until_status("both doors", |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            if line["message"] == "listening" {
                doors.insert(line["door"].as_str()?.to_owned(), line["address"].as_str()?.to_owned());
            }
            Some((doors.get("public")?.clone(), doors.get("admin")?.clone()))
        });
        Self { child, public, admin }
    }

    /// Ends it without a word to anybody.
    pub fn kill(self) {
        self.child.signal("KILL");
        assert_eq!(self.child.end().code, None);
    }

    /// Removes a peer as an operator does.
    pub fn remove_peer(&self, room: &str, peer_id: &str, message: &str) {
        let (room_name, peer_id, message) = (room.into(), peer_id.into(), message.into());
        let request = RemovePeerRequest { room_name, peer_id, message };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let admin = format!("http://{}", self.admin);
            RoomServiceClient::connect(admin).await.unwrap().remove_peer(request).await.unwrap();
        });
    }

    /// A `patchcord join` to a room of this server.
    pub fn join(&self, room: &str, name: &str, flags: &[&str]) -> Command {
        let mut command = program("patchcord");
        command.args(["join", room, "--server", &self.public, "--name", name]);
        command.args(["--local-address", "127.0.0.1"]).args(flags);
        command
    }

    /// A client under `--json` that has joined, and its peer id.
    pub fn json(&self, room: &str, name: &str, flags: &[&str]) -> (Child, String) {
        let child = Child::start(name, self.join(room, name, flags).arg("--json"));
        let id = child.event("joined")["peer_id"].as_str().unwrap().to_owned();
        (child, id)
    }

    /// A client under `--plain` that has joined.
    pub fn plain(&self, room: &str, name: &str) -> Child {
        let child = Child::start(name, &mut self.join(room, name, &["--plain"]));
        child.is_told(&format!("you are {name} in the room {room}"));
        child
    }
}

/// A message to everybody as a line of input.
pub fn message(text: &str) -> String {
    json!({"type": "message", "text": text}).to_string()
}

/// A program of the workspace, which `cargo test --workspace` builds beside the tests, without any variable that
/// could change what it does.
pub fn program(name: &str) -> Command {
    let path = profile_folder().join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace --bins`", path.display());
    let mut command = Command::new(path);
    for (key, _) in std::env::vars_os() {
        if key.to_str().is_some_and(|key| key.starts_with("PATCHCORD_")) {
            command.env_remove(key);
        }
    }
    // Of those that say nothing else.
    command.env(DATA, profile_folder().join("tmp-data"));
    command
}

/// Where cargo puts this profile's programs: `target/debug`, say.
pub fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().to_owned()
}
