//! Verified peers through the programs, over runs: verified once, known again after both have started anew; somebody else of the
//! same name is neither heard nor told anything before the user has decided.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/child.rs"]
mod child;

use std::{fs, process::Command};

use child::{Child, Ended, Server, message, program};
use serde_json::{Value, json};
use tempfile::TempDir;

fn join(server: &Server, home: &TempDir, name: &str, flags: &[&str]) -> Command {
    let mut command = program("patchcord");
    command.args([
        "join",
        "--server",
        &server.public,
        "--name",
        name,
        "--local-address",
        "127.0.0.1",
        "--json",
    ]);
    command.env("XDG_DATA_HOME", home.path()).env("XDG_STATE_HOME", home.path()).args(flags);
    command
}

/// A client that has joined the lobby.
fn start(server: &Server, home: &TempDir, name: &str, flags: &[&str]) -> Child {
    let child = Child::start(name, join(server, home, name, flags).arg("lobby"));
    child.event("joined");
    child
}

fn identity(home: &TempDir, arguments: &[&str]) -> Ended {
    let mut command = program("patchcord");
    command.arg("identity").args(arguments).env("XDG_DATA_HOME", home.path());
    Child::start("identity", &mut command).end()
}

fn known_peers(home: &TempDir) -> String {
    fs::read_to_string(home.path().join("patchcord/default/known_peers")).unwrap_or_default()
}

/// The user has compared what the peer showed last.
fn verify(child: &mut Child, told: &Value) {
    child.say(json!({"type": "verify", "peer_id": told["peer_id"], "sas": told["sas"]}).to_string());
}

fn leave(mut child: Child) {
    child.end_input();
    let heard = child.heard();
    let end = child.end();
    assert_eq!(end.code, Some(0), "{heard}\n{:?} {:?}", end.out, end.err);
}

/// Both have verified each other and left.
fn acquainted(server: &Server, homes: [&TempDir; 2]) {
    let mut ana = start(server, homes[0], "ana", &[]);
    let mut bo = start(server, homes[1], "bo", &[]);
    for child in [&mut ana, &mut bo] {
        let shown = child.event("identity");
        assert_eq!((&shown["state"], shown["key"].as_str().unwrap().len()), (&json!("new"), 52));
        assert!(shown.get("known").is_none());
        let told = child.event("short_string");
        verify(child, &told);
        assert_eq!(child.event("decided")["outcome"], "remembered");
    }
    leave(ana);
    leave(bo);
}

#[test]
fn who_was_verified_once_is_known_when_both_come_back_whatever_it_calls_itself() {
    let server = Server::start();
    let homes = [&TempDir::new().unwrap(), &TempDir::new().unwrap()];
    acquainted(&server, homes);
    assert!(known_peers(homes[0]).ends_with(" bo\n") && known_peers(homes[1]).ends_with(" ana\n"));
    let mut ana = start(&server, homes[0], "ana", &[]);
    let bo = start(&server, homes[1], "Bonifatius", &[]);
    for (child, name) in [(&ana, "bo"), (&bo, "ana")] {
        let shown = child.event("identity");
        assert_eq!((&shown["state"], &shown["known"]["name"]), (&json!("known"), &json!(name)));
        assert_eq!((&shown["known"]["how"], &shown["known"]["key"]), (&json!("compared"), &shown["key"]));
        child.event("channel_open");
    }
    ana.say(message("hello again"));
    assert_eq!(bo.event("message")["text"], "hello again");
}

#[test]
fn another_of_the_same_name_is_held_until_the_user_decides_and_then_each_text_comes_once() {
    let server = Server::start();
    let homes = [&TempDir::new().unwrap(), &TempDir::new().unwrap()];
    acquainted(&server, homes);
    for flags in [&["--anonymous"][..], &["--profile", "other"]] {
        let mut ana = start(&server, homes[0], "ana", &[]);
        let mut eve = start(&server, homes[1], "B0", flags);
        let shown = ana.event("identity");
        assert_eq!((&shown["state"], &shown["known"]["name"]), (&json!("held"), &json!("bo")));
        let told = ana.event("short_string");
        eve.event("channel_open");
        for number in 1..=3 {
            eve.say(message(&format!("text {number}")));
        }
        ana.say(message("for bo"));
        eve.until_value("sent", |value| {
            (value["type"] == "receipt" && value["id"] == 3 && value["state"] == "sent").then_some(())
        });
        ana.until_value("queued", |value| {
            (value["type"] == "receipt" && value["state"] == "queued").then_some(())
        });
        // Another string than the one that was told is no decision.
        ana.say(
            json!({"type": "verify", "peer_id": told["peer_id"], "sas": "acid acid acid acid"}).to_string(),
        );
        assert_eq!(ana.event("error")["code"], "other_sas");
        assert!(!ana.heard().contains(r#""type":"message""#) && !eve.heard().contains("for bo"));
        verify(&mut ana, &told);
        for number in 1..=3 {
            assert_eq!(ana.event("message")["text"], format!("text {number}"));
        }
        eve.until_value("all delivered", |value| {
            (value["type"] == "receipt" && value["id"] == 3 && value["state"] == "delivered").then_some(())
        });
        // Its own line may have come before the receipt.
        while !eve.heard().contains("for bo") {
            eve.object();
        }
        leave(eve);
        ana.event("peer_left");
        assert_eq!(ana.heard().matches(r#""type":"message""#).count(), 3);
        let remembered = ana.heard().contains(r#""outcome":"remembered""#);
        assert_eq!(remembered, flags != ["--anonymous"]);
        ana.end_input();
        assert_eq!(ana.end().code, Some(4), "one of its lines was refused");
    }
    // The new key is in the place of the old one, and who showed none is not there.
    assert_eq!(known_peers(homes[0]).lines().count(), 1);
    assert!(known_peers(homes[0]).ends_with(" B0\n"));
}

#[test]
fn who_is_refused_is_disconnected_and_who_leaves_undecided_is_told_what_was_not_delivered() {
    let server = Server::start();
    let homes = [&TempDir::new().unwrap(), &TempDir::new().unwrap()];
    acquainted(&server, homes);
    let mut ana = start(&server, homes[0], "ana", &[]);
    let mut eve = start(&server, homes[1], "bo", &["--anonymous"]);
    let told = ana.event("short_string");
    eve.event("channel_open");
    eve.say(message("unheard"));
    eve.until_value("sent", |value| (value["state"] == "sent").then_some(()));
    ana.say(json!({"type": "refuse", "peer_id": told["peer_id"]}).to_string());
    ana.event("channel_closed");
    eve.event("channel_closed");
    assert!(ana.heard().contains(r#""outcome":"refused""#) || ana.event("decided")["outcome"] == "refused");
    // It is not heard when it is let in again either, as nothing was decided in its favour.
    ana.say(json!({"type": "connect", "peer_id": told["peer_id"]}).to_string());
    eve.event("channel_open");
    ana.event("channel_open");
    ana.say(message("unsaid"));
    ana.until_value("queued", |value| {
        (value["type"] == "receipt" && value["state"] == "queued").then_some(())
    });
    ana.end_input();
    let end = ana.end();
    assert_eq!(end.code, Some(4));
    let last: Value = serde_json::from_str(end.out.last().unwrap()).unwrap();
    assert_eq!(last["undelivered"][0]["peer_id"], told["peer_id"]);
    eve.end_input();
    assert_eq!(eve.end().code, Some(4), "its text was never taken");
}

#[test]
fn who_knew_a_code_is_remembered_by_it_and_can_be_forgotten() {
    let server = Server::start();
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let ana = Child::start("ana", join(&server, &here, "ana", &["--new"]).arg("--wait"));
    let code = ana.event("code")["code"].as_str().unwrap().to_owned();
    let bo = Child::start("bo", &mut join(&server, &there, "bo", &[&code]));
    for child in [&ana, &bo] {
        assert_eq!(child.event("identity")["state"], "new");
        child.event("channel_open");
    }
    leave(bo);
    leave(ana);
    let shown = identity(&here, &[]);
    assert_eq!(shown.code, Some(0));
    let listed = shown.out.join("\n");
    assert!(listed.starts_with("your identity key  ") && listed.contains("by a code  bo"), "{listed}");
    let ana = start(&server, &here, "ana", &[]);
    let bo = start(&server, &there, "bo", &[]);
    for child in [&ana, &bo] {
        let shown = child.event("identity");
        assert_eq!((&shown["state"], &shown["known"]["how"]), (&json!("known"), &json!("code")));
    }
    drop((ana, bo));
    assert_eq!(identity(&here, &["forget", "nobody"]).code, Some(2));
    let forgotten = identity(&here, &["forget", "BO"]);
    assert!(forgotten.code == Some(0) && forgotten.out[0].starts_with("forgotten: "), "{:?}", forgotten.out);
    assert_eq!(known_peers(&here), "");
}

#[test]
fn a_profile_that_cannot_be_used_is_an_error_that_says_what_to_do() {
    let server = Server::start();
    let home = TempDir::new().unwrap();
    assert_eq!(identity(&home, &["--profile", "../x"]).code, Some(2));
    assert_eq!(identity(&home, &[]).code, Some(0));
    let key = home.path().join("patchcord/default/identity_key");
    fs::write(&key, "damaged").unwrap();
    let end = Child::start("ana", join(&server, &home, "ana", &[]).arg("lobby")).end();
    let object: Value = serde_json::from_str(&end.out[0]).unwrap();
    assert_eq!((end.code, &object["code"]), (Some(1), &json!("identity")));
    assert!(end.err[0].contains("--anonymous"), "{:?}", end.err);
    assert_eq!(fs::read_to_string(&key).unwrap(), "damaged");
    drop(start(&server, &home, "ana", &["--anonymous"]));
    fs::write(home.path().join("patchcord/default/known_peers"), b"\xff").unwrap();
    let end = Child::start("ana", join(&server, &home, "ana", &["--anonymous"]).arg("lobby")).end();
    assert_eq!(end.code, Some(1));
    assert!(end.err[0].contains("known_peers") && end.err[0].contains("move it away"), "{:?}", end.err);
}
