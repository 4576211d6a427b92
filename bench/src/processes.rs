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
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(flags: &[String]) -> anyhow::Result<Self> {
        let port = free_port()?;
        let process = Command::new(program("patchcord-server")?)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--no-admin", "--log-level", "error"])
            // One address plays everybody here.
            .args(["--connections-per-address-max", "0", "--connections-per-address-rate", "0"])
            .args(["--joins-per-address-rate", "0", "--requests-per-session-rate", "0"])
            .args(flags)
            .kill_on_drop(true)
            .spawn()?;
        until_listening("patchcord-server", port).await?;
        Ok(Self { _process: process, url: format!("http://127.0.0.1:{port}") })
    }
}

/// Until the kernel gives it to somebody else.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn until_listening(name: &str, port: u16) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
        if Instant::now() > deadline {
            bail!("{name} does not listen");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// coturn on the loopback, with the rules that it is deployed with.
pub(crate) struct Coturn {
    _process: Child,
    _folder: tempfile::TempDir,
    port: u16,
}

impl Coturn {
    const RULES: &str = include_str!("../../deploy/turnserver.conf");
    const SECRET: &str = "of this run alone";

    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (port, folder) = (free_port()?, tempfile::tempdir()?);
        // What is deployed never relays to the loopback.
        let own = format!(
            "static-auth-secret={}\nrealm=bench\nuserdb={}\nlistening-ip=127.0.0.1\nrelay-ip=127.0.0.1\n\
             allowed-peer-ip=127.0.0.1\nallow-loopback-peers\n",
            Self::SECRET,
            folder.path().join("users").display(),
        );
        let rules = Self::RULES.replace("listening-port=3478", &format!("listening-port={port}"));
        let configuration = folder.path().join("turnserver.conf");
        std::fs::write(&configuration, format!("{rules}\n{own}"))?;
        let process = Command::new("turnserver")
            .arg("-c")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("turnserver is not in the path: install coturn")?;
        until_listening("coturn", port).await?;
        Ok(Self { _process: process, _folder: folder, port })
    }

    /// What tells the switchboard of it.
    pub(crate) fn flags(&self) -> Vec<String> {
        let url = format!("turn:127.0.0.1:{}?transport=udp", self.port);
        ["--turn-url", &url, "--turn-secret", Self::SECRET].map(str::to_owned).into()
    }
}

/// `patchcord join --json`.
pub(crate) struct Client {
    _process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Client {
    pub(crate) fn start(server: &Server, room: &str, name: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(program("patchcord")?);
        command
            .args(["join", room, "--json", "--server", &server.url, "--name", name])
            .args(["--local-address", "127.0.0.1"])
            .args(flags);
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
