//! Programs of the product as children of a test: started on port 0, read as a stream of JSON values,
//! waited for with a deadline, and killed when dropped.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]
#![allow(dead_code, reason = "each test file compiles its own copy and uses its own part")]

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long anything here may take. Everything takes milliseconds; only a fault takes this long.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A child whose stdout is a stream of JSON values.
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: mpsc::Receiver<Value>,
    stderr: mpsc::Receiver<String>,
    transcript: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts `command`; `name` is for messages.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("{name}: {command:?}: {error}"));
        let transcript = Arc::new(Mutex::new(Vec::new()));
        let (values, stdout) = mpsc::channel();
        let (lines, stderr) = mpsc::channel();
        let (out, heard) = (BufReader::new(child.stdout.take().unwrap()), transcript.clone());
        std::thread::spawn(move || {
            for value in serde_json::Deserializer::from_reader(out).into_iter::<Value>() {
                heard.lock().unwrap().push(format!("stdout: {value:?}"));
                // Nobody waits any more when the test is over.
                let Ok(value) = value else { return };
                let _ = values.send(value);
            }
        });
        let (err, heard) = (BufReader::new(child.stderr.take().unwrap()), transcript.clone());
        std::thread::spawn(move || {
            for line in err.lines().map_while(Result::ok) {
                heard.lock().unwrap().push(format!("stderr: {line}"));
                let _ = lines.send(line);
            }
        });
        Self { name: name.to_owned(), stdin: child.stdin.take(), child, stdout, stderr, transcript }
    }

    /// Writes a line to its stdin.
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open until end_input");
        writeln!(stdin, "{line}").unwrap_or_else(|error| panic!("{}: {error}", self.name));
        stdin.flush().unwrap();
    }

    /// Ends its stdin.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// The first value from here on for which `pick` has something.
    pub fn until<T>(&self, what: &str, mut pick: impl FnMut(&Value) -> Option<T>) -> T {
        self.wait_for(what, &self.stdout, &mut pick)
    }

    /// The first value from here on whose `"type"` is `kind`.
    pub fn event(&self, kind: &str) -> Value {
        self.until(kind, |value| (value["type"] == kind).then(|| value.clone()))
    }

    /// The first line on stderr from here on for which `pick` has something.
    pub fn until_log<T>(&self, what: &str, mut pick: impl FnMut(&str) -> Option<T>) -> T {
        self.wait_for(what, &self.stderr, &mut |line: &String| pick(line))
    }

    /// Waits until it ends by itself.
    pub fn ended(mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        // Both pipes end with the program, not before.
        while self.stdout.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
        while self.stderr.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
        assert!(Instant::now() < deadline, "{} does not end\n{}", self.name, self.heard());
        self.child.wait().unwrap()
    }

    /// What it has written so far.
    pub fn heard(&self) -> String {
        self.transcript.lock().unwrap().join("\n")
    }

    fn wait_for<V, T>(
        &self,
        what: &str,
        source: &mpsc::Receiver<V>,
        pick: &mut dyn FnMut(&V) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let value = source.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let value = value.unwrap_or_else(|error| {
                panic!("{}: no {what}: {error}; what it wrote:\n{}", self.name, self.heard())
            });
            if let Some(picked) = pick(&value) {
                return picked;
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `patchcord-server` with both doors on free ports of the loopback.
pub struct Server {
    process: Process,
    /// HOST:PORT of the public door.
    pub public: String,
    /// HOST:PORT of the admin door.
    pub admin: String,
}

impl Server {
    /// Starts it and waits until it says where it listens.
    pub fn start() -> Self {
        let mut command = Command::new(binary("patchcord-server"));
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-format", "json"]);
        let process = Process::start("patchcord-server", &mut command);
        let mut doors = std::collections::HashMap::new();
        let (public, admin) = process.until_log("addresses", |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            if line["message"] == "listening" {
                doors.insert(line["door"].as_str()?.to_owned(), line["address"].as_str()?.to_owned());
            }
            Some((doors.get("public")?.clone(), doors.get("admin")?.clone()))
        });
        Self { process, public, admin }
    }
}

/// A binary of the workspace, which `cargo test` builds beside the tests.
pub fn binary(name: &str) -> PathBuf {
    let path = profile_folder().join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace --bins`", path.display());
    path
}

/// Where cargo puts this profile's binaries: `target/debug`, say.
pub fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().to_owned()
}
