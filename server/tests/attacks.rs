//! What attackers do, from bare sockets against the real program. Each attack prints what the server did,
//! what that cost it, and how an honest pair's messages fared meanwhile. With `PATCHCORD_LONG=1` they are
//! larger, last longer, and come one at a time, so that the times mean something.

#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "attacks/calls.rs"]
mod calls;
#[path = "attacks/files.rs"]
mod files;
#[path = "attacks/frames.rs"]
mod frames;
#[path = "attacks/honest.rs"]
mod honest;
mod kit;
#[path = "attacks/oracles.rs"]
mod oracles;
#[path = "attacks/readers.rs"]
mod readers;
#[path = "attacks/requests.rs"]
mod requests;
#[path = "attacks/rooms.rs"]
mod rooms;
#[path = "attacks/sockets.rs"]
mod sockets;
#[path = "attacks/stopped.rs"]
mod stopped;
#[path = "attacks/target.rs"]
mod target;
#[path = "attacks/wire.rs"]
mod wire;

use std::{pin::Pin, process::ExitCode};

use libtest_mimic::{Arguments, Trial};
use target::{Target, is_long};

/// Does its worst and says what the server did about it.
type Attack = for<'a> fn(&'a Target) -> Pin<Box<dyn Future<Output = String> + 'a>>;

/// Most wait for a deadline rather than for the processor.
const SHORT_THREADS: usize = 8;

/// What keeps an attack from ever reaching what it is to try.
const UNLIMITED: &[&str] = &[
    "--connections-per-address-max=0",
    "--connections-per-address-rate=0",
    "--joins-per-address-rate=0",
    "--requests-per-session-rate=0",
    "--sessions-per-connection-max=10000",
];

macro_rules! attacks {
    ($($module:ident :: $name:ident $flags:expr),* $(,)?) => {
        [$((stringify!($name), $flags, (|target| Box::pin($module::$name(target))) as Attack)),*]
    };
}

fn main() -> ExitCode {
    if stopped::is_client() {
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = match is_long() {
        true => Some(1),
        false => arguments.test_threads.or(Some(SHORT_THREADS)),
    };
    // The longest first.
    let attacks: [(&str, &[&str], Attack); 24] = attacks![
        sockets::half_open &[],
        stopped::stopped_clients &[],
        readers::readers_of_nothing UNLIMITED,
        readers::slow_readers UNLIMITED,
        sockets::silent_tcp &[],
        sockets::slow_preface &[],
        requests::half_messages &[],
        calls::unfinished_calls &[],
        sockets::connection_flood &[],
        files::out_of_files &[],
        frames::rapid_reset &[],
        frames::made_you_reset &[],
        frames::continuation_flood &[],
        frames::stream_flood &[],
        frames::header_bomb &[],
        frames::header_table_bomb &[],
        frames::ping_flood &[],
        frames::settings_flood &[],
        requests::message_bombs &[],
        requests::request_flood &[],
        rooms::room_flood &[],
        rooms::room_enumeration &[],
        oracles::resume_oracle UNLIMITED,
        oracles::peer_oracle UNLIMITED,
    ];
    let trials = attacks.into_iter().map(|(name, flags, attack)| {
        Trial::test(name, move || {
            target::run(name, flags, attack);
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
