//! The real programs, started from the directory that this one was built into, and ended with it.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        bail!("{name} is not built: run cargo build --release --workspace");
    }
    Ok(path)
}

/// `patchcord-server` on a port of its own.
pub(crate) struct Server {
    _process: Child,
    pub url: String,
}

impl Server {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let process = Command::new(program("patchcord-server")?)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--no-admin", "--log-level", "error"])
            // One address plays everybody here.
            .args(["--connections-per-address-max", "0", "--connections-per-address-rate", "0"])
            .args(["--joins-per-address-rate", "0", "--requests-per-session-rate", "0"])
            .kill_on_drop(true)
            .spawn()?;
        let deadline = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            if Instant::now() > deadline {
                bail!("the server does not listen");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Self { _process: process, url: format!("http://127.0.0.1:{port}") })
    }
}

/// `patchcord join --json`.
pub(crate) struct Client {
    _process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Client {
    pub(crate) fn start(server: &Server, room: &str, name: &str, wait: bool) -> anyhow::Result<Self> {
        let mut command = Command::new(program("patchcord")?);
        command
            .args(["join", room, "--json", "--server", &server.url, "--name", name])
            .args(["--local-address", "127.0.0.1"]);
        if wait {
            command.arg("--wait");
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        let input = process.stdin.take().context("piped")?;
        let output = BufReader::new(process.stdout.take().context("piped")?).lines();
        Ok(Self { _process: process, input, output })
    }

    /// Reads lines until one is of `wanted` type.
    pub(crate) async fn until(&mut self, wanted: &str) -> anyhow::Result<Value> {
        loop {
            let line = self.next().await?;
            if line["type"] == wanted {
                return Ok(line);
            }
            if line["type"] == "error" {
                bail!("while waiting for {wanted}: {line}");
            }
        }
    }

    pub(crate) async fn next(&mut self) -> anyhow::Result<Value> {
        let line =
            tokio::time::timeout(PATIENCE, self.output.next_line()).await.context("no line in 30 s")??;
        Ok(serde_json::from_str(&line.context("the client ended")?)?)
    }

    pub(crate) async fn say(&mut self, line: &Value) -> anyhow::Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.input.flush().await?)
    }
}
