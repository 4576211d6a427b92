//! `patchcord rooms`: the rooms of a switchboard as a table or as JSON lines, once or as they change.

mod changes;
mod lines;
mod listing;

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use crossterm::{
    QueueableCommand, cursor,
    terminal::{self, Clear, ClearType},
};
use patchcord_peer::{InspectConfig, InspectError, Inspector, RoomChange};
use tokio::{sync::mpsc, time::MissedTickBehavior};

use crate::{
    cli::RoomsArgs,
    exit::{Exit, Failure},
    safe_text::SafeText,
    wrap::truncate,
};
use listing::Listing;

/// The table that `--help` and the README show.
pub const JSON_HELP: &str = r#"JSON:
  With --json each line is one object with "v":1 and "type". Ignore fields and
  types that you do not know. What is not plainly printable is written \uXXXX.
  room            name, created_at, age_s, counters,
                  peers[{peer_id, name, joined_at, address, user_agent,
                  attached}], and of a token subject, token_id
                    counters: offers, answers, candidates, sealed,
                    negotiations_begun, negotiations_answered
  With --watch also:
  synced            all rooms that were there have been told; what follows are
                    changes, and room is a new one
  room_peer       room, peer_id, name, joined_at, address, user_agent, attached
                    joined, or changed
  room_peer_left  room, peer_id, reason
  room_activity   room, counters
  room_closed     room
  error           code, message
                    the last line; code: invalid_server, unreachable, refused,
                    not_permitted, secret_in_clear"#;

/// How often ages are drawn anew on a terminal.
const AGE_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the command to its end; a watch ends when the server or the reader of the output does.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn run(args: &RoomsArgs) -> Result<Exit, Failure> {
    match show(args).await {
        Err(Failure::System { reason, .. }) if reason.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        result => result.map(|()| Exit::Done),
    }
}

async fn show(args: &RoomsArgs) -> Result<(), Failure> {
    let config = InspectConfig {
        ca_certificate: args.trust.ca_certificate()?,
        client_certificate: args.trust.client_certificate()?,
        key: args.key.read()?,
    };
    let mut inspector = Inspector::connect(&args.admin, &config).await?;
    if args.watch {
        let changes = inspector.watch(&args.prefix).await?;
        return match (args.json, io::stdout().is_terminal()) {
            (true, _) => each_change(changes, |change, _| Some(lines::change(change))).await,
            (false, false) => each_change(changes, changes::describe).await,
            (false, true) => live_table(changes).await,
        };
    }
    let rooms = inspector.rooms(&args.prefix).await?;
    if args.json {
        for room in &rooms {
            print(&lines::room(room))?;
        }
        return Ok(());
    }
    let now = Instant::now();
    let mut listing = Listing::default();
    rooms.into_iter().for_each(|room| listing.apply(RoomChange::Opened(room), now));
    print(format!("{}\n", listing.table(now).join("\n")).as_bytes())
}

type Changes = mpsc::Receiver<Result<RoomChange, InspectError>>;

/// Prints what `describe` makes of each change and of what was known before it.
async fn each_change(
    mut changes: Changes,
    describe: impl Fn(&RoomChange, &Listing) -> Option<Vec<u8>>,
) -> Result<(), Failure> {
    let mut listing = Listing::default();
    while let Some(change) = changes.recv().await {
        let change = change?;
        if let Some(line) = describe(&change, &listing) {
            print(&line)?;
        }
        listing.apply(change, Instant::now());
    }
    Ok(())
}

/// The table, drawn over itself at every change.
async fn live_table(mut changes: Changes) -> Result<(), Failure> {
    let mut listing = Listing::default();
    let mut ages = tokio::time::interval(AGE_INTERVAL);
    ages.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut drawn = 0;
    loop {
        tokio::select! {
            change = changes.recv() => match change {
                Some(change) => listing.apply(change?, Instant::now()),
                None => return Ok(()),
            },
            _ = ages.tick(), if !listing.is_empty() => {}
        }
        while let Ok(change) = changes.try_recv() {
            listing.apply(change?, Instant::now());
        }
        // Until all is told the table would only flicker.
        if listing.is_synced() {
            drawn = draw_over(drawn, &listing.table(Instant::now())).map_err(output_failure)?;
        }
    }
}

/// Replaces the last `drawn` lines by `table`, cut to what the terminal shows without wrapping or scrolling.
fn draw_over(drawn: u16, table: &[String]) -> io::Result<u16> {
    let (columns, rows) = terminal::size().unwrap_or((80, 24));
    let mut out = io::stdout().lock();
    if drawn > 0 {
        out.queue(cursor::MoveToPreviousLine(drawn))?;
    }
    out.queue(Clear(ClearType::FromCursorDown))?;
    let room_for = usize::from(rows.saturating_sub(1)).max(1);
    let mut count = 0;
    for (index, line) in table.iter().take(room_for).enumerate() {
        let hidden = table.len() - index;
        let line = if index + 1 == room_for && hidden > 1 {
            format!("... {hidden} more lines")
        } else {
            line.clone()
        };
        writeln!(out, "{}", truncate(&SafeText::line(&line), usize::from(columns)))?;
        count += 1;
    }
    out.flush()?;
    Ok(count)
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(output_failure)
}

fn output_failure(reason: io::Error) -> Failure {
    Failure::System { doing: "cannot write the output", reason }
}
