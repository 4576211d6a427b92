//! The real program as a process: its doors, its log, its end.

use std::{
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStderr, Command},
    task::JoinHandle,
    time::timeout,
};

use super::DEADLINE;

/// Between two looks at what cannot be waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

pub struct Process {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub child: Child,
    log: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
}

pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchcord-server"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

impl Process {
    /// Starts the program on free ports.
    pub async fn start(arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", "127.0.0.1:0", arguments).await
    }

    pub async fn start_at(listen: &str, admin_listen: &str, arguments: &[&str]) -> Self {
        Self::spawn(command(), listen, admin_listen, arguments).await
    }

    /// With what a shell's ulimit says, such as "-n 64".
    pub async fn start_with_limit(limit: &str) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("ulimit {limit}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_patchcord-server")]);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self::spawn(shell, "127.0.0.1:0", "127.0.0.1:0", &[]).await
    }

    async fn spawn(mut command: Command, listen: &str, admin_listen: &str, arguments: &[&str]) -> Self {
        let addresses = ["--listen", listen, "--admin-listen", admin_listen, "--log-format", "json"];
        let mut child = command.args(addresses).args(arguments).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let mut doors = std::collections::HashMap::new();
        while doors.len() < 2 {
            let line =
                timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap().expect("the program ended");
            log.lock().unwrap().push_str(&format!("{line}\n"));
            let event: serde_json::Value = serde_json::from_str(&line).expect("a log line is JSON");
            if event["message"] == "listening" {
                let address: SocketAddr = event["address"].as_str().unwrap().parse().unwrap();
                doors.insert(event["door"].as_str().unwrap().to_owned(), address);
            }
        }
        let reading = tokio::spawn(read(lines, Arc::clone(&log)));
        Self { public: doors["public"], admin: doors["admin"], child, log, reading }
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub async fn terminate(&self) {
        self.signal("TERM").await;
    }

    pub async fn signal(&self, name: &str) {
        let arguments = [format!("-{name}"), self.pid().to_string()];
        let status = Command::new("kill").args(arguments).status().await.unwrap();
        assert!(status.success());
    }

    /// How it ended, and all it logged.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let status = timeout(DEADLINE, self.child.wait()).await.unwrap().unwrap();
        timeout(DEADLINE, self.reading).await.unwrap().unwrap();
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        (status, log)
    }

    /// Waits until a message was logged so often.
    pub async fn until_logged(&self, message: &str, times: usize) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while self.logged(message) < times {
            assert!(tokio::time::Instant::now() < deadline, "{message:?} was not logged {times} times");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// How many files it has open.
    pub fn open_files(&self) -> u64 {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count() as u64
    }

    /// Lets it have no more files open than this from now on.
    pub fn limit_files(&self, files_max: u64) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let pid = Pid::from_raw(self.pid().cast_signed());
        let limit = Rlimit { current: Some(files_max), maximum: Some(files_max) };
        prlimit(pid, Resource::Nofile, limit).unwrap();
    }

    /// How often a message was logged so far.
    pub fn logged(&self, message: &str) -> usize {
        self.log.lock().unwrap().matches(message).count()
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
    }
}

async fn read(mut lines: tokio::io::Lines<BufReader<ChildStderr>>, log: Arc<Mutex<String>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = log.lock().unwrap();
        log.push_str(&line);
        log.push('\n');
    }
}
