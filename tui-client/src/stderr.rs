//! What people are told outside the screen. Nothing here panics: when the terminal is gone nobody reads it, and
//! leaving in order matters more.

use std::io::{Write, stderr};

/// Writes a line to stderr, if anybody is there to read it.
pub fn say(line: impl std::fmt::Display) {
    let _ = writeln!(stderr(), "{line}");
}
