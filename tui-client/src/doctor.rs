//! `patchcord doctor`: whether a chat will work from here, step by step as it is found out, and in the end in one
//! line that also decides the exit code.

mod access;
mod check;
mod prognosis;
mod relay_words;
mod terminal;
mod words;

use std::io::{self, IsTerminal, Write};

use patchcord_peer::{
    Config, IceTransportPolicy,
    probe::{Finding, probe},
};

use crate::{
    cli::DoctorArgs,
    exit::{Exit, Failure},
    json::versioned_line,
    safe_text::SafeText,
    stderr,
};
use check::{Check, Line, Status};
use prognosis::Prognosis;
use terminal::Terminal;

/// What `--help` adds.
pub const DOCTOR_HELP: &str = r#"Output:
  One line for each check: ok, warn (works, but not always or not for everybody)
  or fail, then what was found; under what is not ok stands what will not work
  and what to do. The last line, "chat", is the verdict. It decides the exit
  code: 0 unless a chat will not work, even if some line says fail.

JSON:
  With --json each line is one object with "v":1 and "type". Ignore fields and
  types that you do not know. What is not plainly printable is written \uXXXX.
  check           check, status, message, advice?, url?, address?, took_ms?
                    check: dns, tcp, tls, grpc, signaling, clock, stun, nat,
                    turn or terminal; status: ok, warn or fail
  verdict         status, message, advice?
                    the last line"#;

/// Runs the command to its end.
///
/// # Errors
/// When the arguments make no sense or the output cannot be written.
pub async fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    let mut config = Config::new(args.server.server.as_str(), "", "");
    args.route.apply(&mut config)?;
    config.access_token = args.access.access_token()?;
    if !args.json {
        stderr::say(format_args!("looking at the way to {} ...", printable(&config.server)));
    }
    match examine(args, config).await {
        Err(Failure::System { reason, .. }) if reason.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        result => result,
    }
}

async fn examine(args: &DoctorArgs, config: Config) -> Result<Exit, Failure> {
    let mut prognosis = Prognosis::new(config.ice_transport_policy == IceTransportPolicy::Relay);
    let named = config.ice_servers.clone();
    let own = |url: &String| named.iter().any(|server| server.urls.contains(url));
    let mut findings = probe(config);
    while let Some(finding) = findings.recv().await {
        prognosis.take(&finding);
        let mut check = words::check(&finding);
        if let Finding::Turn { url, outcome: Err(trouble), .. } = &finding
            && own(url)
        {
            check.advice = relay_words::advice_on_ones_own(trouble).or(check.advice);
        }
        print(args, &Line::Check(check))?;
    }
    for check in words::lacking(&prognosis) {
        print(args, &Line::Check(check))?;
    }
    print(args, &Line::Check(Terminal::of_this_process().check()))?;
    let verdict = prognosis.verdict();
    let exit = if verdict.status == Status::Fail { Exit::NoChat } else { Exit::Done };
    print(args, &Line::Verdict(verdict))?;
    Ok(exit)
}

fn print(args: &DoctorArgs, line: &Line) -> Result<(), Failure> {
    let bytes = if args.json { versioned_line(line) } else { line.text(columns()).into_bytes() };
    let mut out = io::stdout().lock();
    let written = out.write_all(&bytes).and_then(|()| out.flush());
    written.map_err(|reason| Failure::System { doing: "cannot write the output", reason })
}

/// Of the terminal; a pipe takes whole lines.
fn columns() -> Option<usize> {
    let size = io::stdout().is_terminal().then(crossterm::terminal::size);
    size.and_then(Result::ok).map(|(columns, _)| columns.into())
}

fn printable(text: &str) -> SafeText {
    SafeText::line(text)
}
