//! The terminal client chats with a peer that shares no code with it: tests/python/peer.py, made of grpcio,
//! aiortc and the contract. The newcomer offers, so who comes second decides who is offerer.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/child.rs"]
mod child;

use std::{path::PathBuf, process::Command};

use child::{Child, Server, message, profile_folder};
use serde_json::{Value, json};

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
