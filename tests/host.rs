//! `patchcord host`: one command that is switchboard and peer; others join by the line that it shows.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/child.rs"]
mod child;

use std::net::TcpListener;

use child::{Child, message, program};

fn host(flags: &[&str]) -> Child {
    let mut command = program("patchcord");
    command.args(["host", "--local-address", "127.0.0.1", "--name", "ada"]).args(flags);
    Child::start("host", &mut command)
}

/// What a shell makes of `line`, as a client of its own.
fn typed(line: &str, more: &[&str]) -> Child {
    let words: Vec<&str> = line.split(' ').collect();
    let ["patchcord", arguments @ ..] = &words[..] else { panic!("{line}") };
    let mut command = program("patchcord");
    command.args(arguments).args(["--local-address", "127.0.0.1", "--name", "bo"]).args(more);
    Child::start("guest", &mut command)
}

#[test]
fn others_join_by_the_line_that_is_shown() {
    let mut host = host(&["--json", "--bind", "127.0.0.1:0"]);
    let hosting = host.event("hosting");
    let url = hosting["url"].as_str().unwrap();
    let room = host.event("joined")["room"].as_str().unwrap().to_owned();
    assert_eq!(room.split('-').count(), 3, "a made-up name: {room}");

    let mut guest = typed(hosting["join_command"].as_str().unwrap(), &["--json"]);
    assert_eq!(guest.event("joined")["room"], room);
    host.event("channel_open");
    host.say(message("welcome"));
    assert_eq!(guest.event("message")["text"], "welcome");
    guest.say(message("thanks"));
    assert_eq!(host.event("message")["text"], "thanks");

    host.end_input();
    assert_eq!(host.end().code, Some(0));
    // The host's goodbye and the end of its switchboard come on different ways, in either order.
    let (mut left, mut away) = (false, false);
    while !(left && away) {
        let object = guest.object();
        left |= object["type"] == "peer_left" && object["reason"] == "left";
        away |= object["type"] == "signaling" && object["state"] == "away";
    }
    TcpListener::bind(url.strip_prefix("http://").unwrap()).expect("the port is free at once");
    guest.end_input();
    assert_eq!(guest.end().code, Some(0));
}

#[test]
fn without_json_the_line_is_told_on_stderr() {
    let mut host = host(&["my room", "--bind", "127.0.0.1:0"]);
    let line = host.is_told("others join with:");
    assert!(line.contains("patchcord join 'my room' --server http://127.0.0.1:"), "{line}");
    host.is_told("only this machine can reach the switchboard");
    host.is_told("nobody else is here yet");
    host.end_input();
    let ended = host.end();
    assert_eq!((ended.code, ended.out), (Some(0), Vec::new()));
}

#[test]
fn an_address_that_is_taken_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = host(&["--bind", &address]).end();
    assert_eq!(ended.code, Some(1));
    let [line] = &ended.err[..] else { panic!("{:?}", ended.err) };
    assert!(line.contains(&format!("cannot listen on {address}")) && line.contains("--bind"), "{line}");
}

#[test]
fn a_signal_ends_host_and_switchboard() {
    let host = host(&["--json", "--bind", "127.0.0.1:0"]);
    let hosting = host.event("hosting");
    let guest = typed(hosting["join_command"].as_str().unwrap(), &["--json"]);
    host.event("channel_open");
    host.signal("TERM");
    assert_eq!(host.event("ended")["reason"], "terminated");
    assert_eq!(host.end().code, Some(143));
    assert_eq!(guest.event("peer_left")["reason"], "left");
}
