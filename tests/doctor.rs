//! `patchcord doctor` before real servers: what works is told as working, and what does not with its reason and
//! what to do, also in the exit code.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/child.rs"]
mod child;
#[path = "support/coturn.rs"]
mod coturn;

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use child::{Server, program};
use coturn::{Coturn, SECRET};
use serde_json::Value;

/// What it says, one object a line, and its exit code.
struct Findings {
    lines: Vec<Value>,
    code: Option<i32>,
}

impl Findings {
    fn checks(&self, check: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["check"] == check).collect()
    }

    /// The only one about `check`.
    fn one(&self, check: &str) -> &Value {
        let [one] = self.checks(check)[..] else { panic!("{check}: {:#?}", self.lines) };
        one
    }

    /// `check` has that status, and its message or advice says `part`.
    fn says(&self, check: &str, status: &str, part: &str) {
        let one = self.one(check);
        assert_eq!(one["status"], status, "{one}");
        assert!(one.to_string().contains(part), "{one}");
        assert_eq!(
            one.get("advice").is_some(),
            status != "ok",
            "what is not ok comes with what to do: {one}"
        );
    }

    fn verdict(&self) -> (&str, Option<i32>) {
        let verdict = self.lines.last().unwrap();
        assert_eq!((&verdict["type"], &verdict["v"]), (&"verdict".into(), &1.into()));
        (verdict["status"].as_str().unwrap(), self.code)
    }
}

fn doctor(server: &str, flags: &[&str]) -> Findings {
    let mut command = program("patchcord");
    let output = command.args(["doctor", "--json", "--server", server]).args(flags).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Findings { lines, code: output.status.code() }
}

/// A switchboard that names these urls, with `PORT` and `TLS` those of `coturn`.
fn naming(coturn: &Coturn, stun: &str, turn: &str, secret: &str) -> Server {
    let ports = |urls: &str| {
        urls.replace("PORT", &coturn.port.to_string()).replace("TLS", &coturn.tls_port.to_string())
    };
    let (stun, turn) = (ports(stun), ports(turn));
    let mut flags = vec!["--turn-url", turn.as_str(), "--turn-secret", secret];
    if !stun.is_empty() {
        flags.extend(["--stun-url", &stun]);
    }
    Server::start_with(&flags)
}

const EVERY_WAY: &str =
    "turn:127.0.0.1:PORT?transport=udp,turn:127.0.0.1:PORT?transport=tcp,turns:localhost:TLS?transport=tcp";

#[test]
fn where_everything_works_everything_is_ok() {
    let coturn = Coturn::start(&[]);
    let server = naming(&coturn, "stun:127.0.0.1:PORT", EVERY_WAY, SECRET);
    let ca_file = coturn.ca_file();
    let found = doctor(&server.public, &["--ca-file", ca_file.to_str().unwrap()]);
    for check in ["dns", "tcp", "grpc", "signaling", "clock", "stun", "nat", "terminal"] {
        found.says(check, "ok", "");
    }
    found.says("clock", "ok", "agrees with the switchboard's; TURN credentials last ");
    found.says("nat", "ok", "none on the way");
    assert!(found.one("stun")["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    let turn = found.checks("turn");
    assert!(turn.iter().all(|check| check["status"] == "ok"), "{turn:#?}");
    for (check, over) in turn.iter().zip(["over UDP", "over TCP", "over TLS"]) {
        assert!(check["message"].as_str().unwrap().contains(over), "{check}");
    }
    assert_eq!((turn.len(), found.verdict()), (3, ("ok", Some(0))));
}

#[test]
fn nobody_is_disturbed_and_nothing_is_left_behind() {
    let coturn = Coturn::start(&["--verbose"]);
    let server = naming(&coturn, "", "turn:127.0.0.1:PORT", SECRET);
    let (ada, _) = server.json("lobby", "ada", &[]);
    assert_eq!(doctor(&server.public, &[]).verdict(), ("ok", Some(0)));
    coturn.logs("refreshed", "lifetime=0");
    let mut rooms = program("patchcord");
    let rooms = rooms.args(["rooms", "--json", "--admin", &server.admin]).output().unwrap();
    let rooms = String::from_utf8(rooms.stdout).unwrap();
    assert!(rooms.lines().count() == 1 && rooms.contains(r#""name":"lobby""#), "{rooms}");
    drop(server);
    assert_eq!(ada.event("signaling")["state"], "away", "the first that ada hears");
}

#[test]
fn a_wrong_secret_is_told_from_a_relay_that_is_not_there() {
    let coturn = Coturn::start(&[]);
    let server = naming(&coturn, "stun:127.0.0.1:PORT", "turn:127.0.0.1:PORT", "another secret");
    let found = doctor(&server.public, &[]);
    found.says("turn", "fail", "static-auth-secret");
    assert!(found.one("turn")["message"].as_str().unwrap().contains("401"));
    assert_eq!(found.verdict(), ("warn", Some(0)), "direct chats work");
    assert_eq!(doctor(&server.public, &["--relay-only"]).verdict(), ("fail", Some(1)));

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let urls = format!("turn:127.0.0.1:{closed}?transport=udp,turn:127.0.0.1:{closed}?transport=tcp");
    let server = naming(&coturn, "stun:127.0.0.1:PORT", &urls, SECRET);
    let found = doctor(&server.public, &[]);
    for check in found.checks("turn") {
        assert_eq!(check["status"], "fail", "{check}");
        assert!(check["message"].as_str().unwrap().contains("refused"), "{check}");
    }
    assert_eq!(found.checks("turn").len(), 2);
}

#[test]
fn a_relay_that_is_used_up_or_forbids_its_own_address_is_told_in_words() {
    let coturn = Coturn::start(&["--denied-peer-ip=127.0.0.1"]);
    let server = naming(&coturn, "", "turn:127.0.0.1:PORT", SECRET);
    let found = doctor(&server.public, &[]);
    found.says("turn", "warn", "allowed-peer-ip");
    assert_eq!(found.verdict(), ("ok", Some(0)));

    // coturn counts an allocation for a second after it was ended; several of its threads may each find room for one.
    let small = Coturn::start(&["--user-quota=1", "--relay-threads=1"]);
    let server = naming(&small, "", "turn:127.0.0.1:PORT,turn:127.0.0.1:PORT?transport=tcp", SECRET);
    let found = doctor(&server.public, &[]);
    let (works, used_up): (Vec<_>, Vec<_>) =
        found.checks("turn").into_iter().partition(|check| check["status"] == "ok");
    assert_eq!((works.len(), used_up.len()), (1, 1), "{:#?}", found.lines);
    let advice = used_up[0]["advice"].as_str().unwrap();
    assert!(advice.contains("quota") && used_up[0].to_string().contains("486"), "{:?}", used_up[0]);
}

#[test]
fn each_transport_is_judged_by_itself() {
    let no_udp = Coturn::start(&["--no-udp"]);
    let server = naming(&no_udp, "stun:127.0.0.1:PORT", EVERY_WAY, SECRET);
    let ca_file = no_udp.ca_file();
    let found = doctor(&server.public, &["--ca-file", ca_file.to_str().unwrap()]);
    let status = |check: &&Value| check["status"].as_str().unwrap().to_owned();
    assert_eq!(found.checks("turn").iter().map(status).collect::<Vec<_>>(), ["fail", "ok", "ok"]);
    found.says("stun", "fail", "UDP is blocked");
    found.says("nat", "warn", "cannot be known");
    assert_eq!(found.verdict(), ("ok", Some(0)), "the relay over TCP is enough");

    let untrusted = doctor(&server.public, &[]);
    let over_tls = untrusted.checks("turn")[2];
    assert_eq!(over_tls["status"], "fail");
    assert!(over_tls["advice"].as_str().unwrap().contains("--ca-file"), "{over_tls}");
}

#[test]
fn a_name_that_is_not_known_and_a_closed_port_are_told() {
    let found = doctor("host.invalid", &[]);
    found.says("dns", "fail", "host.invalid: the name is not known");
    assert_eq!((found.checks("tcp").len(), found.verdict()), (0, ("fail", Some(1))));

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let found = doctor(&closed, &[]);
    found.says("tcp", "fail", "is it running");
    assert_eq!((found.checks("grpc").len(), found.verdict()), (0, ("fail", Some(1))));
}

#[test]
fn a_server_that_speaks_something_else_or_nothing_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let web = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            });
        }
    });
    let found = doctor(&web, &[]);
    found.says("grpc", "fail", "another program");
    assert_eq!(found.verdict(), ("fail", Some(1)));

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let found = doctor(&silent.local_addr().unwrap().to_string(), &[]);
    found.says("grpc", "fail", "says nothing");

    let server = Server::start();
    let found = doctor(&format!("https://{}", server.public), &[]);
    found.says("tls", "fail", "write http://");
    let admin = doctor(&server.admin, &[]);
    admin.says("signaling", "fail", "admin door");
    assert_eq!(admin.verdict(), ("fail", Some(1)));
}

#[test]
fn without_stun_and_turn_a_chat_works_in_this_network() {
    let server = Server::start();
    let found = doctor(&server.public, &[]);
    found.says("stun", "warn", "PATCHCORD_STUN_URL");
    found.says("turn", "warn", "PATCHCORD_TURN_URL");
    assert_eq!((found.checks("nat").len(), found.verdict()), (0, ("warn", Some(0))));
}

#[test]
fn servers_of_ones_own_are_looked_into_also_where_the_switchboard_is_away() {
    let coturn = Coturn::start(&[]);
    let stun = format!("stun:127.0.0.1:{}", coturn.port);
    let found = doctor("host.invalid", &["--ice-server", &stun]);
    found.says("stun", "ok", &stun);
    assert_eq!(found.verdict(), ("fail", Some(1)));
}

#[test]
fn for_people_each_check_is_a_line_and_what_to_do_stands_under_it() {
    let server = Server::start();
    let output = program("patchcord").args(["doctor", "--server", &server.public]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("ok   dns       127.0.0.1 is an address\nok   tcp       "), "{text}");
    assert!(
        text.contains("\nwarn turn      no TURN server is named\n               Where no direct"),
        "{text}"
    );
    let last = text.lines().rev().nth(1).unwrap();
    assert!(last.starts_with("warn chat      a chat will work within this network"), "{text}");
    assert_eq!(output.status.code(), Some(0));
}
