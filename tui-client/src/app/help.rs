//! The help: every key, every command, every sign, in words.

use crate::{command::Name, keymap};

/// The help in rows of two columns; an empty right column is a heading.
pub fn help_lines() -> Vec<(&'static str, &'static str)> {
    let mut lines = vec![("Commands", "")];
    lines.extend(Name::ALL.map(|name| (name.usage(), name.summary())));
    lines.push(("//TEXT", "send TEXT with a slash before it"));
    lines.push(("PEER", "a name, name#id where names are the same, or an id"));
    lines.push(("Keys", ""));
    lines.extend(keymap::HELP);
    lines.push(("Signs after your messages", ""));
    lines.extend([
        ("…", "queued: waits for a connection"),
        ("✓", "sent"),
        ("✓✓", "delivered to everybody"),
        ("2/3", "delivered to 2 of 3"),
        ("✗", "failed: the receiver left before it arrived"),
    ]);
    lines
}
