//! The arguments of `patchcord` as a shell passes them: mistakes are said in one place and with one code.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/child.rs"]
mod child;

use std::process::Output;

use child::{Child, Server, message, program};

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        program("patchcord").args(arguments).envs(variables.iter().copied()).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn without_a_command_the_help_is_shown() {
    let (code, out, err) = run(&[], &[]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("Usage: patchcord") && err.contains("patchcord host"), "{err}");
}

#[test]
fn the_long_help_documents_variables_exit_codes_and_json() {
    let (code, out, err) = run(&["join", "--help"], &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let documented = [
        "PATCHCORD_SERVER",
        "PATCHCORD_NAME",
        "PATCHCORD_ICE_SERVERS",
        "PATCHCORD_RELAY_ONLY",
        "PATCHCORD_CA_FILE",
        "PATCHCORD_CODE",
        "visible to other users",
        "PATCHCORD_LOG",
        "http://127.0.0.1:50051",
        "Exit codes:",
        "channel_open",
    ];
    for part in documented {
        assert!(out.contains(part), "{part} is missing:\n{out}");
    }
    let doctor = run(&["doctor", "--help"], &[]).1;
    assert!(doctor.contains("PATCHCORD_SERVER") && doctor.contains("a chat will not work"), "{doctor}");
    assert!(run(&["rooms", "--help"], &[]).1.contains("PATCHCORD_ADMIN"));
    assert!(run(&["host", "--help"], &[]).1.contains("PATCHCORD_BIND"));
}

#[test]
fn a_mistake_is_told_and_has_a_code_of_its_own() {
    let mistakes: [&[&str]; 6] = [
        &["join", "lobby", "--new"],
        &["join", "lobby", "--plain", "--json"],
        &["join", "lobby", "--server", "ftp://host"],
        &["host", "--bind", "nowhere"],
        &["join", "lobby", "--ice-server", "turn:host:3478"],
        &["join", "lobby", "--ice-server", "turn:user:credential@host:3478"],
    ];
    for arguments in mistakes {
        let (code, out, err) = run(arguments, &[]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(err.starts_with("error: ") || err.starts_with("patchcord: "), "{err}");
        assert!(!err.contains("user:credential"), "{err}");
    }
}

#[test]
fn a_file_of_authorities_that_is_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no.pem");
    std::fs::write(&path, "no certificate").unwrap();
    let path = path.to_str().unwrap();
    for (path, part) in [(path, "BEGIN CERTIFICATE"), ("/nowhere/at/all", "No such file")] {
        let (code, out, err) = run(&["join", "lobby", "--plain", "--ca-file", path], &[]);
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(2), "", 1), "{err}");
        assert!(err.contains("--ca-file") && err.contains(part), "{err}");
        for command in ["doctor", "rooms"] {
            assert_eq!(run(&[command], &[("PATCHCORD_CA_FILE", path)]).0, Some(2), "{command}");
        }
    }
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let server = Server::start();
    let mut command = program("patchcord");
    command.args(["join", "lobby", "--local-address", "127.0.0.1", "--json"]);
    command.env("PATCHCORD_SERVER", &server.public).env("USER", "ada");
    let ways = ["PATCHCORD_ICE_SERVERS", "PATCHCORD_RELAY_ONLY", "PATCHCORD_CA_FILE"];
    for empty in ["PATCHCORD_NAME", "PATCHCORD_LOG", "PATCHCORD_LOG_LEVEL"].iter().chain(&ways) {
        command.env(empty, "");
    }
    let client = Child::start("ada", &mut command);
    assert_eq!(client.event("joined")["name"], "ada");
}

#[test]
fn a_log_is_written_where_it_was_asked_for_and_holds_no_chat() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("patchcord.log");
    let server = Server::start();
    let (bo, _) = server.json("lobby", "bo", &[]);
    let flags = ["--json", "--log-level", "debug", "--log-file", log.to_str().unwrap()];
    let mut ada = Child::start("ada", &mut server.join("lobby", "ada", &flags));
    ada.say(message("a word between us"));
    assert_eq!(bo.event("message")["text"], "a word between us");
    ada.end_input();
    let ended = ada.end();
    assert_eq!((ended.code, ended.err), (Some(0), Vec::new()));
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(!logged.is_empty() && !logged.contains("a word between us"), "{logged}");

    let (code, _, err) = run(&["join", "lobby", "--log-file", "/nowhere/at/all"], &[]);
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
}

#[test]
fn what_is_no_public_door_is_told_with_the_next_step() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let web = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
            let _ = std::io::Write::write_all(
                &mut stream,
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
            );
        }
    });
    let server = Server::start();
    for wrong in [&web, &server.admin] {
        let (code, _, err) = run(&["join", "lobby", "--plain", "--server", wrong], &[]);
        assert_eq!((code, err.lines().count()), (Some(3), 1), "{err}");
        let next = format!("is it a switchboard's public door? \"patchcord doctor --server http://{wrong}\"");
        assert!(err.contains(&next), "{err}");
    }
    let (code, _, err) = run(&["rooms", "--admin", &server.public], &[]);
    assert_eq!(code, Some(3));
    assert!(err.contains("is this its admin address"), "{err}");
}
