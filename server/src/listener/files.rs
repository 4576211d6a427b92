//! How many connections the limit of open files leaves room for. What is kept back is for the admin door
//! and for everything else that a server opens.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files kept back, unless that is more than half.
const RESERVED_FILES: usize = 512;

/// Lets this process open as many files as it may: the soft limit is low by default for the sake of programs
/// that use `select(2)`. For a program's start.
pub fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // The old limit goes on to hold where that is not permitted.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// Connections that the public door has files for.
pub fn connections_max() -> usize {
    let files_max = files_max();
    files_max - reserved(files_max)
}

/// Connections of the admin door: a quarter of what is kept back.
pub fn admin_connections_max() -> usize {
    (reserved(files_max()) / 4).max(1)
}

fn files_max() -> usize {
    let current = getrlimit(Resource::Nofile).current;
    current.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX)
}

fn reserved(files_max: usize) -> usize {
    RESERVED_FILES.min(files_max / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_never_takes_all() {
        assert_eq!(reserved(20_000), 512);
        assert_eq!(reserved(40), 20);
        assert!(connections_max() > 0 && admin_connections_max() > 0);
        assert!(connections_max() < files_max());
    }
}
