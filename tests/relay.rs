//! Chats that may only go through a TURN server: over every transport, with servers of the switchboard and of
//! one's own.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/child.rs"]
mod child;
#[path = "support/coturn.rs"]
mod coturn;

use child::{Child, Server, message, program};
use coturn::{Coturn, SECRET};

/// Two that may only use relays chat, and each end of their path is one.
fn chat_over_relay(server: &Server, configure: impl Fn(&mut std::process::Command)) {
    let join = |name: &'static str| {
        let mut command = server.join("attic", name, &["--relay-only", "--json"]);
        configure(&mut command);
        let client = Child::start(name, &mut command);
        client.event("joined");
        client
    };
    let (mut ada, bo) = (join("ada"), join("bo"));
    for client in [&ada, &bo] {
        let path = client.until_value("path", |value| {
            (value["type"] == "connection" && !value["path"].is_null()).then(|| value.clone())
        });
        let ends = [&path["path"], &path["local"], &path["remote"]];
        assert_eq!(ends, ["relay"; 3], "{path}");
    }
    ada.say(message("over the relay"));
    assert_eq!(bo.event("message")["text"], "over the relay");
}

#[test]
fn relay_only_goes_through_the_turn_server_that_the_switchboard_names() {
    let coturn = Coturn::start(&[]);
    let url = format!("turn:127.0.0.1:{}?transport=udp", coturn.port);
    let server = Server::start_with(&["--turn-url", &url, "--turn-secret", SECRET]);
    chat_over_relay(&server, |_| {});
}

#[test]
fn a_turn_server_of_ones_own_is_named_by_flag_or_by_variable() {
    let coturn = Coturn::start(&[]);
    let (username, credential) = coturn.account();
    let server = Server::start();
    let own = format!("turn:127.0.0.1:{}?transport=udp,{username},{credential}", coturn.port);
    chat_over_relay(&server, |command| {
        command.args(["--ice-server", &own]);
    });
    chat_over_relay(&server, |command| {
        command.env("PATCHCORD_ICE_SERVERS", format!("stun:127.0.0.1:9 {own}"));
    });
}

#[test]
fn relay_only_without_a_turn_server_is_one_clear_problem() {
    let server = Server::start();
    let (ada, _) = server.json("attic", "ada", &["--relay-only"]);
    let (bo, _) = server.json("attic", "bo", &["--relay-only"]);
    for client in [ada, bo] {
        let error = client.event("error");
        assert_eq!(error["code"], "connection_failed");
        assert!(error["message"].as_str().unwrap().contains("needs a TURN server"), "{error}");
    }
}

#[test]
fn a_turn_server_that_cannot_be_used_is_named() {
    let coturn = Coturn::start(&[]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let urls = [
        format!("turn:127.0.0.1:{}?transport=udp", coturn.port),
        format!("turn:127.0.0.1:{closed}?transport=tcp"),
    ];
    let flags = ["--turn-url", &urls.join(","), "--turn-secret", "another secret"];
    let server = Server::start_with(&flags);
    let (_ada, _) = server.json("attic", "ada", &["--relay-only"]);
    let bo = Child::start("bo", &mut server.join("attic", "bo", &["--relay-only", "--plain"]));
    let why = bo.is_told("can be used from here");
    assert!(why.contains(&format!("{} (error 401: ", urls[0])), "{why}");
    assert!(why.contains(&format!("{} (Connection refused", urls[1])), "{why}");
    assert!(why.contains("patchcord doctor"), "{why}");
}

#[test]
fn relay_only_can_be_a_variable_and_the_doctor_minds_it() {
    let server = Server::start();
    let mut command = program("patchcord");
    command.args(["doctor", "--json", "--server", &server.public]).env("PATCHCORD_RELAY_ONLY", "true");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().last().unwrap().contains("--relay-only leaves only TURN"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}
