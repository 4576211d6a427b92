//! The terminal client: reads arguments, runs what they ask for, turns failure into an exit code.

fn main() {}
