//! The terminal is as it was before, whatever way the client ends; and comes back after a suspension.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::path::Path;

use kit::{pty::Pty, server::Server};
use rustix::process::Signal;

fn assert_taken(pty: &Pty) {
    pty.wait("the terminal being taken", |screen| screen.alternate_screen() && screen.bracketed_paste());
}

/// Joins, ends the client by `end`, and returns its exit code.
fn ended_by(end: impl FnOnce(&Pty)) -> u32 {
    let server = Server::start();
    let pty = server.join("ana");
    assert_taken(&pty);
    end(&pty);
    let status = pty.end();
    pty.assert_was_taken();
    pty.assert_restored();
    assert_eq!(pty.switches(), (1, 1), "the alternate screen is entered and left once");
    status.exit_code()
}

#[test]
fn the_quit_command_restores_the_terminal() {
    assert_eq!(ended_by(|pty| pty.enter("/quit")), 0);
}

#[test]
fn ctrl_c_twice_restores_the_terminal() {
    let code = ended_by(|pty| {
        pty.write("\x03");
        pty.wait_text("Ctrl-C again quits");
        pty.write("\x03");
    });
    assert_eq!(code, 0);
}

#[test]
fn ctrl_q_and_ctrl_d_restore_the_terminal() {
    assert_eq!(ended_by(|pty| pty.write("\x11")), 0);
    assert_eq!(ended_by(|pty| pty.write("\x04")), 0);
}

#[test]
fn sigterm_restores_the_terminal() {
    assert_eq!(ended_by(|pty| pty.signal(Signal::TERM)), 143);
}

#[test]
fn sighup_restores_the_terminal() {
    assert_eq!(ended_by(|pty| pty.signal(Signal::HUP)), 129);
}

#[test]
fn sigint_from_outside_restores_the_terminal() {
    assert_eq!(ended_by(|pty| pty.signal(Signal::INT)), 130);
}

/// Closes the window of one of two, returns its exit code; the other must be told that it left.
fn window_closed(ana: impl FnOnce(&Server) -> Pty, before: impl FnOnce(&Pty)) -> u32 {
    let server = Server::start();
    let (ana, bo) = (ana(&server), server.join("bo"));
    ana.wait_text("chat with bo is open");
    bo.wait_text("chat with ana is open");
    before(&ana);
    let code = ana.hang_up();
    bo.wait("the news that ana left", |screen| screen.contents().contains("ana left"));
    assert!(!bo.contents().contains("connection lost"), "{}", bo.contents());
    code
}

#[test]
fn a_closed_window_leaves_the_room_in_order() {
    assert_eq!(window_closed(|server| server.join("ana"), |_| ()), 129);
}

#[test]
fn a_closed_window_leaves_the_room_in_order_also_under_an_overlay() {
    let help = |ana: &Pty| {
        ana.write("\x1bOP");
        ana.wait("the help without a cursor", |screen| screen.hide_cursor());
    };
    assert_eq!(window_closed(|server| server.join("ana"), help), 129);
}

#[test]
fn a_terminal_that_goes_away_without_a_signal_is_noticed() {
    // The kernel tells the shell alone, and the shell does not pass it on.
    let under_a_shell = |server: &Server| {
        let script = r#"trap "" HUP; "$@"; exit $?"#;
        let mut arguments: Vec<String> =
            ["-c", script, "sh", env!("CARGO_BIN_EXE_patchcord")].map(Into::into).into();
        arguments.extend(server.arguments("ana"));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ana = Pty::run(Path::new("/bin/sh"), &arguments, 80, 24);
        ana.wait_text("you are ana in the room lobby");
        ana
    };
    assert_eq!(window_closed(under_a_shell, |_| ()), 129);
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_brings_the_screen_back() {
    let server = Server::start();
    let script = r#"set -m; "$@"; echo IS-STOPPED; read line; fg >/dev/null; echo HAS-ENDED"#;
    let mut arguments: Vec<String> =
        ["-c", script, "sh", env!("CARGO_BIN_EXE_patchcord")].map(Into::into).into();
    arguments.extend(server.arguments("ana"));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let pty = Pty::run(Path::new("/bin/sh"), &arguments, 80, 24);
    pty.wait_text("you are ana in the room lobby");
    pty.write("half a wo");
    pty.wait_text("half a wo");
    pty.write("\x1a");
    pty.wait_text("IS-STOPPED");
    pty.assert_restored();
    pty.enter("");
    assert_taken(&pty);
    pty.wait_text("> half a wo");
    pty.write("rd\x15");
    pty.wait_text("write a message");
    pty.enter("/quit");
    pty.wait_text("HAS-ENDED");
    assert!(pty.end().success());
    pty.assert_restored();
    assert_eq!(pty.switches(), (2, 2));
}

#[test]
fn a_stop_and_continue_from_outside_draws_the_screen_again() {
    let server = Server::start();
    let pty = server.join("ana");
    pty.signal(Signal::STOP);
    pty.signal(Signal::CONT);
    pty.wait_text_again("you are ana");
    pty.enter("/who");
    pty.wait_text("ana: you (id ");
    pty.enter("/quit");
    assert!(pty.end().success());
    pty.assert_restored();
}

#[test]
fn where_no_shell_could_continue_it_ctrl_z_is_refused() {
    let server = Server::start();
    let pty = server.join("ana");
    pty.write("\x1a");
    pty.wait_text("there is no shell to go back to");
    pty.enter("/quit");
    assert!(pty.end().success());
}
