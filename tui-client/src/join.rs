//! Taking part in a room: on a screen, as plain lines or as JSON.

use std::{io::IsTerminal, path::Path, time::Duration};

use patchcord_peer::{AccessToken, Config, Room};

use crate::{
    cli::{JoinArgs, SessionArgs},
    event_loop::{self, Reason, StopSignal},
    exit::{Exit, Failure},
    headless::{Session, Signals},
    host::Hosting,
    identity::take_profile,
    json::JsonFace,
    lookout::Lookout,
    plain::PlainFace,
    room_events::Events,
    safe_text::SafeText,
    sealed::{
        Choice, Invite, Place,
        guesses::{GUESSES_MAX, GuessFile, Keeper},
    },
    stderr,
};

/// For delivering what is queued at the end of input: a connection that has only begun gets the time that the
/// library gives it, and then some to deliver.
const LEAVE_MARGIN: Duration = Duration::from_secs(5);

/// How a session is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Screen,
    Plain,
    Json,
}

/// Runs `patchcord join` to its end.
///
/// # Errors
/// When the room cannot be joined.
pub async fn run(args: &JoinArgs) -> Result<Exit, Failure> {
    let may_ask = !args.session.json && std::io::stdin().is_terminal();
    let code_on_stdin = args.code.code_file.as_deref() == Some(Path::new("-"));
    if args.access.is_from_stdin() && code_on_stdin {
        let text =
            "--token-file - and --code-file - would both read the first line of stdin: put one into a file";
        return Err(Failure::Usage(text.into()));
    }
    let access_token = args.access.access_token()?;
    match args.code.choose(args.room.as_deref(), may_ask).await? {
        Choice::Join { place, made } => {
            let url = &args.server.server;
            take_part(&args.session, url, access_token, place, made, None).await
        }
        Choice::End(exit) => Ok(exit),
    }
}

/// Joins `place` at `server` and stays to the end. `made`: nobody else has its code yet.
pub(crate) async fn take_part(
    args: &SessionArgs,
    server: &str,
    access_token: Option<AccessToken>,
    place: Place,
    made: bool,
    hosting: Option<&Hosting>,
) -> Result<Exit, Failure> {
    let interactive = std::io::stdin().is_terminal();
    let terminal = (interactive && std::io::stdout().is_terminal()).then(|| std::env::var("TERM"));
    let look = look(args, terminal.as_ref().map(|term| term.as_deref().unwrap_or_default()));
    let mut config = args.peer_config(server, &place)?;
    config.access_token = access_token;
    let keeper = guesses(&mut config)?;
    let trust = take_profile(&args.identity, &mut config)?;
    if look != Look::Screen {
        config.leave_timeout = config.connect_timeout + LEAVE_MARGIN;
    }
    if look == Look::Screen {
        // The server may take its time; the screen will cover this.
        stderr::say(format_args!(
            "joining {} at {} ...",
            SafeText::line(place.name()),
            SafeText::line(server)
        ));
    }
    let connect_policy = config.connect_policy;
    let (room, events) = Room::join(config.clone()).await?;
    let sealed = config.seal.is_some().then(|| trust.clone());
    let events = Events::new(Lookout::new(events, config), keeper, sealed);
    let remembering = events.remembering();
    let invite = invite(place, server, made, hosting);
    let mut notices = hosting.map(Hosting::notices).unwrap_or_default();
    if !room.info().may_send() {
        notices.push("your token lets you see who is here, and connect to nobody".to_owned());
    }
    notices.extend(invite.iter().flat_map(|invite| invite.notices(hosting)));
    let signals =
        || Signals::listen().map_err(|reason| Failure::System { doing: "cannot wait for signals", reason });
    let exit = match look {
        Look::Screen => {
            screen(event_loop::Session { room, events, connect_policy, notices, invite, trust }).await
        }
        Look::Plain => {
            let face = PlainFace::new(room.info(), connect_policy, notices, invite, trust.clone());
            Ok(Session::new(face, room, events, trust, !interactive).run(signals()?).await)
        }
        Look::Json => {
            let code = invite.filter(|invite| invite.made).map(|invite| invite.code);
            let face = JsonFace::new(hosting.cloned(), code, trust.clone());
            Ok(Session::new(face, room, events, trust, true).run(signals()?).await)
        }
    };
    remembering.settle().await;
    exit
}

/// Takes in what is known of guesses at the code, and keeps what comes.
fn guesses(config: &mut Config) -> Result<Option<Keeper>, Failure> {
    let Some(seal) = &mut config.seal else { return Ok(None) };
    let known = GuessFile::of_user(|name| std::env::var_os(name)).and_then(|file| {
        let used = file.used(seal.code.locator())?;
        Ok((file, used))
    });
    let (file, used) = match known {
        Ok(known) => known,
        Err(reason) => {
            let advice = "make a new code each time";
            stderr::say(format_args!(
                "patchcord: wrong guesses at the code cannot be kept: {reason}; {advice}"
            ));
            return Ok(None);
        }
    };
    if used >= GUESSES_MAX {
        return Err(Failure::CodeUsedUp);
    }
    seal.guesses_used = used;
    Ok(Some(Keeper::new(file, seal.code.locator(), used)))
}

fn invite(place: Place, server: &str, made: bool, hosting: Option<&Hosting>) -> Option<Invite> {
    let Place::Sealed(code) = place else { return None };
    let server = hosting.map_or(server, |hosting| &hosting.url).to_owned();
    Some(Invite { code, server, made })
}

/// Runs the screen; what happened at its end is told where the shell goes on.
async fn screen(session: event_loop::Session) -> Result<Exit, Failure> {
    let outcome = event_loop::run(session)
        .await
        .map_err(|reason| Failure::System { doing: "cannot use the terminal (try --plain)", reason })?;
    if outcome.undelivered > 0 {
        stderr::say(format_args!("patchcord: {} not delivered when the room was left", outcome.undelivered));
    }
    Ok(match outcome.reason {
        Reason::Left if outcome.undelivered > 0 => Exit::Undelivered,
        Reason::Left => Exit::Done,
        Reason::Removed { message } => {
            stderr::say(format_args!("patchcord: removed from the room: {}", SafeText::line(&message)));
            Exit::Removed
        }
        Reason::Failed => Exit::Internal,
        Reason::Stopped(StopSignal::Interrupt) => Exit::Interrupted,
        Reason::Stopped(StopSignal::Terminate) => Exit::Terminated,
        Reason::Stopped(StopSignal::Hangup) | Reason::TerminalLost => Exit::Hangup,
    })
}

/// `terminal`: the TERM of the terminal that both stdin and stdout are, if they are.
fn look(args: &SessionArgs, terminal: Option<&str>) -> Look {
    let screen_possible = terminal.is_some_and(|term| term != "dumb");
    match (args.json, args.plain || !screen_possible) {
        (true, _) => Look::Json,
        (false, true) => Look::Plain,
        (false, false) => Look::Screen,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn look_of(flags: &[&str], terminal: Option<&str>) -> Look {
        let line = ["patchcord", "join", "lobby"].iter().chain(flags);
        let Command::Join(args) = Cli::try_parse_from(line).unwrap().command else { panic!("not join") };
        look(&args.session, terminal)
    }

    #[test]
    fn the_screen_is_for_terminals_that_can_show_it() {
        assert_eq!(look_of(&[], Some("xterm-256color")), Look::Screen);
        assert_eq!(look_of(&[], Some("dumb")), Look::Plain);
        assert_eq!(look_of(&[], None), Look::Plain);
        assert_eq!(look_of(&["--plain"], Some("xterm")), Look::Plain);
        assert_eq!(look_of(&["--json"], Some("xterm")), Look::Json);
    }
}
