//! Links that only a TURN server joins, over every transport to it. Needs coturn's `turnserver` in the path.

use std::process::Stdio;

use tokio::{
    net::TcpStream,
    process::{Child, Command as Program},
};

use super::*;
use crate::{CaCertificate, negotiation::Candidate};

/// A coturn that relays between peers on loopback, and ends with the test.
struct Coturn {
    port: u16,
    tls_port: u16,
    ca_certificate: CaCertificate,
    _folder: tempfile::TempDir,
    child: Child,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Coturn {
    /// With `users` as `name:password`. Without UDP nothing but a stream reaches it.
    async fn start(users: &[&str], udp: bool) -> Self {
        Self::start_on("127.0.0.1", users, udp).await
    }

    /// Listens there; relays on the loopback of IPv4, which is what engines ask for.
    async fn start_on(listening_ip: &str, users: &[&str], udp: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certified =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "::1".to_owned()]).unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, certified.cert.pem()).unwrap();
        std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let mut program = Program::new("turnserver");
        program
            .args(["-n", "--no-cli", "--no-dtls", "--lt-cred-mech", "--realm=test", "--fingerprint"])
            .args(["--relay-ip=127.0.0.1", "--allow-loopback-peers"])
            .arg(format!("--listening-ip={listening_ip}"))
            .args(["--log-file=stdout", "--simple-log", "--pidfile=/dev/null", "--userdb=/dev/null"])
            .arg(format!("--listening-port={port}"))
            .arg(format!("--tls-listening-port={tls_port}"))
            .arg(format!("--cert={}", certificate.display()))
            .arg(format!("--pkey={}", key.display()))
            .args(users.iter().map(|user| format!("--user={user}")));
        if !udp {
            program.arg("--no-udp");
        }
        let child = program
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("turnserver (package coturn) is in the path");
        let listening = async {
            for port in [port, tls_port] {
                while TcpStream::connect((listening_ip, port)).await.is_err() {
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, listening).await.expect("coturn listens");
        let ca_certificate = CaCertificate::from_pem(certified.cert.pem()).unwrap();
        Self { port, tls_port, ca_certificate, _folder: folder, child }
    }

    fn config(&self, url: &str, user: &str) -> ConnectionConfig {
        let url = url.replace("PORT", &self.port.to_string()).replace("TLS", &self.tls_port.to_string());
        let (username, credential) = user.split_once(':').unwrap();
        let server = IceServer { urls: vec![url], username: username.into(), credential: credential.into() };
        ConnectionConfig {
            certificate: Certificate::generate().unwrap(),
            ice_servers: vec![server],
            ca_certificate: Some(self.ca_certificate.clone()),
            ..on_loopback(IceTransportPolicy::Relay)
        }
    }
}

fn relayed_pair(config: &ConnectionConfig) -> Pair {
    let timeout = Duration::from_secs(30);
    Pair { a: end_with("a", "b", timeout, config.clone()), b: end_with("b", "a", timeout, config.clone()) }
}

/// Both talk; gives the candidates that were told. None, and no description, names an address that it is related to.
async fn talk(pair: &mut Pair, id: u64) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    pair.a.say(id).await;
    pair.b.say(id).await;
    let see = |notice: Notice| {
        if let Notice::Candidate(candidate) = &notice
            && !candidate.candidate.is_empty()
        {
            candidates.push(candidate.clone());
        }
        if let Notice::Candidate(Candidate { candidate: told, .. }) | Notice::Description { sdp: told, .. } =
            &notice
        {
            let mut related = told.split("raddr ").skip(1);
            assert!(related.all(|address| address.starts_with("0.0.0.0 rport 9")), "{told}");
        }
        notice
    };
    pair.run(see, |a, b| messages(a) == [id] && messages(b) == [id]).await;
    candidates
}

#[tokio::test]
async fn a_relay_behind_tcp_or_tls_alone_joins_two_and_no_address_but_the_relays_is_told() {
    let mut coturn = Coturn::start(&["ana:secret"], false).await;
    for url in
        ["turn:127.0.0.1:PORT?transport=tcp", "turns:localhost:TLS", "turns:localhost:TLS?transport=tcp"]
    {
        let mut pair = relayed_pair(&coturn.config(url, "ana:secret"));
        pair.a.command(Command::Connect).await;
        let candidates = talk(&mut pair, 1).await;
        assert!(!candidates.is_empty());
        for Candidate { candidate, .. } in candidates {
            assert!(candidate.contains(" typ relay raddr "), "{url}: {candidate}");
        }
    }
    assert!(coturn.child.try_wait().unwrap().is_none(), "coturn ended");
}

fn problems(events: &[Event]) -> Vec<&str> {
    let messages = events.iter().filter_map(|event| match event {
        Event::Problem { message, .. } => Some(message.as_str()),
        _ => None,
    });
    messages.collect()
}

#[tokio::test]
async fn a_turn_server_that_no_stream_reaches_is_named_with_what_the_network_says() {
    let url = format!("turn:127.0.0.1:{}?transport=tcp", free_port());
    let server = IceServer { urls: vec![url.clone()], username: "ana".into(), credential: "secret".into() };
    for policy in [IceTransportPolicy::Relay, IceTransportPolicy::All] {
        let config = ConnectionConfig { ice_servers: vec![server.clone()], ..on_loopback(policy) };
        let mut pair = relayed_pair(&config);
        pair.a = end_with("a", "b", Duration::from_secs(3), config);
        pair.a.command(Command::Connect).await;
        // Nobody answers, so that a path without a relay is none either.
        let failed = |events: &[Event]| !problems(events).is_empty();
        let mut of_a = Vec::new();
        let failing = async {
            while !failed(&of_a) {
                of_a.extend(pair.a.events.recv().await);
            }
        };
        tokio::time::timeout(PATIENCE, failing).await.expect("it fails");
        let named = format!("the relay {url} cannot be reached: Connection refused");
        assert!(problems(&of_a)[0].contains(&named), "{of_a:?}");
        let (report_tx, report) = oneshot::channel();
        pair.a.command(Command::Report(report_tx)).await;
        let report = report.await.unwrap();
        let steps: Vec<_> = report.timeline.iter().map(|entry| entry.step.to_string()).collect();
        assert_eq!(steps.iter().filter(|step| step.starts_with(&named)).count(), 1, "{steps:?}");
        assert!(report.advice.is_some_and(|advice| advice.contains(&named)));
    }
}

#[tokio::test]
async fn a_turn_server_whose_certificate_nobody_trusts_is_not_used() {
    let coturn = Coturn::start(&["ana:secret"], false).await;
    let config =
        ConnectionConfig { ca_certificate: None, ..coturn.config("turns:localhost:TLS", "ana:secret") };
    let mut pair = relayed_pair(&config);
    pair.a = end_with("a", "b", Duration::from_secs(3), config);
    pair.a.command(Command::Connect).await;
    let mut candidates = 0;
    let count = |notice: Notice| {
        candidates += usize::from(matches!(&notice, Notice::Candidate(found) if !found.candidate.is_empty()));
        notice
    };
    pair.run(count, |a, _| has_problem(a, ProblemCode::ConnectTimeout)).await;
    assert_eq!(candidates, 0);
}

#[tokio::test]
async fn a_restart_asks_for_a_relay_with_the_renewed_credentials() {
    for url in ["turn:127.0.0.1:PORT", "turn:127.0.0.1:PORT?transport=tcp"] {
        let old = Coturn::start(&["old:secret"], true).await;
        let mut pair = relayed_pair(&old.config(url, "old:secret"));
        pair.a.command(Command::Connect).await;
        talk(&mut pair, 1).await;
        // Another server with another user: nothing but what was renewed can open a path there.
        let new = Coturn::start(&["new:secret"], true).await;
        drop(old);
        let renewed = new.config(url, "new:secret").ice_servers;
        pair.a.command(Command::IceServers(renewed.clone())).await;
        pair.b.command(Command::IceServers(renewed)).await;
        pair.a.command(Command::Renegotiate).await;
        assert!(!talk(&mut pair, 2).await.is_empty());
    }
}

#[tokio::test]
async fn a_host_without_ipv4_uses_a_relay_behind_a_stream_too() {
    let coturn = Coturn::start_on("::1", &["ana:secret"], false).await;
    for url in ["turn:[::1]:PORT?transport=tcp", "turns:[::1]:TLS"] {
        let config = ConnectionConfig {
            local_addresses: vec![std::net::Ipv6Addr::LOCALHOST.into()],
            ..coturn.config(url, "ana:secret")
        };
        let mut pair = relayed_pair(&config);
        pair.a.command(Command::Connect).await;
        let candidates = talk(&mut pair, 1).await;
        let is_relayed = |candidate: &Candidate| candidate.candidate.contains(" typ relay");
        assert!(!candidates.is_empty() && candidates.iter().all(is_relayed), "{url}: {candidates:?}");
    }
}

#[tokio::test]
async fn a_peer_is_met_at_relays_alone_until_it_is_verified_and_then_directly() {
    let coturn = Coturn::start(&["ana:secret"], true).await;
    let config = ConnectionConfig {
        ice_transport_policy: IceTransportPolicy::All,
        ip_policy: crate::IpPolicy::Relay,
        ..coturn.config("turn:127.0.0.1:PORT?transport=udp", "ana:secret")
    };
    let mut pair = relayed_pair(&config);
    pair.a.command(Command::Connect).await;
    let mut told = Vec::new();
    let mut see = |notice: Notice| {
        if let Notice::Candidate(candidate) = &notice {
            told.push(candidate.candidate.clone());
        }
        notice
    };
    let string = |events: &[Event]| {
        events.iter().find_map(|event| match event {
            Event::ShortString { string, .. } => Some(*string),
            _ => None,
        })
    };
    let (of_a, _) = pair.run(&mut see, |a, b| string(a).is_some() && string(b).is_some()).await;
    let string = string(&of_a).unwrap();
    pair.a.command(Command::Compared(string)).await;
    pair.b.command(Command::Compared(string)).await;
    let is_direct = |events: &[Event]| {
        events.iter().any(|event| {
            matches!(event, Event::Connection { path: Some(path), .. } if path.local != CandidateType::Relay)
        })
    };
    pair.run(&mut see, |a, b| is_direct(a) && is_direct(b)).await;
    let first_direct = told.iter().position(|candidate| candidate.contains(" typ host")).unwrap();
    assert!(told[..first_direct].iter().filter(|candidate| candidate.contains(" typ relay")).count() >= 2);
    talk(&mut pair, 1).await;
}
