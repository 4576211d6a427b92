//! The program: parses configuration, starts the server, has it read its files again on SIGHUP, stops it on SIGTERM or
//! SIGINT; or runs one of its tools, and nothing else.

mod logging;
mod tools;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use patchcord_server::{Config, Listeners, ServeError, raise_open_files_limit, serve_with_reloads};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_stream::{StreamExt, wrappers::SignalStream};

use tools::Tool;

/// Cannot listen or serve.
const EXIT_FAILED: u8 = 1;
/// Bad configuration.
const EXIT_CONFIG: u8 = 2;
/// After everything was told and closed.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Patchcord's switchboard: WebRTC signaling over one bidirectional gRPC stream a peer.
///
/// Peers meet in rooms and exchange what WebRTC needs to connect them; what they say to each other never
/// comes here. Without a command it serves; it stops on SIGTERM or SIGINT within 5 seconds, after telling every
/// peer.
///
/// Exit codes: 0 stopped as told, 1 cannot listen or serve, 2 bad configuration or arguments.
#[derive(Parser)]
#[command(name = "patchcord-server", version, max_term_width = 110, args_conflicts_with_subcommands = true)]
#[command(disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    tool: Option<Tool>,
    #[command(flatten)]
    config: Config,
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, line }) => {
            eprintln!("patchcord-server: {line}");
            ExitCode::from(code)
        }
    }
}

/// Why the program ends, in one line.
struct Failure {
    code: u8,
    line: String,
}

impl Failure {
    fn config(line: impl ToString) -> Self {
        Self { code: EXIT_CONFIG, line: line.to_string() }
    }

    fn failed(line: impl ToString) -> Self {
        Self { code: EXIT_FAILED, line: line.to_string() }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Config(error) => Self::config(error),
            error => Self::failed(error),
        }
    }
}

fn start() -> Result<(), Failure> {
    let Arguments { tool, config } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => return Err(Failure::config(first_paragraph(&error.to_string()))),
        // --help and --version.
        Err(error) => return error.print().map_err(Failure::failed),
    };
    if let Some(tool) = tool {
        let failure = match tool.is_question() {
            true => {
                config.admin_speaks_tls().map_err(Failure::config)?;
                Failure::failed
            }
            false => Failure::config,
        };
        let made = tool.run(&config).map_err(failure)?;
        print!("{made}");
        return Ok(());
    }
    let config = config.checked().map_err(Failure::config)?;
    logging::init(&config).map_err(Failure::config)?;
    raise_open_files_limit();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let outcome = runtime.block_on(run(config));
    // A disk may hang under what is read or written still.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    outcome
}

async fn run(config: Config) -> Result<(), Failure> {
    // Before the sockets: a signal that comes early is not missed.
    let terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let hangup = signal(SignalKind::hangup()).map_err(Failure::failed)?;
    let reloads = SignalStream::new(hangup).map(drop);
    let listeners = Listeners::bind(&config).await?;
    Ok(serve_with_reloads(config, listeners, reloads, either(terminate, interrupt)).await?)
}

async fn either(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// What is wrong, without how the command is used.
fn first_paragraph(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}
