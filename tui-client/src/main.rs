//! The terminal client: reads arguments, runs what they ask for, turns failure into an exit code.
#![deny(clippy::print_stderr, clippy::print_stdout, reason = "they panic when the terminal is gone")]

use std::{io::Write, process::ExitCode};

use patchcord::{
    cli::{Cli, Command},
    doctor,
    exit::{Exit, Failure},
    host, identity, join, json, logging, rooms, stderr,
};

fn main() -> ExitCode {
    let cli = Cli::read();
    match run(&cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if cli.command.is_json() {
                // Whoever closed stdout reads the exit code.
                let _ = std::io::stdout().write_all(&json::failure_line(&failure));
            }
            stderr::say(format_args!("patchcord: {failure}"));
            failure.exit().into()
        }
    }
}

fn run(cli: &Cli) -> Result<Exit, Failure> {
    if let Some(path) = &cli.log_file {
        logging::start(path, &cli.log_level)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|reason| Failure::System { doing: "cannot start threads", reason })?;
    let result = runtime.block_on(async {
        match &cli.command {
            Command::Join(args) => join::run(args).await,
            Command::Host(args) => host::run(args).await,
            Command::Doctor(args) => doctor::run(args).await,
            Command::Rooms(args) => rooms::run(args).await,
            Command::Identity(args) => identity::command::run(args),
        }
    });
    // A thread may hang in a read of stdin, which cannot be given up.
    runtime.shutdown_background();
    result
}
