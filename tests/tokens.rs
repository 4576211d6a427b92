//! A server that asks who may join, as its operator and its users meet it: keys and tokens are made with the program,
//! given by file, stdin and variable, and what ends them is said in words.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/child.rs"]
mod child;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use child::{Child, Ended, Server, message, program};
use patchcord_proto::v1::{
    RevokeTokenRequest, revoke_token_request::What, room_service_client::RoomServiceClient,
};
use serde_json::{Value, json};

/// A folder with keys and tokens.
struct Operator {
    folder: tempfile::TempDir,
}

impl Operator {
    fn new() -> Self {
        let operator = Self { folder: tempfile::tempdir().unwrap() };
        operator.key("north", "keys");
        operator
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self, kid: &str, file: &str) {
        let mut command = program("patchcord-server");
        let output = command.args(["key", "--kid", kid, "--file"]).arg(self.path(file)).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn try_token(&self, arguments: &[&str]) -> Output {
        let mut command = program("patchcord-server");
        command.args(["token", "--key-file"]).arg(self.path("keys")).args(arguments).output().unwrap()
    }

    fn token(&self, arguments: &[&str]) -> String {
        let output = self.try_token(arguments);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 1);
        text.trim().to_owned()
    }

    /// A token in a file.
    fn token_file(&self, name: &str, arguments: &[&str]) -> String {
        let path = self.path(name);
        fs::write(&path, self.token(arguments)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn serve(&self, flags: &[&str]) -> Server {
        let keys = self.path("keys");
        Server::start_with(&[&["--token-keys-file", keys.to_str().unwrap()], flags].concat())
    }
}

fn run(name: &str, command: &mut Command) -> Ended {
    let mut child = Child::start(name, command);
    child.end_input();
    child.end()
}

fn revoke(server: &Server, what: What, message: &str) {
    let request = RevokeTokenRequest { what: Some(what), message: message.to_owned() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let admin = format!("http://{}", server.admin);
        RoomServiceClient::connect(admin).await.unwrap().revoke_token(request).await.unwrap();
    });
}

/// `jti` and the rest of what a token says.
fn claims(token: &str) -> Value {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn a_token_is_one_line_that_says_what_was_asked() {
    let operator = Operator::new();
    let token =
        operator.token(&["--room-prefix", "team-", "--ttl", "2h", "--sub", "ana", "--perm", "join,send"]);
    let claims = claims(&token);
    assert_eq!(
        (&claims["room_prefix"], &claims["sub"], &claims["aud"]),
        (&json!("team-"), &json!("ana"), &json!("patchcord"))
    );
    assert_eq!((&claims["perm"], &claims["room"]), (&json!(["join", "send"]), &Value::Null));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 7_200);
    operator.key("south", "keys");
    for (arguments, named) in [
        (&["--room", "lobby"][..], "--kid"),
        (&["--room", "lobby", "--kid", "east"], "\"east\", but north, south"),
        (&["--kid", "north"], "--room"),
        (&["--room", "lobby", "--kid", "north", "--ttl", "soon"], "such as 10m"),
        (&["--room", "lobby", "--kid", "north", "--ttl", "25h"], "--ttl-max"),
        (&["--room", "lobby", "--kid", "north", "--perm", "fly"], "join, create, send, turn, admin"),
        (&["--room", "lobby", "--kid", "north", "--perm", "admin"], "--room-prefix ''"),
        (&["--room", "", "--kid", "north"], "room is no name of a room"),
        (&["--room", "a\tb", "--kid", "north"], "room is no name of a room"),
        (&["--room", "lobby", "--room-prefix", "lob", "--kid", "north"], "cannot be used with"),
        (&["--room", "lobby", "--kid", "north", "--sub", "a\tb"], "not printable"),
    ] {
        let output = operator.try_token(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{arguments:?}: {stderr}");
        assert!(stderr.contains(named) && output.stdout.is_empty(), "{arguments:?}: {stderr}");
    }
}

#[test]
fn people_with_tokens_chat_and_others_are_told_what_they_lack() {
    let operator = Operator::new();
    let server = operator.serve(&[]);
    let file = operator.token_file("ana", &["--room", "lobby", "--sub", "ana"]);
    let (ana, _) = server.json("lobby", "ana", &["--token-file", &file]);
    let mut bo = server.join("lobby", "bo", &["--json"]);
    let mut bo = Child::start("bo", bo.env("PATCHCORD_TOKEN", operator.token(&["--room-prefix", "lob"])));
    bo.event("channel_open");
    bo.say(message("hi"));
    assert_eq!(ana.event("message")["text"], "hi");
    // From stdin, where input goes on after it.
    let mut cy = Child::start("cy", &mut server.join("lobby", "cy", &["--plain", "--token-file", "-"]));
    cy.say(operator.token(&["--room-prefix", ""]));
    cy.is_told("you are cy in the room lobby");

    let other = operator.token_file("other", &["--room", "elsewhere"]);
    let forged = operator.path("forged");
    let token = operator.token(&["--room", "lobby"]);
    // One in sixteen ends with an A by itself.
    let other_end = if token.ends_with('A') { 'E' } else { 'A' };
    fs::write(&forged, format!("{}{other_end}", &token[..token.len() - 1])).unwrap();
    let forged = forged.to_str().unwrap();
    for (flags, code, named) in [
        (&[][..], 7, "lets in who has a token: ask whoever runs the server for one (--token-file PATH"),
        (&["--token-file", &other], 7, "for another room"),
        (&["--token", "nonsense"], 7, "is no token"),
        (&["--token-file", "/nonexistent/token"], 2, "/nonexistent/token"),
        (&["--token-file", "-", "--code-file", "-"], 2, "--code-file"),
    ] {
        let mut command = server.join("lobby", "dee", flags);
        if flags.contains(&"--code-file") {
            command = program("patchcord");
            command.args(["join"]).args(flags);
        }
        let ended = run("dee", &mut command);
        let said = ended.err.join("\n");
        assert_eq!(ended.code, Some(code), "{flags:?}: {said}");
        assert!(said.contains(named), "{flags:?}: {said}");
    }
    let ended = run("dee", &mut server.join("lobby", "dee", &["--json", "--token-file", forged]));
    assert_eq!(ended.code, Some(7), "{:?} {:?}", ended.out, ended.err);
    assert!(ended.out.join("\n").contains("\"not_permitted\""), "{:?} {:?}", ended.out, ended.err);
}

#[test]
fn a_token_is_not_sent_in_clear_beyond_this_machine() {
    // Nobody listens there: were it tried, this would be another error.
    let mut command = program("patchcord");
    command.args(["join", "lobby", "--server", "http://192.0.2.1:9", "--token", "marked"]);
    let ended = run("join", &mut command);
    let said = ended.err.join("\n");
    assert_eq!(ended.code, Some(2), "{said}");
    assert!(said.contains("in clear") && said.contains("https://") && !said.contains("marked"), "{said}");
}

#[test]
fn who_is_revoked_or_removed_reads_why() {
    let operator = Operator::new();
    let server = operator.serve(&[]);
    let file = operator.token_file("ana", &["--room", "lobby", "--sub", "ana"]);
    let token_id = claims(&fs::read_to_string(&file).unwrap())["jti"].as_str().unwrap().to_owned();
    let (ana, _) = server.json("lobby", "ana", &["--token-file", &file]);
    let plain = operator.token_file("bo", &["--room", "lobby", "--sub", "bo"]);
    let bo = Child::start("bo", &mut server.join("lobby", "bo", &["--plain", "--token-file", &plain]));
    bo.is_told("you are bo in the room lobby");
    revoke(&server, What::TokenId(token_id), "lost laptop");
    let ended = ana.event("ended");
    assert_eq!(ended["reason"], "removed", "{ended}");
    assert!(ended["message"].as_str().unwrap().contains("your token was revoked: lost laptop"), "{ended}");
    assert_eq!(ana.end().code, Some(6));
    revoke(&server, What::Subject("bo".to_owned()), "");
    bo.is_told("your token was revoked");
    assert_eq!(bo.end().code, Some(6));
    let ended = run("ana", &mut server.join("lobby", "ana", &["--token-file", &file]));
    assert_eq!(ended.code, Some(7));
    assert!(ended.err.join("\n").contains("was revoked"), "{:?}", ended.err);
}

#[test]
fn after_a_restart_the_token_of_that_moment_counts_and_chats_go_on_without_one() {
    let operator = Operator::new();
    let server = operator.serve(&[]);
    let good = operator.token_file("good", &["--room", "lobby"]);
    let renewed = operator.token_file("renewed", &["--room", "lobby"]);
    let (mut ana, _) = server.json("lobby", "ana", &["--token-file", &good]);
    let (bo, _) = server.json("lobby", "bo", &["--token-file", &renewed]);
    ana.event("channel_open");
    bo.event("channel_open");
    // New keys: what both came with is worth nothing any more. One gets another in time.
    fs::remove_file(operator.path("keys")).unwrap();
    operator.key("south", "keys");
    fs::write(operator.path("renewed"), operator.token(&["--room", "lobby"])).unwrap();
    let (public, admin) = (server.public.clone(), server.admin.clone());
    server.kill();
    let keys = operator.path("keys");
    let mut command = program("patchcord-server");
    command.args(["--listen", &public, "--admin-listen", &admin, "--log-format", "json"]);
    let _server = Child::start("again", command.arg("--token-keys-file").arg(keys));
    bo.event("rejoined");
    let gone = ana.until_value("gone", |value| {
        (value["type"] == "signaling" && value["state"] == "gone").then(|| value["reason"].to_string())
    });
    assert!(gone.contains("not let in") && gone.contains("not in use here"), "{gone}");
    ana.say(message("still here"));
    assert_eq!(bo.event("message")["text"], "still here");
}

#[test]
fn doctor_says_what_a_token_is_worth() {
    let operator = Operator::new();
    let server = operator.serve(&["--stun-url", "stun:127.0.0.1:9"]);
    let examine = |flags: &[&str]| {
        let mut command = program("patchcord");
        command.args(["doctor", "--json", "--server", &server.public]).args(flags);
        let ended = run("doctor", &mut command);
        let lines: Vec<Value> = ended.out.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let check = lines.iter().find(|line| line["check"] == "signaling").unwrap().clone();
        let verdict = lines.last().unwrap()["status"].clone();
        (check["status"].clone(), format!("{} {}", check["message"], check["advice"]), verdict, ended.code)
    };
    let (status, said, verdict, code) = examine(&[]);
    assert_eq!((status, verdict, code), (json!("fail"), json!("fail"), Some(1)));
    assert!(said.contains("--token-file"), "{said}");
    let good = operator.token_file("good", &["--room-prefix", "doctor-"]);
    let (status, said, ..) = examine(&["--token-file", &good]);
    assert_eq!(status, "ok", "{said}");
    assert!(said.contains("join, create, send, turn"), "{said}");
    let one_room = operator.token_file("one", &["--room", "lobby"]);
    let (status, said, verdict, code) = examine(&["--token-file", &one_room]);
    assert_eq!((status, verdict, code), (json!("ok"), json!("warn"), Some(0)), "{said}");
    let mute =
        operator.token_file("mute", &["--room-prefix", "doctor-", "--perm", "join", "--perm", "create"]);
    let (status, said, verdict, code) = examine(&["--token-file", &mute]);
    assert_eq!((status, verdict, code), (json!("fail"), json!("fail"), Some(1)), "{said}");
}
