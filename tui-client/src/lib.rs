//! The terminal client: one pure [`app::App`], shown on a screen or as lines.
#![deny(clippy::print_stderr, clippy::print_stdout, reason = "they panic when the terminal is gone")]

mod access;
pub mod app;
pub mod cli;
pub mod clock;
pub mod command;
pub mod doctor;
pub mod event_loop;
pub mod exit;
mod headless;
pub mod host;
pub mod identity;
pub mod join;
pub mod json;
pub mod keymap;
pub mod logging;
pub mod lookout;
mod plain;
mod room_events;
pub mod rooms;
pub mod safe_text;
pub mod sealed;
pub mod stderr;
pub mod terminal;
pub mod theme;
pub mod ui;
pub mod wrap;
