//! Sealed rooms through the programs: who has the code chats, in whatever way it comes; nothing but what shows the code
//! on purpose shows it, and a code that was guessed at too often is used up.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/child.rs"]
mod child;

use std::{fs, process::Command};

use child::{Child, Ended, Server, message, program};
use serde_json::{Value, json};
use tempfile::TempDir;

/// `patchcord join` without a room, with a state folder and a log of its own.
fn join(server: &Server, home: &TempDir, name: &str, flags: &[&str]) -> Command {
    let mut command = program("patchcord");
    command.args(["join", "--server", &server.public, "--name", name, "--local-address", "127.0.0.1"]);
    command.arg("--log-file").arg(home.path().join("log")).args(["--log-level", "trace"]);
    command.env("XDG_STATE_HOME", home.path()).args(flags);
    command
}

/// A client that has joined.
fn json(server: &Server, home: &TempDir, name: &str, flags: &[&str]) -> Child {
    let child = Child::start(name, join(server, home, name, flags).arg("--json"));
    child.event("joined");
    child
}

/// One that has made a room, and its code.
fn made(server: &Server, home: &TempDir) -> (Child, String) {
    let ada = Child::start("ada", join(server, home, "ada", &["--new"]).arg("--json"));
    let code = ada.event("code")["code"].as_str().unwrap().to_owned();
    let (locator, _) = code.split_once('-').unwrap();
    assert_eq!(ada.event("joined")["room"], locator);
    (ada, code)
}

fn words(code: &str) -> &str {
    code.split_once('-').unwrap().1
}

fn other_words(code: &str) -> String {
    let other = if words(code) == "acid-acid-acid" { "acorn-acorn-acorn" } else { "acid-acid-acid" };
    format!("{}-{other}", code.split_once('-').unwrap().0)
}

fn guesses(home: &TempDir) -> String {
    fs::read_to_string(home.path().join("patchcord/guesses")).unwrap_or_default()
}

fn log(home: &TempDir) -> String {
    fs::read_to_string(home.path().join("log")).unwrap()
}

fn ended(command: &mut Command) -> Ended {
    let mut child = Child::start("client", command);
    child.end_input();
    child.end()
}

/// Both have proved themselves, say something to each other, and leave.
fn chat(mut ada: Child, mut bo: Child) {
    let (sas, other) = (ada.event("verified")["sas"].clone(), bo.event("verified")["sas"].clone());
    assert_eq!(sas, other);
    assert_eq!(sas.as_str().unwrap().split(' ').count(), 4);
    assert_eq!(ada.event("channel_open")["name"], "bo");
    assert_eq!(bo.event("channel_open")["name"], "ada");
    ada.say(message("hello"));
    assert_eq!(bo.event("message")["text"], "hello");
    bo.say(message("and back"));
    let back = ada.event("message");
    assert_eq!((&back["text"], &back["name"]), (&json!("and back"), &json!("bo")));
    for mut child in [bo, ada] {
        child.end_input();
        assert_eq!(child.end().code, Some(0));
    }
}

#[test]
fn two_that_have_the_code_chat_and_only_the_object_that_tells_it_shows_it() {
    let server = Server::start();
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (ada, code) = made(&server, &here);
    let bo = json(&server, &there, "bo", &[&code.to_uppercase().replace('-', " ")]);
    bo.hears("channel_open");
    ada.hears("channel_open");
    let heard = [ada.heard(), bo.heard(), log(&here), log(&there)];
    let shows =
        |line: &&str| [words(&code), &words(&code).replace('-', " ")].iter().any(|w| line.contains(*w));
    let showing: Vec<&str> = heard.iter().flat_map(|text| text.lines()).filter(shows).collect();
    assert_eq!(showing, [format!(r#"stdout: {{"v":1,"type":"code","code":"{code}"}}"#)]);
    assert!(heard[2..].iter().all(|log| log.contains(&server.public)), "the logs are written");
    // A good exchange costs no guess.
    assert_eq!((guesses(&here), guesses(&there)), (String::new(), String::new()));
}

#[test]
fn a_code_comes_as_argument_file_variable_or_first_line_of_stdin() {
    let server = Server::start();
    for way in ["argument", "file", "variable", "stdin"] {
        let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (ada, code) = made(&server, &here);
        let file = there.path().join("code");
        fs::write(&file, format!("{code}\n")).unwrap();
        let mut command = join(&server, &there, "bo", &["--json"]);
        match way {
            "argument" => command.arg(&code),
            "file" => command.arg("--code-file").arg(&file),
            "variable" => command.env("PATCHCORD_CODE", &code),
            _ => command.args(["--code-file", "-"]),
        };
        let mut bo = Child::start("bo", &mut command);
        if way == "stdin" {
            // What follows in the same write is input already.
            bo.say(format!("{code}\n{}", message("at once")));
            assert_eq!(ada.event("message")["text"], "at once");
        } else {
            chat(ada, bo);
        }
    }
}

#[test]
fn other_words_open_no_chat_and_cost_both_a_guess_that_is_kept() {
    let server = Server::start();
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (ada, code) = made(&server, &here);
    let eve = json(&server, &there, "eve", &[&other_words(&code)]);
    for (child, home) in [(&ada, &here), (&eve, &there)] {
        let error = child.event("error");
        assert_eq!(error["code"], "other_code");
        assert_eq!(guesses(home), format!("{} 1\n", &code[..8]));
        assert!(!child.heard().contains("channel_open") && !child.heard().contains("verified"));
    }
    // Whoever knows the words comes in all the same.
    let friend = TempDir::new().unwrap();
    let bo = json(&server, &friend, "bo", &[&code]);
    assert_eq!(ada.event("channel_open")["name"], "bo");
    assert_eq!(bo.event("channel_open")["name"], "ada");
}

#[test]
fn a_code_that_is_used_up_says_so_at_once() {
    let server = Server::start();
    let home = TempDir::new().unwrap();
    fs::create_dir(home.path().join("patchcord")).unwrap();
    fs::write(home.path().join("patchcord/guesses"), "7k3m9xqd 16\n").unwrap();
    let end = ended(join(&server, &home, "ada", &["--json"]).arg("7k3m9xqd-acid-rope-yard"));
    let object: Value = serde_json::from_str(&end.out[0]).unwrap();
    assert_eq!((end.code, &object["code"], end.out.len()), (Some(5), &json!("code_used_up"), 1));
    let end = ended(join(&server, &home, "ada", &[]).arg("7k3m9xqd-acid-rope-yard"));
    assert_eq!((end.code, end.err.len()), (Some(5), 1));
    assert!(end.err[0].contains("used up") && end.err[0].contains("--new"), "{:?}", end.err);
}

#[test]
fn what_is_nearly_a_code_is_never_told_to_the_server() {
    let server = Server::start();
    let home = TempDir::new().unwrap();
    let wrong = "7k3m9xqd-acid-acornn-yard";
    let end = ended(&mut join(&server, &home, "ada", &[wrong]));
    let said = end.err.join("\n");
    assert_eq!(end.code, Some(2), "{said}");
    assert!(said.contains("did you mean \"acorn\"?") && said.contains("--open"), "{said}");
    let bad: [&[&str]; 4] =
        [&["--code-file", "/nonexistent"], &["--code", "lobby"], &[], &["--new", "--code-file", "x"]];
    for flags in bad {
        let end = ended(&mut join(&server, &home, "ada", flags));
        assert_eq!((end.code, end.out.len()), (Some(2), 0), "{flags:?}: {:?}", end.err);
    }
    // With --open it is a name like any other.
    let ada = Child::start("ada", join(&server, &home, "ada", &["--open", "--json"]).arg(wrong));
    assert_eq!(ada.event("joined")["room"], wrong);
}

#[test]
fn a_host_of_a_sealed_room_shows_a_line_without_the_code_and_the_code() {
    let home = TempDir::new().unwrap();
    let mut command = program("patchcord");
    command.args(["host", "--sealed", "--bind", "127.0.0.1:0", "--json", "--name", "ada"]);
    command.args(["--local-address", "127.0.0.1"]).env("XDG_STATE_HOME", home.path());
    let ada = Child::start("host", &mut command);
    let line = ada.event("hosting")["join_command"].as_str().unwrap().to_owned();
    let code = ada.event("code")["code"].as_str().unwrap().to_owned();
    let typed: Vec<&str> = line.split(' ').collect();
    let ["patchcord", "join", "--server", url] = typed[..] else { panic!("{line}") };
    let guest = TempDir::new().unwrap();
    let mut command = program("patchcord");
    command.args(["join", "--server", url, "--json", "--name", "bo", "--local-address", "127.0.0.1"]);
    command.env("PATCHCORD_CODE", &code).env("XDG_STATE_HOME", guest.path());
    let bo = Child::start("guest", &mut command);
    chat(ada, bo);

    let mut command = program("patchcord");
    let end = ended(command.args(["host", &code, "--bind", "127.0.0.1:0"]));
    assert_eq!(end.code, Some(2), "a code is no name: {:?}", end.err);
}

#[test]
fn on_lines_the_code_is_on_stderr_and_so_is_who_is_verified() {
    let server = Server::start();
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut ada = Child::start("ada", join(&server, &here, "ada", &["--new"]).arg("--plain"));
    ada.is_told("others join with:  patchcord join --server http://");
    let line = ada.is_told("the code that they are asked for:  ");
    let code = line.rsplit(' ').next().unwrap();
    let bo = json(&server, &there, "bo", &[code]);
    let sas = bo.event("verified")["sas"].as_str().unwrap().to_owned();
    ada.is_told("chat with bo is open");
    assert!(ada.heard().contains("verified: it knows the code"), "{}", ada.heard());
    ada.say("/verify bo");
    ada.is_told(&sas);
    ada.end_input();
    assert_eq!(ada.end().out, Vec::<String>::new(), "stdout is the talk alone");
}
