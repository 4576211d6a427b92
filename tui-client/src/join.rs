//! Taking part in a room: on a screen, as plain lines or as JSON.

use std::{io::IsTerminal, time::Duration};

use patchcord_peer::Room;

use crate::{
    cli::{JoinArgs, SessionArgs},
    exit::{Exit, Failure},
    headless::{Session, Signals},
    host::Hosting,
    json::JsonFace,
    plain::PlainFace,
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
    take_part(&args.session, &args.server, &args.room, None).await
}

/// Joins `room` at `server` and stays to the end.
pub(crate) async fn take_part(
    args: &SessionArgs,
    server: &str,
    room: &str,
    hosting: Option<&Hosting>,
) -> Result<Exit, Failure> {
    let interactive = std::io::stdin().is_terminal();
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let look = look(args, interactive && std::io::stdout().is_terminal() && !dumb);
    let mut config = args.peer_config(server, room);
    if look != Look::Screen {
        config.leave_timeout = config.connect_timeout + LEAVE_MARGIN;
    }
    let connect_policy = config.connect_policy;
    let (room, events) = Room::join(config).await?;
    let signals =
        || Signals::listen().map_err(|reason| Failure::System { doing: "cannot wait for signals", reason });
    match look {
        Look::Json => {
            let face = JsonFace::new(hosting.cloned());
            Ok(Session::new(face, room, events, false).run(signals()?).await)
        }
        Look::Plain | Look::Screen => {
            let notices = hosting.map(Hosting::notices).unwrap_or_default();
            let face = PlainFace::new(room.info(), connect_policy, notices);
            Ok(Session::new(face, room, events, !interactive).run(signals()?).await)
        }
    }
}

fn look(args: &SessionArgs, screen_possible: bool) -> Look {
    match (args.json, args.plain || !screen_possible) {
        (true, _) => Look::Json,
        (false, true) => Look::Plain,
        (false, false) => Look::Screen,
    }
}
