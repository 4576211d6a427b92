//! The terminal client: one pure [`app::App`], shown on a screen or as lines.

pub mod app;
pub mod clock;
pub mod command;
pub mod keymap;
pub mod safe_text;
pub mod wrap;
