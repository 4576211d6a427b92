//! The processes of a fault run: the server, and peers that write their history as lines. All of them end with
//! the runner.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
};

use super::{
    history::History,
    peer::{Command as Order, Line, State},
};
use crate::processes::program;

const PATIENCE: Duration = Duration::from_secs(30);

/// How long a peer has to come back: longer than it waits between attempts, so that sessions end with their
/// process or with the server.
pub(crate) const GRACE_TIME: Duration = Duration::from_secs(20);

/// What peers said.
#[derive(Default)]
pub(crate) struct Said {
    pub history: History,
    /// The last of each writer.
    pub states: BTreeMap<u64, State>,
}

/// What peers said, as it grows.
#[derive(Clone, Default)]
pub(crate) struct Ear(Arc<Mutex<Said>>);

impl Ear {
    pub(crate) fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process that can be stopped, continued and killed.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.0.id().context("it runs")?;
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("a process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.0.kill().await?)
    }
}

/// Starts the server and waits until it listens.
pub(crate) async fn start_server(address: SocketAddr) -> anyhow::Result<Process> {
    let process = Command::new(program("patchcord-server")?)
        .args(["--listen", &address.to_string(), "--no-admin", "--log-level", "error"])
        // All peers come from one address here, and those of a killed process stay for a while.
        .args(["--connections-per-address-max", "0", "--connections-per-address-rate", "0"])
        .args(["--joins-per-address-rate", "0", "--peers-per-room-max", "400"])
        .args(["--grace-time", &GRACE_TIME.as_secs().to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).await.is_err() {
        if Instant::now() > deadline {
            bail!("the server does not listen");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Process(process))
}

/// An address on which nobody listens.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A process with several peers.
pub(crate) struct Peers {
    pub process: Process,
    input: ChildStdin,
    /// Ends when the process has and all that it said is taken.
    reading: JoinHandle<anyhow::Result<()>>,
}

impl Peers {
    /// `first_writer` must be another for each process of a run.
    pub(crate) fn start(proxy_port: u16, count: u64, first_writer: u64, ear: Ear) -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["faults-peer", "--server", &format!("http://127.0.0.1:{proxy_port}")])
            .args(["--peers", &count.to_string(), "--first-writer", &first_writer.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = process.stdin.take().context("piped")?;
        let output = process.stdout.take().context("piped")?;
        Ok(Self { process: Process(process), input, reading: tokio::spawn(read(output, ear)) })
    }

    pub(crate) async fn order(&mut self, order: Order) -> anyhow::Result<()> {
        let line = format!("{}\n", serde_json::to_string(&order)?);
        self.input.write_all(line.as_bytes()).await?;
        Ok(self.input.flush().await?)
    }

    /// `kill -9`; what it said before is in the history.
    pub(crate) async fn kill(self) -> anyhow::Result<()> {
        self.process.kill().await?;
        self.reading.await?
    }
}

async fn read(output: ChildStdout, ear: Ear) -> anyhow::Result<()> {
    let mut lines = BufReader::new(output).split(b'\n');
    while let Some(line) = lines.next_segment().await? {
        match serde_json::from_slice(&line) {
            Ok(Line::Record(record)) => ear.said().history.push(record),
            Ok(Line::State(state)) => {
                ear.said().states.insert(state.writer, state);
            }
            // A process that is killed may leave half a line, of what it had not done yet.
            Err(error) if error.is_eof() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
