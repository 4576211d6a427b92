//! An operator with nothing but grpcurl: looks at both doors, into rooms, watches them, and acts on them.
//! grpcurl is also the peer here: its stdin is the request half of a Signal stream.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/child.rs"]
mod child;

use std::process::Command;

use child::{Child, Server};
use serde_json::{Value, json};

const ROOMS: &str = "patchcord.v1.RoomService";
const SIGNALING: &str = "patchcord.v1.SignalingService";
const HEALTH: &str = "grpc.health.v1.Health";

fn grpcurl(arguments: &[&str]) -> Command {
    let program = std::env::var("GRPCURL").unwrap_or_else(|_| "grpcurl".into());
    let found = Command::new(&program).arg("-version").output();
    assert!(
        found.is_ok(),
        "{program} is not there; scripts/test installs it, or see https://github.com/fullstorydev/grpcurl and set GRPCURL"
    );
    let mut command = Command::new(program);
    command.args(["-plaintext", "-max-time", "60"]).args(arguments);
    command
}

/// What grpcurl prints, or its complaint.
fn run(arguments: &[&str]) -> Result<String, String> {
    let output = grpcurl(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn call(address: &str, method: &str, request: Value) -> Result<Value, String> {
    run(&["-d", &request.to_string(), address, method]).map(|answer| serde_json::from_str(&answer).unwrap())
}

/// A peer in a room, and its id.
fn join(server: &Server, room: &str, name: &str) -> (Child, String) {
    let mut peer =
        Child::start(name, &mut grpcurl(&["-d", "@", &server.public, &format!("{SIGNALING}/Signal")]));
    let join = json!({"room": room, "displayName": name, "userAgent": "grpcurl"});
    peer.say(json!({"seq": 1, "join": join}).to_string());
    let id = peer.until_value("joined", |response| response["joined"]["peerId"].as_str().map(str::to_owned));
    (peer, id)
}

#[test]
fn each_door_lists_its_own_services() {
    let server = Server::start();
    let public = run(&[&server.public, "list"]).unwrap();
    let admin = run(&[&server.admin, "list"]).unwrap();

    assert!(public.lines().any(|service| service == SIGNALING), "{public}");
    assert!(public.lines().any(|service| service == HEALTH), "{public}");
    assert!(!public.contains("RoomService"), "{public}");
    assert!(admin.lines().any(|service| service == ROOMS), "{admin}");
    assert!(admin.lines().any(|service| service == HEALTH), "{admin}");
    assert!(!admin.contains("SignalingService"), "{admin}");

    let methods = run(&[&server.admin, "list", ROOMS]).unwrap();
    let expected = ["CloseRoom", "GetRoom", "ListRooms", "RemovePeer", "RevokeToken", "WatchRooms"];
    assert_eq!(methods.lines().collect::<Vec<_>>(), expected.map(|method| format!("{ROOMS}.{method}")));
    let described = run(&[&server.admin, "describe", &format!("{ROOMS}.WatchRooms")]).unwrap();
    assert!(described.contains("returns ( stream .patchcord.v1.WatchRoomsResponse )"), "{described}");
    let message = run(&[&server.public, "describe", "patchcord.v1.SignalRequest"]).unwrap();
    assert!(message.contains("oneof message"), "{message}");
}

#[test]
fn the_public_door_does_not_serve_rooms_even_to_those_who_know_the_contract() {
    let server = Server::start();
    let proto = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let method = format!("{ROOMS}/ListRooms");
    let known = ["-import-path", proto, "-proto", "patchcord/v1/rooms.proto"];

    let refused = run(&[&known[..], &[&server.public, &method]].concat()).unwrap_err();
    assert!(refused.contains("Unimplemented"), "{refused}");
    run(&[&known[..], &[&server.admin, &method]].concat()).unwrap();
}

#[test]
fn both_doors_tell_their_health() {
    let server = Server::start();
    let check =
        |address: &str, service: &str| call(address, &format!("{HEALTH}/Check"), json!({"service": service}));
    for (address, service) in [(&server.public, SIGNALING), (&server.admin, ROOMS)] {
        assert_eq!(check(address, "").unwrap(), json!({"status": "SERVING"}));
        assert_eq!(check(address, service).unwrap(), json!({"status": "SERVING"}));
        let unknown = check(address, "patchcord.v1.NoSuchService").unwrap_err();
        assert!(unknown.contains("NotFound"), "{unknown}");
    }
}

#[test]
fn rooms_are_listed_in_pages_and_shown_with_their_peers() {
    let server = Server::start();
    let list = |request| call(&server.admin, &format!("{ROOMS}/ListRooms"), request).unwrap();
    assert_eq!(list(json!({})), json!({}));

    let (_alice, alice) = join(&server, "lobby", "Alice");
    let (_bob, bob) = join(&server, "lobby", "Bob");
    let (_carol, _) = join(&server, "attic", "Carol");

    let first = list(json!({"pageSize": 1}));
    assert_eq!((&first["rooms"][0]["name"], &first["totalRooms"]), (&json!("attic"), &json!(2)));
    let second = list(json!({"pageSize": 1, "pageToken": first["nextPageToken"]}));
    assert_eq!((&second["rooms"][0]["name"], &second["nextPageToken"]), (&json!("lobby"), &Value::Null));
    assert_eq!(list(json!({"namePrefix": "lob"}))["rooms"].as_array().unwrap().len(), 1);

    let room = call(&server.admin, &format!("{ROOMS}/GetRoom"), json!({"name": "lobby"})).unwrap();
    let peers = room["room"]["peers"].as_array().unwrap();
    let ids: Vec<_> = peers.iter().map(|peer| peer["peerId"].as_str().unwrap()).collect();
    assert_eq!(ids, [&*alice, &*bob], "in the order of joining");
    assert_eq!(peers[1]["displayName"], "Bob");
    assert_eq!(peers[1]["userAgent"], "grpcurl");
    assert_eq!(peers[1]["state"], "PEER_STATE_ATTACHED");
    assert!(peers[1]["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{peers:?}");
    assert!(room["room"]["createdAt"].is_string() && room["room"]["age"].is_string(), "{room}");
}

#[test]
fn counters_show_what_was_relayed() {
    let server = Server::start();
    let (alice, alice_id) = join(&server, "lobby", "Alice");
    let (mut bob, bob_id) = join(&server, "lobby", "Bob");
    bob.say(json!({"seq": 2, "offer": {"toPeerId": alice_id, "sdp": "v=0"}}).to_string());
    let from =
        alice.until_value("offer", |response| response["offer"]["fromPeerId"].as_str().map(str::to_owned));
    assert_eq!(from, bob_id);

    let room = call(&server.admin, &format!("{ROOMS}/GetRoom"), json!({"name": "lobby"})).unwrap();
    assert_eq!(room["room"]["counters"]["offers"], "1");
    assert_eq!(room["room"]["counters"]["negotiationsBegun"], "1");
}

#[test]
fn a_watch_sees_what_is_there_and_then_what_changes() {
    let server = Server::start();
    let (_alice, alice) = join(&server, "lobby", "Alice");
    let mut watch = grpcurl(&["-d", "{}", &server.admin, &format!("{ROOMS}/WatchRooms")]);
    let watch = Child::start("watch", &mut watch);
    let there = watch.until_value("opened", |change| Some(change["opened"].clone()));
    assert_eq!(there["room"]["peers"][0]["peerId"], *alice);
    watch.until_value("synced", |change| change.get("synced").cloned());

    let (mut bob, bob_id) = join(&server, "lobby", "Bob");
    let joined = watch.until_value("joined", |change| change.get("joined").cloned());
    assert_eq!((&joined["roomName"], &joined["peer"]["peerId"]), (&json!("lobby"), &json!(bob_id)));
    bob.end_input();
    let left = watch.until_value("left", |change| change.get("left").cloned());
    assert_eq!((&left["peerId"], &left["reason"]), (&json!(bob_id), &json!("LEAVE_REASON_LEFT")));
}

#[test]
fn a_removed_peer_is_told_and_gone() {
    let server = Server::start();
    let (alice, _) = join(&server, "lobby", "Alice");
    let (mut bob, bob_id) = join(&server, "lobby", "Bob");
    let remove = |peer_id: &str| {
        let request = json!({"roomName": "lobby", "peerId": peer_id, "message": "be nice"});
        call(&server.admin, &format!("{ROOMS}/RemovePeer"), request)
    };

    assert_eq!(remove(&bob_id).unwrap(), json!({}));
    let go_away = bob.until_value("go away", |response| response.get("goAway").cloned());
    assert_eq!((&go_away["action"], &go_away["message"]), (&json!("ACTION_STOP"), &json!("be nice")));
    // grpcurl shows the status of a stream when its own input is over.
    bob.end_input();
    bob.until_status("status", |line| line.contains("Aborted").then_some(()));
    let left = alice.until_value("left", |response| response.get("peerLeft").cloned());
    assert_eq!((&left["peerId"], &left["reason"]), (&json!(bob_id), &json!("LEAVE_REASON_REMOVED")));
    let again = remove(&bob_id).unwrap_err();
    assert!(again.contains("NotFound"), "{again}");
}

#[test]
fn a_closed_room_is_empty_and_gone() {
    let server = Server::start();
    let (alice, _) = join(&server, "lobby", "Alice");
    let (bob, _) = join(&server, "lobby", "Bob");

    let closed = call(&server.admin, &format!("{ROOMS}/CloseRoom"), json!({"name": "lobby"})).unwrap();
    assert_eq!(closed, json!({"peersRemoved": 2}));
    for mut peer in [alice, bob] {
        let reason = peer.until_value("go away", |response| {
            response.get("goAway").map(|go_away| go_away["reason"].clone())
        });
        assert_eq!(reason, "LEAVE_REASON_ROOM_CLOSED");
        peer.end_input();
        assert_ne!(peer.end().code, Some(0), "the stream ended with an error status");
    }
    let gone = call(&server.admin, &format!("{ROOMS}/GetRoom"), json!({"name": "lobby"})).unwrap_err();
    assert!(gone.contains("NotFound"), "{gone}");
}

#[test]
fn an_operator_makes_tokens_lets_in_by_them_and_takes_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let keys = keys.to_str().unwrap();
    let tool = |arguments: &[&str]| {
        let output = child::program("patchcord-server").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    tool(&["key", "--kid", "north", "--file", keys]);
    let token = tool(&["token", "--key-file", keys, "--room", "lobby", "--ttl", "10m", "--sub", "ana"]);
    let server = Server::start_with(&["--token-keys-file", keys]);
    let mut peer =
        Child::start("ana", &mut grpcurl(&["-d", "@", &server.public, &format!("{SIGNALING}/Signal")]));
    let join = json!({"room": "lobby", "displayName": "ana"});
    peer.say(json!({"seq": 1, "join": join}).to_string());
    let rejected = peer.until_value("rejected", |response| response.get("rejected").cloned());
    assert_eq!((&rejected["code"], &rejected["reason"]), (&json!("CODE_NOT_PERMITTED"), &json!("missing")));
    let join = json!({"room": "lobby", "displayName": "ana", "accessToken": token});
    peer.say(json!({"seq": 2, "join": join}).to_string());
    let joined = peer.until_value("joined", |response| response.get("joined").cloned());
    assert_eq!(joined["permissions"], json!(["join", "create", "send", "turn"]));
    let room = call(&server.admin, &format!("{ROOMS}/GetRoom"), json!({"name": "lobby"})).unwrap();
    assert_eq!(room["room"]["peers"][0]["subject"], "ana");
    let token_id = &room["room"]["peers"][0]["tokenId"];
    let revoked =
        call(&server.admin, &format!("{ROOMS}/RevokeToken"), json!({"token_id": token_id})).unwrap();
    assert_eq!(revoked["sessionsEnded"], 1);
    peer.until_value("goAway", |response| response.get("goAway").cloned());
}
