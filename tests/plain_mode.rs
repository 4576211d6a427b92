//! `patchcord join` without a screen: stdin is chat and commands, stdout is the talk, stderr the rest.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/child.rs"]
mod child;

use child::{Child, Server, message};
use serde_json::json;

/// A line of the talk without the time of day that begins it.
fn said(line: &str) -> &str {
    let (time, rest) = line.split_at(6);
    let shape = |(at, c): (usize, char)| if at == 2 { c == ':' } else { c.is_ascii_digit() };
    assert!(time[..5].chars().enumerate().all(shape) && time.ends_with(' '), "{line:?}");
    rest
}

fn next(child: &Child) -> String {
    child.until("talk", |line| Some(said(line).to_owned()))
}

#[test]
fn a_piped_text_is_delivered_and_the_pipe_ends() {
    let server = Server::start();
    let ada = server.plain("lobby", "ada");
    // Neither --plain nor --json: that there is no terminal is enough.
    let mut bo = Child::start("bo", &mut server.join("lobby", "bo", &[]));
    bo.say("build done");
    bo.end_input();
    assert_eq!(next(&ada), "<bo> build done");
    let ended = bo.end();
    assert_eq!((ended.code, ended.out), (Some(0), Vec::new()), "what one says oneself is not printed again");
    ada.is_told("bo left");
}

#[test]
fn lines_are_texts_and_commands_are_carried_out() {
    let server = Server::start();
    let mut ada = server.plain("lobby", "ada");
    let mut bo = server.plain("lobby", "bo");
    ada.is_told("chat with bo is open");
    bo.is_told("chat with ada is open");
    ada.say("hello\r");
    ada.say("/me waves");
    ada.say("/msg bo psst");
    ada.say("//etc/passwd");
    for expected in ["<ada> hello", "* ada waves", "<ada -> you> psst", "<ada> /etc/passwd"] {
        assert_eq!(next(&bo), expected);
    }
    ada.say("/nick countess");
    bo.is_told("ada is now countess");
    ada.say("again");
    assert_eq!(next(&bo), "<countess> again");
    bo.say("/who");
    bo.is_told("countess: connected");
    bo.say("/net");
    bo.is_told("host");
    bo.say("/qiut");
    bo.is_told("did you mean /quit?");
    bo.say("/quit");
    let ended = bo.end();
    assert_eq!(ended.out, Vec::<String>::new(), "nothing but the talk goes to stdout");
    assert_eq!(ended.code, Some(4), "a line was neither a text nor a command");
    ada.end_input();
    let ended = ada.end();
    assert_eq!((ended.code, ended.out), (Some(0), Vec::new()));
}

#[test]
fn a_text_to_nobody_is_told_by_the_exit_code() {
    let server = Server::start();
    let mut ada = server.plain("lobby", "ada");
    ada.say("is anybody here?");
    ada.end_input();
    ada.is_told("problem: nobody else is here");
    assert_eq!(ada.end().code, Some(4));
}

#[test]
fn hostile_text_and_names_reach_no_terminal() {
    let server = Server::start();
    let ada = server.plain("lobby", "ada");
    let (mut bo, _) = server.json("lobby", "b> <ada", &[]);
    bo.say(message("\u{1b}]0;title\u{7}\u{9b}2J\r\n12:00 <ada> forged\u{202e}"));
    let lines: Vec<String> = (0..2).map(|_| next(&ada)).collect();
    assert_eq!(lines, ["<b› ‹ada> ␛]0;title␇⟨U+009B⟩2J", "<b› ‹ada> 12:00 <ada> forged⟨RLO⟩"]);
    let shown = ada.heard();
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
}

#[test]
fn a_signal_ends_the_session_in_order() {
    let server = Server::start();
    let ada = server.plain("lobby", "ada");
    let bo = server.plain("lobby", "bo");
    ada.is_told("chat with bo is open");
    bo.signal("INT");
    assert_eq!(bo.end().code, Some(130));
    assert!(ada.is_told("bo left").ends_with("bo left"), "without a complaint");
}

#[test]
fn the_death_of_the_server_is_told_and_the_chat_goes_on() {
    let server = Server::start();
    let mut ada = server.plain("lobby", "ada");
    let bo = server.plain("lobby", "bo");
    ada.is_told("chat with bo is open");
    server.kill();
    ada.is_told("signaling is away");
    ada.say("still here");
    ada.end_input();
    assert_eq!(next(&bo), "<ada> still here");
    assert_eq!(ada.end().code, Some(0));
}

#[test]
fn a_peer_that_an_operator_removes_is_told_so() {
    let server = Server::start();
    let ada = server.plain("lobby", "ada");
    let (bo, bo_id) = server.json("lobby", "bo", &[]);
    ada.is_told("bo joined");
    server.remove_peer("lobby", &bo_id, "be nice");
    let ended = bo.event("ended");
    assert_eq!((&ended["reason"], &ended["message"]), (&json!("removed"), &json!("be nice")));
    assert_eq!(bo.end().code, Some(6));
    ada.is_told("bo left (removed by an operator)");
    let (cy, _) = server.json("lobby", "cy", &[]);
    let ada_id = cy.event("channel_open")["peer_id"].as_str().unwrap().to_owned();
    server.remove_peer("lobby", &ada_id, "be nice");
    ada.is_told("you were removed from the room: be nice");
    assert_eq!(ada.end().code, Some(6));
}
