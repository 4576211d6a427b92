//! Stopping like any program under a shell's job control, and going on when the shell says so.

use std::time::Duration;

use rustix::process::{Signal, getpgrp, getpid, getsid, kill_current_process_group, kill_process};
use tokio::signal::unix;

/// For the stop to take effect, and then for SIGCONT to be noticed. Where nothing can stop the program it just
/// goes on after this.
const STOP_LIMIT: Duration = Duration::from_millis(500);

/// Whether a shell is there that could continue us. The group of a session's leader has none: the kernel too
/// refuses to stop such a group (POSIX, orphaned process groups).
pub fn is_possible() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

/// Asks the whole process group to stop, as the terminal does on Ctrl-Z; SIGTSTP then comes to us too.
pub fn request() {
    // It cannot fail for one's own group.
    let _ = kill_current_process_group(Signal::TSTP);
}

/// Stops until SIGCONT, which `continued` listens for.
pub async fn stop(continued: &mut unix::Signal) {
    // It cannot fail for oneself.
    let _ = kill_process(getpid(), Signal::STOP);
    // Another thread may take the signal a moment later: nothing may touch the terminal before. After a long
    // stop the limit has passed as well, and SIGCONT may be noticed only after it.
    if tokio::time::timeout(STOP_LIMIT, continued.recv()).await.is_err() {
        let _ = tokio::time::timeout(STOP_LIMIT, continued.recv()).await;
    }
}
