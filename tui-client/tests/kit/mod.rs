//! A terminal to run programs in, and a server to run them against; both real.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod pty;
pub mod server;
