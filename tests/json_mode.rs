//! Two programs chat through `patchcord join --json`: everything arrives once, in order and with receipts, also
//! when both connect at once and when the server dies.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/child.rs"]
mod child;

use std::{collections::HashMap, io::Write, process::ChildStdin};

use child::{Child, Server, message};
use serde_json::{Value, json};

/// Two clients in a room with an open channel between them, and their ids.
fn pair(server: &Server, room: &str) -> [(Child, String); 2] {
    let (ada, ada_id) = server.json(room, "ada", &[]);
    let (bo, bo_id) = server.json(room, "bo", &[]);
    assert_eq!(ada.event("channel_open")["peer_id"], *bo_id);
    assert_eq!(bo.event("channel_open")["peer_id"], *ada_id);
    [(ada, ada_id), (bo, bo_id)]
}

/// Ends the input of each and expects that nothing is left to be said about it.
fn part<const N: usize>(clients: [Child; N]) {
    for mut client in clients {
        client.end_input();
        let ended = client.end();
        let last: Value = serde_json::from_str(ended.out.last().unwrap()).unwrap();
        assert_eq!(last, json!({"v": 1, "type": "ended", "reason": "left", "undelivered": []}));
        assert_eq!((ended.code, ended.err), (Some(0), Vec::new()));
    }
}

fn write_numbered(mut input: ChildStdin, who: &str, count: usize) -> std::thread::JoinHandle<ChildStdin> {
    let lines: Vec<String> = (0..count)
        .map(
            |number| json!({"type": "message", "text": format!("{who} {number}"), "ref": number.to_string()}),
        )
        .map(|line| format!("{line}\n"))
        .collect();
    std::thread::spawn(move || {
        lines.iter().for_each(|line| input.write_all(line.as_bytes()).unwrap());
        input
    })
}

/// Reads until `count` messages of `from` and the receipts of as many of our own are in, and checks each.
fn expect_numbered(client: &Child, (from, from_id): (&str, &str), count: usize) {
    let (mut messages, mut accepted, mut delivered) = (0, 0, 0);
    let mut states: HashMap<u64, Vec<String>> = HashMap::new();
    while messages < count || delivered < count {
        let object = client.object();
        assert_eq!(object["v"], 1);
        match object["type"].as_str().unwrap() {
            "message" => {
                assert_eq!(object["text"], format!("{from} {messages}"), "once and in order");
                assert_eq!((&object["peer_id"], &object["name"]), (&json!(from_id), &json!(from)));
                messages += 1;
            }
            "accepted" => {
                assert_eq!(object["ref"], accepted.to_string());
                assert!(states.insert(object["id"].as_u64().unwrap(), Vec::new()).is_none());
                accepted += 1;
            }
            "receipt" => {
                let id = object["id"].as_u64().unwrap();
                let so_far = states.get_mut(&id).expect("a receipt comes after its accepted");
                so_far.push(object["state"].as_str().unwrap().to_owned());
                delivered += usize::from(object["state"] == "delivered");
            }
            "connection" => assert_eq!(object["state"], "connected"),
            // What becomes of the server comes on a way of its own, and the string takes a round trip of its own.
            "signaling" | "peer_updated" | "short_string" => {}
            _ => panic!("unexpected {object}"),
        }
    }
    assert_eq!(accepted, count);
    for (id, states) in states {
        assert_eq!(states, ["queued", "sent", "delivered"], "message {id}");
    }
}

fn chat_numbered([(ada, ada_id), (bo, bo_id)]: &mut [(Child, String); 2], count: usize) {
    let writers =
        [write_numbered(ada.take_input(), "ada", count), write_numbered(bo.take_input(), "bo", count)];
    expect_numbered(ada, ("bo", bo_id), count);
    expect_numbered(bo, ("ada", ada_id), count);
    writers.into_iter().for_each(|writer| drop(writer.join().unwrap()));
}

#[test]
fn a_thousand_messages_each_way_arrive_once_in_order_with_receipts() {
    let server = Server::start();
    let mut clients = pair(&server, "lobby");
    chat_numbered(&mut clients, 1000);
    part(clients.map(|(client, _)| client));
}

#[test]
fn a_chat_goes_on_without_the_server() {
    let server = Server::start();
    let mut clients = pair(&server, "lobby");
    server.kill();
    for (client, _) in &clients {
        assert_eq!(client.event("signaling")["state"], "away");
    }
    chat_numbered(&mut clients, 100);
    part(clients.map(|(client, _)| client));
}

#[test]
fn peers_that_wait_and_connect_at_once_get_one_channel() {
    let server = Server::start();
    for round in 0..10 {
        let room = format!("lobby {round}");
        let (mut ada, ada_id) = server.json(&room, "ada", &["--wait"]);
        let (mut bo, bo_id) = server.json(&room, "bo", &["--wait"]);
        ada.event("peer_joined");
        ada.say(json!({"type": "connect", "peer_id": bo_id}).to_string());
        bo.say(json!({"type": "connect", "peer_id": ada_id}).to_string());
        ada.event("channel_open");
        bo.event("channel_open");
        ada.say(message("from ada"));
        bo.say(message("from bo"));
        for (client, text) in [(&ada, "from bo"), (&bo, "from ada")] {
            let mut heard = 0;
            let mut delivered = false;
            while heard == 0 || !delivered {
                let object = client.object();
                assert_ne!(object["type"], "channel_open", "there is one channel");
                assert_ne!(object["type"], "channel_closed", "and it stays");
                heard += usize::from(object["text"] == text);
                delivered |= object["state"] == "delivered";
            }
            assert_eq!(heard, 1);
        }
        part([ada, bo]);
    }
}

#[test]
fn nobody_connects_under_wait_until_told() {
    let server = Server::start();
    let (mut ada, _) = server.json("lobby", "ada", &["--wait"]);
    let (mut bo, bo_id) = server.json("lobby", "bo", &["--wait"]);
    ada.event("peer_joined");
    ada.say(message("early"));
    assert_eq!(ada.event("receipt")["state"], "queued");
    // The answer to a later request comes after whatever the earlier one set off.
    ada.say(json!({"type": "connect", "peer_id": "nobody"}).to_string());
    ada.until("the refusal", |line| {
        assert!(!line.contains("connecting"), "{line}");
        line.contains("no_such_peer").then_some(())
    });
    ada.say(json!({"type": "connect", "peer_id": bo_id}).to_string());
    assert_eq!(bo.event("message")["text"], "early");
    ada.end_input();
    bo.end_input();
    assert_eq!((ada.end().code, bo.end().code), (Some(0), Some(0)));
}

#[test]
fn garbage_is_answered_with_a_code_and_the_session_goes_on() {
    let server = Server::start();
    let [(mut ada, _), (bo, _)] = pair(&server, "lobby");
    let long = vec![b'x'; 1024 * 1024 + 1];
    let cases: [(&[u8], &str); 8] = [
        (b"hello", "invalid_json"),
        (b"", "invalid_json"),
        (b"[]", "invalid_request"),
        (br#"{"type":"message"}"#, "invalid_request"),
        (br#"{"type":"dance"}"#, "unknown_type"),
        (br#"{"v":2,"type":"leave"}"#, "unsupported_version"),
        (b"{\"type\":\"\xff\"}", "not_utf8"),
        (&long, "line_too_long"),
    ];
    for (line, code) in cases {
        ada.say(line);
        assert_eq!(ada.event("error")["code"], code);
    }
    ada.say(json!({"type": "message", "text": "x".repeat(15 * 1024 + 1), "ref": "long"}).to_string());
    let error = ada.event("error");
    assert_eq!((&error["code"], &error["ref"]), (&json!("too_long"), &json!("long")));
    ada.say(message("still here"));
    assert_eq!(bo.event("message")["text"], "still here");
    ada.end_input();
    assert_eq!(ada.end().code, Some(4), "not every line was understood");
    part([bo]);
}

#[test]
fn hostile_text_arrives_whole_and_is_written_as_escapes() {
    let server = Server::start();
    let [(mut ada, _), (bo, _)] = pair(&server, "lobby");
    let hostile = "\u{1b}[2J\u{9b}31m\r\n\u{202e}\u{200b}\u{0}\u{7f} päivää 🙂";
    ada.say(message(hostile));
    let line = bo.until("message", |line| line.contains(r#""type":"message""#).then(|| line.to_owned()));
    assert!(line.contains("päivää 🙂"), "{line}");
    assert!(!line.chars().any(|c| c.is_control() || "\u{202e}\u{200b}".contains(c)), "{line:?}");
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["text"], hostile);
    part([ada, bo]);
}

#[test]
fn a_message_can_go_to_one_peer_alone_and_be_an_action() {
    let server = Server::start();
    let [(mut ada, _), (bo, bo_id)] = pair(&server, "lobby");
    let (cy, _) = server.json("lobby", "cy", &[]);
    for _ in 0..2 {
        cy.event("channel_open");
    }
    ada.say(json!({"type": "message", "text": "psst", "to": bo_id}).to_string());
    ada.say(json!({"type": "message", "text": "waves", "kind": "action"}).to_string());
    let direct = bo.event("message");
    assert_eq!((&direct["text"], &direct["direct"]), (&json!("psst"), &json!(true)));
    for client in [&bo, &cy] {
        let waves = client.event("message");
        assert_eq!((&waves["text"], &waves["direct"]), (&json!("waves"), &json!(false)));
        assert_eq!(waves["kind"], "action");
    }
}

#[test]
fn a_new_name_is_told_to_the_others() {
    let server = Server::start();
    let [(mut ada, ada_id), (bo, _)] = pair(&server, "lobby");
    ada.say(json!({"type": "rename", "name": "countess"}).to_string());
    let updated = bo.event("peer_updated");
    assert_eq!((&updated["peer_id"], &updated["name"]), (&json!(ada_id), &json!("countess")));
    ada.say(message("hi"));
    assert_eq!(bo.event("message")["name"], "countess");
    ada.say(json!({"type": "rename", "name": ""}).to_string());
    assert_eq!(ada.event("error")["code"], "empty");
}

#[test]
fn a_text_to_nobody_is_refused_by_its_name() {
    let server = Server::start();
    let (mut ada, _) = server.json("lobby", "ada", &[]);
    ada.say(json!({"type": "message", "text": "hello?", "ref": "first"}).to_string());
    let error = ada.event("error");
    assert_eq!((&error["code"], &error["ref"]), (&json!("nobody_here"), &json!("first")));
    ada.end_input();
    assert_eq!(ada.end().code, Some(4));
}

#[test]
fn what_is_written_before_the_end_of_input_is_delivered() {
    let server = Server::start();
    let (ada, _) = server.json("lobby", "ada", &[]);
    let mut bo = Child::start("bo", server.join("lobby", "bo", &[]).arg("--json"));
    (0..50).for_each(|number| bo.say(message(&number.to_string())));
    bo.end_input();
    for number in 0..50 {
        assert_eq!(ada.event("message")["text"], number.to_string());
    }
    assert_eq!(ada.event("peer_left")["reason"], "left");
    assert_eq!(bo.end().code, Some(0));
}

#[test]
fn what_cannot_be_delivered_any_more_is_listed_and_told_by_the_exit_code() {
    let server = Server::start();
    let (mut ada, ada_id) = server.json("lobby", "ada", &["--wait"]);
    let (mut bo, _) = server.json("lobby", "bo", &["--wait"]);
    bo.say(message("into the void"));
    assert_eq!(bo.event("receipt")["state"], "queued");
    bo.end_input();
    ada.end_input();
    assert_eq!(ada.end().code, Some(0));
    assert_eq!(bo.event("error")["code"], "undelivered");
    assert_eq!(bo.event("ended")["undelivered"], json!([{"id": 1, "peer_id": ada_id}]));
    assert_eq!(bo.end().code, Some(4));
}

#[test]
fn a_signal_ends_the_session_in_order() {
    let server = Server::start();
    for (signal, reason, code) in
        [("TERM", "terminated", 143), ("INT", "interrupted", 130), ("HUP", "hangup", 129)]
    {
        let [(ada, _), (bo, bo_id)] = pair(&server, signal);
        bo.signal(signal);
        assert_eq!(bo.event("ended")["reason"], reason);
        assert_eq!(bo.end().code, Some(code));
        let left = ada.event("peer_left");
        assert_eq!((&left["peer_id"], &left["reason"]), (&json!(bo_id), &json!("left")));
    }
}

/// A client that leaves and waits for a peer that does not answer: nothing that is written reaches it.
fn leaving_in_vain(server: &Server) -> (Child, Child, String) {
    let (ada, ada_id) = server.json("lobby", "ada", &[]);
    ada.signal("STOP");
    let (mut bo, bo_id) = server.json("lobby", "bo", &[]);
    bo.say(message("are you there?"));
    assert_eq!(bo.event("receipt")["peer_id"], *ada_id);
    bo.end_input();
    (ada, bo, bo_id)
}

#[test]
fn a_removal_while_leaving_is_no_success() {
    let server = Server::start();
    let (_ada, bo, bo_id) = leaving_in_vain(&server);
    server.remove_peer("lobby", &bo_id, "be nice");
    let ended = bo.event("ended");
    assert_eq!((&ended["reason"], &ended["message"]), (&json!("removed"), &json!("be nice")));
    assert_eq!(ended["undelivered"][0]["id"], 1);
    assert_eq!(bo.end().code, Some(6));
}

#[test]
fn the_first_signal_after_the_end_of_input_lets_leaving_go_on() {
    let server = Server::start();
    let (ada, bo, bo_id) = leaving_in_vain(&server);
    bo.signal("TERM");
    ada.signal("CONT");
    assert_eq!(ada.event("message")["text"], "are you there?");
    let left = ada.event("peer_left");
    assert_eq!((&left["peer_id"], &left["reason"]), (&json!(bo_id), &json!("left")));
    let ended = bo.event("ended");
    assert_eq!((&ended["reason"], &ended["undelivered"]), (&json!("terminated"), &json!([])));
    assert_eq!(bo.end().code, Some(143));
}

#[test]
fn a_closed_output_ends_the_session_in_order() {
    let server = Server::start();
    let (mut ada, _) = server.json("lobby", "ada", &[]);
    let mut bo = Child::start_unread("bo", server.join("lobby", "bo", &[]).arg("--json"));
    ada.event("channel_open");
    bo.close_output();
    ada.say(message("is anybody reading?"));
    assert_eq!(ada.event("peer_left")["reason"], "left");
    assert_eq!(bo.end().code, Some(0));
}

#[test]
fn output_that_nobody_reads_holds_up_the_sender_and_loses_nothing() {
    const COUNT: usize = 3000;
    let server = Server::start();
    let (mut ada, _) = server.json("lobby", "ada", &[]);
    let mut bo = Child::start_unread("bo", server.join("lobby", "bo", &[]).arg("--json"));
    ada.event("channel_open");
    let mut input = ada.take_input();
    let writer = std::thread::spawn(move || {
        for number in 0..COUNT {
            let text = format!("{number} {}", "x".repeat(4000));
            writeln!(input, "{}", message(&text)).unwrap();
        }
        input
    });
    // More than the reader's pipe holds, and as many as wait for a peer.
    (0..1000).for_each(|_| drop(ada.event("accepted")));
    bo.read();
    for number in 0..COUNT {
        let heard = bo.event("message");
        assert!(heard["text"].as_str().unwrap().starts_with(&format!("{number} ")), "{heard}");
    }
    drop(writer.join().unwrap());
    bo.end_input();
    assert_eq!((ada.end().code, bo.end().code), (Some(0), Some(0)));
}

#[test]
fn a_room_that_cannot_be_joined_is_one_error_and_an_exit_code() {
    let server = Server::start();
    let mut refused = server.join(" ", "ada", &["--json"]);
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut unreachable = child::program("patchcord");
    unreachable.args(["join", "lobby", "--json", "--server", &away.to_string()]);
    for (command, code) in [(&mut refused, "refused"), (&mut unreachable, "unreachable")] {
        let ended = Child::start(code, command).end();
        assert_eq!(ended.code, Some(3));
        let [line] = &ended.out[..] else { panic!("{:?}", ended.out) };
        assert_eq!(serde_json::from_str::<Value>(line).unwrap()["code"], code);
        assert_eq!(ended.err.len(), 1, "{:?}", ended.err);
    }
}
