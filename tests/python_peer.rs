//! The terminal client chats with a peer that shares no code with it: tests/python/peer.py, made of grpcio,
//! aiortc and the contract. The newcomer offers, so who comes second decides who is offerer. And tests/python/middle.py,
//! made of the same, is in the middle between two people, over real DTLS.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/child.rs"]
mod child;

use std::{path::PathBuf, process::Command};

use child::{Child, Server, message, profile_folder};
use serde_json::{Value, json};
use tempfile::TempDir;

const ROOM: &str = "lobby";

/// PATCHCORD_PYTHON, or what scripts/test has installed, or whatever `python3` is.
fn python() -> PathBuf {
    let installed = profile_folder().with_file_name("venv").join("bin/python");
    let fallback = if installed.exists() { installed } else { "python3".into() };
    let python = std::env::var_os("PATCHCORD_PYTHON").map_or(fallback, PathBuf::from);
    let imports = Command::new(&python).args(["-c", "import aiortc, grpc_tools"]).output();
    assert!(
        imports.is_ok_and(|output| output.status.success()),
        "{} has no aiortc or grpcio-tools: scripts/test installs them, or pip install -r tests/python/requirements.txt",
        python.display()
    );
    python
}

/// The Python peer, its id, and how many peers it found.
fn start_python(server: &Server) -> (Child, String, usize) {
    let mut command = Command::new(python());
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/peer.py"));
    command.args([ROOM, "--server", &server.public, "--name", "Python", "--address", "127.0.0.1"]);
    let process = Child::start("peer.py", &mut command);
    let (id, peers) = joined(&process);
    (process, id, peers)
}

/// The terminal client without its screen, its id, and how many peers it found.
fn start_client(server: &Server) -> (Child, String, usize) {
    let process = Child::start("patchcord", server.join(ROOM, "Terminal", &[]).arg("--json"));
    let (id, peers) = joined(&process);
    (process, id, peers)
}

fn joined(process: &Child) -> (String, usize) {
    let joined = process.event("joined");
    (joined["peer_id"].as_str().unwrap().to_owned(), joined["peers"].as_array().unwrap().len())
}

/// Says what is short, what is not ASCII and what is as long as the contract allows, both ways.
fn chat(python: &mut Child, python_id: &str, client: &mut Child, client_id: &str) {
    assert_eq!(client.event("channel_open")["peer_id"], *python_id);
    assert_eq!(python.event("channel_open")["peer_id"], *client_id);
    assert_eq!(python.event("hello")["name"], "Terminal");

    let texts = ["hello".to_owned(), "päivää 漢字 🦀".to_owned(), "x".repeat(15_360)];
    for (seq, text) in (1..).zip(&texts) {
        client.say(message(text));
        let heard = python.event("message");
        assert_eq!((&heard["text"], &heard["seq"]), (&json!(text), &json!(seq)));
        client.until_value("delivered", |event| {
            (event["type"] == "receipt" && event["state"] == "delivered" && event["peer_id"] == *python_id)
                .then_some(())
        });
    }
    for (seq, text) in (1..).zip(&texts) {
        python.say(text);
        let heard = client.event("message");
        assert_eq!((&heard["text"], &heard["name"]), (&json!(text), &json!("Python")));
        let receipt: Value = python.event("receipt");
        assert_eq!(receipt["through_seq"], seq);
    }
}

#[test]
fn a_python_peer_that_offers_chats_with_the_terminal_client() {
    let server = Server::start();
    let (mut client, client_id, before) = start_client(&server);
    assert_eq!(before, 0);
    let (mut python, python_id, before) = start_python(&server);
    assert_eq!(before, 1, "the Python peer is the newcomer and offers");
    chat(&mut python, &python_id, &mut client, &client_id);

    python.end_input();
    let left = client.event("peer_left");
    assert_eq!((&left["peer_id"], &left["reason"]), (&json!(python_id), &json!("left")));
    assert_eq!(python.end().code, Some(0), "its bye was acknowledged");
    client.end_input();
    assert_eq!(client.end().code, Some(0));
}

#[test]
fn a_python_peer_that_answers_chats_with_the_terminal_client() {
    let server = Server::start();
    let (mut python, python_id, before) = start_python(&server);
    assert_eq!(before, 0);
    let (mut client, client_id, before) = start_client(&server);
    assert_eq!(before, 1, "the terminal client is the newcomer and offers");
    chat(&mut python, &python_id, &mut client, &client_id);

    client.say(json!({"type": "leave"}).to_string());
    assert_eq!(python.event("bye")["last_seq"], 3);
    assert_eq!(python.event("peer_left")["peer_id"], *client_id);
    assert_eq!(client.end().code, Some(0), "everything was delivered");
    python.end_input();
    assert_eq!(python.end().code, Some(0));
}

/// Two people who believe to be in one room, and what is between them.
struct Between {
    ana: Child,
    bo: Child,
    middle: Child,
    _servers: [Server; 2],
}

fn person(server: &Server, home: &TempDir, name: &str, flags: &[&str]) -> Child {
    let mut command = server.join(ROOM, name, flags);
    let child = Child::start(name, command.arg("--json").env("XDG_DATA_HOME", home.path()));
    child.event("joined");
    child
}

impl Between {
    fn start(homes: &[TempDir; 2], flags: &[&str], middle_flags: &[&str]) -> Self {
        let servers = [Server::start(), Server::start()];
        let ana = person(&servers[0], &homes[0], "ana", flags);
        let bo = person(&servers[1], &homes[1], "bo", flags);
        let mut command = Command::new(python());
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/middle.py"));
        command.args([ROOM, "--left", &servers[0].public, "--right", &servers[1].public]);
        command.args(["--left-name", "ana", "--right-name", "bo", "--address", "127.0.0.1"]);
        let middle = Child::start("middle.py", command.args(middle_flags));
        Self { ana, bo, middle, _servers: servers }
    }

    /// Both say something; what the middle passed on by the time that both were told what became of it.
    fn speak(mut self, state: &str) -> String {
        for (person, text) in [(&mut self.ana, "of ana"), (&mut self.bo, "of bo")] {
            person.say(message(text));
            let is_told = |value: &Value| value["type"] == "receipt" && value["state"] == state;
            person.until_value(state, |value| is_told(value).then_some(()));
        }
        self.middle.end_input();
        self.middle.end().out.join("\n")
    }
}

fn homes() -> [TempDir; 2] {
    [TempDir::new().unwrap(), TempDir::new().unwrap()]
}

/// They have compared their strings, with nobody in between.
fn acquaint(homes: &[TempDir; 2]) {
    let server = Server::start();
    let mut people =
        [("ana", &homes[0]), ("bo", &homes[1])].map(|(name, home)| person(&server, home, name, &[]));
    for person in &mut people {
        let told = person.event("short_string");
        person.say(json!({"type": "verify", "peer_id": told["peer_id"], "sas": told["sas"]}).to_string());
        assert_eq!(person.event("decided")["outcome"], "remembered");
    }
}

/// By one of them at least, who hangs up before the other may have heard of it.
fn is_found_out(between: Between) -> String {
    for person in [&between.ana, &between.bo] {
        person.until_value("the end of the connection", |value| {
            let has_ended = value["state"] == "failed" || value["state"] == "closed";
            (value["type"] == "connection" && has_ended).then_some(())
        });
    }
    let heard = [between.ana.heard(), between.bo.heard()].concat();
    assert!(
        heard.contains("somebody is in between") || heard.contains("somebody may be in between"),
        "{heard}"
    );
    let passed_on = between.speak("queued");
    assert!(!passed_on.contains(r#""kind": "text""#), "{passed_on}");
    passed_on
}

/// What it could not do, were it not in the middle.
#[test]
fn whoever_is_in_the_middle_and_hides_how_it_would_be_found_out_reads_what_people_say_unverified() {
    let flags = ["--hide", "identity.v1", "--hide", "sas.v1"];
    let between = Between::start(&homes(), &["--anonymous"], &flags);
    between.ana.event("channel_open");
    between.bo.event("channel_open");
    let passed_on = between.speak("delivered");
    assert_eq!(passed_on.matches(r#""kind": "text""#).count(), 2, "{passed_on}");
    assert!(!passed_on.contains(r#""kind": "sas""#), "{passed_on}");
}

#[test]
fn no_short_string_comes_about_through_the_middle() {
    let passed_on = is_found_out(Between::start(&homes(), &["--anonymous"], &[]));
    assert!(passed_on.contains(r#""kind": "sas""#), "{passed_on}");
}

#[test]
fn an_identity_key_is_not_proved_through_the_middle() {
    let passed_on = is_found_out(Between::start(&homes(), &[], &[]));
    assert!(passed_on.contains(r#""kind": "identity""#), "{passed_on}");
}

#[test]
fn who_is_known_is_held_when_the_middle_hides_the_keys() {
    let homes = homes();
    acquaint(&homes);
    let flags = ["--hide", "identity.v1", "--hide", "sas.v1"];
    let between = Between::start(&homes, &[], &flags);
    for (person, known) in [(&between.ana, "bo"), (&between.bo, "ana")] {
        let shown = person.event("identity");
        assert_eq!((&shown["state"], &shown["known"]["name"]), (&json!("held"), &json!(known)));
    }
    let passed_on = between.speak("queued");
    assert!(!passed_on.contains(r#""kind": "text""#), "{passed_on}");
}
