//! A server with TLS, keys and client certificates, as people and operators meet it: with `patchcord` and with grpcurl.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/child.rs"]
mod child;

use std::process::Command;

use authority::Authority;
use child::{Child, Ended, Server, message, program};

const ROOMS: &str = "patchcord.v1.RoomService";
const KEY: &str = "a-key-of-an-operator";

fn start(authority: &Authority, flags: &[&str]) -> Server {
    authority.install("server");
    let tls = authority.flags();
    Server::start_with(&[&tls.each_ref().map(String::as_str)[..], flags].concat())
}

fn grpcurl(arguments: &[&str]) -> Result<String, String> {
    let program = std::env::var("GRPCURL").unwrap_or_else(|_| "grpcurl".into());
    let output = Command::new(program).args(["-max-time", "60"]).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let shortened = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    if output.status.success() { Ok(shortened(text(output.stdout))) } else { Err(text(output.stderr)) }
}

fn patchcord(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = program("patchcord");
    let mut child = Child::start("patchcord", command.args(arguments).envs(variables.iter().copied()));
    child.end_input();
    child.end()
}

/// The only line on stderr.
fn complaint(ended: &Ended) -> &str {
    let [line] = &ended.err[..] else { panic!("{:?}", ended.err) };
    line
}

#[test]
fn people_chat_over_tls_once_they_trust_its_authority() {
    let authority = Authority::new();
    let server = start(&authority, &[]);
    let url = format!("https://{}", server.public);
    let ca = authority.path("ca.pem");
    let join = |name: &str| {
        let mut command = program("patchcord");
        command.args(["join", "lobby", "--server", &url, "--name", name, "--json", "--ca-file", &ca]);
        let child = Child::start(name, command.args(["--local-address", "127.0.0.1"]));
        child.event("joined");
        child
    };
    let (mut ana, bo) = (join("ana"), join("bo"));
    bo.event("channel_open");
    ana.event("channel_open");
    ana.say(message("hello"));
    assert_eq!(bo.event("message")["text"], "hello");

    let stranger = patchcord(&["join", "lobby", "--server", &url, "--plain"], &[]);
    assert_eq!(stranger.code, Some(3));
    assert!(complaint(&stranger).contains("(--ca-file PATH)"), "{}", complaint(&stranger));
    let plain = patchcord(&["join", "lobby", "--server", &server.public, "--plain"], &[]);
    assert_eq!(plain.code, Some(3));
    assert!(complaint(&plain).contains("it speaks TLS only: write https://"), "{}", complaint(&plain));
    let looked = patchcord(&["doctor", "--server", &server.public, "--local-address", "127.0.0.1"], &[]);
    let told = looked.out.join("\n");
    assert!(told.contains("it speaks TLS only") && told.contains("has to begin with https://"), "{told}");
}

#[test]
fn a_server_that_asks_for_certificates_says_so_and_doctor_too() {
    let authority = Authority::new();
    authority.install("ana");
    let (ca, cert, key) = (authority.path("ca.pem"), authority.path("ana.pem"), authority.path("ana.key"));
    let server = start(&authority, &["--client-ca", &ca]);
    let url = format!("https://{}", server.public);
    let doctor = |flags: &[&str]| {
        let route = ["--ca-file", &ca, "--local-address", "127.0.0.1"];
        let ended = patchcord(&[&["doctor", "--server", &url][..], &route, flags].concat(), &[]);
        ended.out.join("\n")
    };
    let shown = ["--client-cert", &cert, "--client-key", &key];
    let told = doctor(&shown);
    assert!(told.contains("the certificate is trusted"), "{told}");
    let told = doctor(&[]);
    assert!(told.contains("asks for a certificate of yours") && told.contains("--client-cert"), "{told}");

    let place = ["join", "lobby", "--server", &url, "--ca-file", &ca, "--plain"];
    let refused = patchcord(&place, &[]);
    assert_eq!(refused.code, Some(3));
    let line = complaint(&refused);
    assert!(
        line.contains("certificate of yours") && line.contains("(--client-cert PATH --client-key PATH)"),
        "{line}"
    );
    let welcome = patchcord(&place, &[("PATCHCORD_CLIENT_CERT", &cert), ("PATCHCORD_CLIENT_KEY", &key)]);
    assert_eq!(welcome.code, Some(0), "{:?}", welcome.err);
    let half = patchcord(&[&place[..], &shown[..2]].concat(), &[]);
    assert_eq!(half.code, Some(2));
    let mixed = patchcord(&[&place[..], &["--client-cert", &cert, "--client-key", &ca]].concat(), &[]);
    assert_eq!(mixed.code, Some(2));
    assert!(complaint(&mixed).contains("no private key"), "{}", complaint(&mixed));
}

#[test]
fn operators_look_in_with_a_key_over_tls() {
    let authority = Authority::new();
    authority.write("key", &format!("{KEY}\n"));
    let (ca, key_file) = (authority.path("ca.pem"), authority.path("key"));
    let server = start(&authority, &["--admin-token-file", &key_file]);
    let (bearer, method) = (format!("authorization: Bearer {KEY}"), format!("{ROOMS}/ListRooms"));
    let admin = server.admin.as_str();
    assert_eq!(grpcurl(&["-cacert", &ca, "-H", &bearer, admin, &method]).unwrap(), "{ }");
    let listed = grpcurl(&["-cacert", &ca, "-H", &bearer, admin, "list"]).unwrap();
    assert!(listed.contains(ROOMS), "{listed}");
    let refused = grpcurl(&["-cacert", &ca, admin, "list"]).unwrap_err();
    assert!(refused.contains("authorization: Bearer KEY"), "{refused}");
    let health = grpcurl(&["-cacert", &ca, admin, "grpc.health.v1.Health/Check"]);
    // grpcurl asks reflection what Health is, which is not for everybody.
    assert!(health.unwrap_err().contains("Bearer KEY"));
    assert!(grpcurl(&["-plaintext", admin, "list"]).is_err());

    let url = format!("https://{admin}");
    let rooms = ["rooms", "--admin", &url, "--ca-file", &ca];
    let from_file = patchcord(&[&rooms[..], &["--admin-token-file", &key_file]].concat(), &[]);
    assert_eq!((from_file.out, from_file.code), (vec!["No rooms.".to_owned()], Some(0)));
    let from_variable = patchcord(&rooms, &[("PATCHCORD_ADMIN_TOKEN", KEY)]);
    assert_eq!(from_variable.code, Some(0), "{:?}", from_variable.err);
    let mut from_stdin = program("patchcord");
    let mut from_stdin = Child::start("rooms", from_stdin.args(rooms).args(["--admin-token-file", "-"]));
    from_stdin.say(KEY);
    from_stdin.end_input();
    assert_eq!(from_stdin.end().code, Some(0));
    let without = patchcord(&rooms, &[]);
    assert_eq!(without.code, Some(7));
    let line = complaint(&without);
    assert!(line.contains("asks for a key") && line.contains("--admin-token-file PATH"), "{line}");
    let wrong = patchcord(&rooms, &[("PATCHCORD_ADMIN_TOKEN", "another-key-than-that")]);
    assert!(complaint(&wrong).contains("does not know this key"), "{}", complaint(&wrong));
}

#[test]
fn operators_look_in_with_a_certificate() {
    let authority = Authority::new();
    authority.install("ops");
    let (ca, cert, key) = (authority.path("ca.pem"), authority.path("ops.pem"), authority.path("ops.key"));
    let server = start(&authority, &["--admin-client-ca", &ca]);
    let method = format!("{ROOMS}/ListRooms");
    let listed = grpcurl(&["-cacert", &ca, "-cert", &cert, "-key", &key, &server.admin, &method]);
    assert_eq!(listed.unwrap(), "{ }");
    let refused = grpcurl(&["-cacert", &ca, &server.admin, "list"]).unwrap_err();
    assert!(refused.contains("asks for a client certificate"), "{refused}");
    let url = format!("https://{}", server.admin);
    let rooms = ["rooms", "--admin", &url, "--ca-file", &ca];
    let shown = patchcord(&[&rooms[..], &["--client-cert", &cert, "--client-key", &key]].concat(), &[]);
    assert_eq!(shown.code, Some(0), "{:?}", shown.err);
    let line = patchcord(&rooms, &[]);
    assert!(complaint(&line).contains("(--client-cert PATH --client-key PATH)"), "{}", complaint(&line));
}

#[test]
fn a_key_is_not_sent_in_clear_but_to_this_machine() {
    let server = Server::start_with(&["--admin-token", KEY]);
    let here = patchcord(&["rooms", "--admin", &server.admin], &[("PATCHCORD_ADMIN_TOKEN", KEY)]);
    assert_eq!(here.code, Some(0), "{:?}", here.err);
    // Nobody is asked for this name: it is refused before.
    let there = ["rooms", "--admin", "http://host.invalid:50052", "--json"];
    let refused = patchcord(&there, &[("PATCHCORD_ADMIN_TOKEN", KEY)]);
    assert_eq!(refused.code, Some(2));
    let [line] = &refused.out[..] else { panic!("{:?}", refused.out) };
    let error: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(error["code"], "secret_in_clear", "{error}");
    assert!(error["message"].as_str().unwrap().contains("write https://"), "{error}");
    let bad = patchcord(&["rooms", "--admin", &server.admin], &[("PATCHCORD_ADMIN_TOKEN", "k\u{e4}y")]);
    assert_eq!(bad.code, Some(2), "{:?}", bad.err);
}
