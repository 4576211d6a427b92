//! What joining, connecting and leaving leave behind: nothing. Alone in its file, because it counts what the
//! whole process has open.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that fails by unwrap has failed as it should")]

mod support;

use support::{PATIENCE, Server, connected};

const ROUNDS: usize = 30;

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn round(server: &Server) {
    let (ana, bo) = connected(server, "lobby").await;
    drop((ana.events, bo.events));
    let departures = async { tokio::join!(ana.room.leave(), bo.room.leave()) };
    tokio::time::timeout(PATIENCE, departures).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn rooms_that_were_left_keep_no_socket_and_no_task() {
    let server = Server::start().await;
    round(&server).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = (open_files(), metrics.num_alive_tasks());
    for _ in 0..ROUNDS {
        round(&server).await;
    }
    // The last connections close a moment after the last leave has returned; a leak of one a round stays.
    let settled = async {
        while open_files() > before.0 + ROUNDS / 2 || metrics.num_alive_tasks() > before.1 + ROUNDS / 2 {
            tokio::task::yield_now().await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, settled).await;
    let after = (open_files(), metrics.num_alive_tasks());
    assert!(outcome.is_ok(), "open files and tasks: {before:?} before {ROUNDS} rounds, {after:?} after");
}
