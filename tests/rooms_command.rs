//! `patchcord rooms`: an operator looks into rooms, once and as they change.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/child.rs"]
mod child;
#[path = "support/tls.rs"]
mod tls;

use child::{Child, Server, program};
use serde_json::{Value, json};
use tls::TlsFront;

fn rooms(server: &Server, flags: &[&str]) -> Child {
    let mut command = program("patchcord");
    command.args(["rooms", "--admin", &server.admin]).args(flags);
    Child::start("rooms", &mut command)
}

#[test]
fn the_table_shows_who_is_in_which_room_and_what_went_through_it() {
    let server = Server::start();
    let ended = rooms(&server, &[]).end();
    assert_eq!((ended.out, ended.err, ended.code), (vec!["No rooms.".to_owned()], Vec::new(), Some(0)));

    let (_ada, ada_id) = server.json("lobby", "ada", &[]);
    let (bo, bo_id) = server.json("lobby", "bo", &[]);
    let (_cy, _) = server.json("attic", "cy", &[]);
    bo.event("channel_open");
    let ended = rooms(&server, &[]).end();
    let table: Vec<Vec<&str>> = ended.out.iter().map(|line| line.split_whitespace().collect()).collect();
    let first = |word: &str| table.iter().find(|row| row[0] == word).unwrap_or_else(|| panic!("{table:?}"));
    let lobby = first("lobby");
    assert_eq!((lobby[2], lobby[3], lobby[4]), ("2", "1", "1"), "two peers, an offer, an answer");
    assert_eq!(lobby[lobby.len() - 3..], ["1", "of", "1"]);
    assert_eq!(first("ada")[1..3], [&*ada_id, "attached"]);
    assert_eq!(first("bo")[1..3], [&*bo_id, "attached"]);
    assert_eq!(ended.out.last().unwrap(), "2 rooms, 3 peers");
    assert_eq!(ended.code, Some(0));
}

#[test]
fn rooms_are_told_as_json_and_by_prefix() {
    let server = Server::start();
    let (_ada, ada_id) = server.json("lobby", "ada", &[]);
    let (_bo, _) = server.json("attic", "bo", &[]);
    let ended = rooms(&server, &["--json", "--prefix", "lo"]).end();
    let [line] = &ended.out[..] else { panic!("{:?}", ended.out) };
    let room: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&room["v"], &room["type"], &room["name"]), (&json!(1), &json!("room"), &json!("lobby")));
    let peer = &room["peers"][0];
    assert_eq!((&peer["peer_id"], &peer["name"]), (&json!(ada_id), &json!("ada")));
    assert_eq!(peer["attached"], true);
    assert!(peer["user_agent"].as_str().unwrap().starts_with("patchcord/"), "{peer}");
    assert!(peer["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{peer}");
    assert_eq!(room["counters"]["offers"], 0);
}

#[test]
fn a_watch_tells_what_is_there_and_then_each_change() {
    let server = Server::start();
    let (_ada, ada_id) = server.json("lobby", "ada", &[]);
    let json = rooms(&server, &["--watch", "--json"]);
    let lines = rooms(&server, &["--watch"]);
    assert_eq!(json.event("room")["peers"][0]["peer_id"], *ada_id);
    json.event("synced");
    assert!(lines.hears("lobby: open with ada").contains(&ada_id));

    let (mut bo, bo_id) = server.json("attic", "bo", &[]);
    assert_eq!(json.event("room")["name"], "attic");
    lines.hears("attic: open with");
    let (mut cy, cy_id) = server.json("attic", "cy", &[]);
    let joined = json.until("cy", |line| {
        let change: Value = serde_json::from_str(line).unwrap();
        (change["type"] == "room_peer" && change["peer_id"] == *cy_id).then_some(change)
    });
    assert_eq!((&joined["room"], &joined["name"]), (&json!("attic"), &json!("cy")));
    lines.hears(&format!("attic: cy ({cy_id}) joined from 127.0.0.1:"));

    bo.end_input();
    let left = json.event("room_peer_left");
    assert_eq!((&left["peer_id"], &left["reason"]), (&json!(bo_id), &json!("left")));
    lines.hears(&format!("attic: bo ({bo_id}) is gone (left)"));
    cy.end_input();
    assert_eq!(json.event("room_closed")["room"], "attic");
    lines.hears("attic: closed");

    server.kill();
    for watch in [json, lines] {
        let ended = watch.end();
        assert_eq!((ended.code, ended.err.len()), (Some(3), 1), "{:?}", ended.err);
    }
}

#[test]
fn an_admin_door_behind_tls_is_used_once_its_authority_is_named() {
    let server = Server::start();
    let (_ada, _) = server.json("lobby", "ada", &[]);
    let front = TlsFront::start(&server.admin);
    let rooms = |flags: &[&str], variables: &[(&str, &str)]| {
        let mut command = program("patchcord");
        command.args(["rooms", "--admin", &front.url]).args(flags).envs(variables.iter().copied());
        Child::start("rooms", &mut command)
    };
    let ca_file = front.ca_file();
    let ca_file = ca_file.to_str().unwrap();
    let ended = rooms(&["--ca-file", ca_file], &[]).end();
    assert_eq!((ended.out.last().unwrap().as_str(), ended.code), ("1 room, 1 peer", Some(0)));
    let watch = rooms(&["--json", "--watch"], &[("PATCHCORD_CA_FILE", ca_file)]);
    assert_eq!(watch.event("room")["name"], "lobby");

    let untrusted = rooms(&[], &[]).end();
    assert_eq!((untrusted.out, untrusted.code), (Vec::new(), Some(3)));
    let [line] = &untrusted.err[..] else { panic!("{:?}", untrusted.err) };
    assert!(line.contains("no authority that this system trusts") && line.contains("--ca-file"), "{line}");
}

#[test]
fn a_server_that_is_not_there_is_one_clear_line() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = program("patchcord");
    let ended = Child::start("rooms", command.args(["rooms", "--admin", &nobody])).end();
    assert_eq!((ended.code, ended.out), (Some(3), Vec::new()));
    let [line] = &ended.err[..] else { panic!("{:?}", ended.err) };
    assert!(line.contains("is this its admin address?"), "{line}");
}
