//! coturn as a child of a test, on the loopback, with a certificate of its own for TLS.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]
#![allow(dead_code, reason = "each test file compiles its own copy and uses its own part")]

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::child::DEADLINE;

/// What a coturn of a test shares with its switchboard.
pub const SECRET: &str = "between the two of them";

const LOG: &str = "log";

/// A running `turnserver`; killed when dropped.
pub struct Coturn {
    process: Child,
    folder: tempfile::TempDir,
    /// For UDP and TCP.
    pub port: u16,
    /// For TLS.
    pub tls_port: u16,
}

impl Coturn {
    /// Starts it and waits until it listens.
    pub fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let certificate = write("cert.pem", certified.cert.pem());
        let key = write("key.pem", certified.signing_key.serialize_pem());
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, tls_port) = (free(), free());
        let mut command = Command::new("turnserver");
        command
            .args(["-n", "--no-cli", "--no-dtls", "--use-auth-secret", "--realm=test", "--fingerprint"])
            .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--allow-loopback-peers"])
            .args(["--simple-log", "--pidfile=/dev/null"])
            .arg(format!("--log-file={}", folder.path().join(LOG).display()))
            .arg(format!("--static-auth-secret={SECRET}"))
            .arg(format!("--userdb={}", folder.path().join("users").display()))
            .arg(format!("--listening-port={port}"))
            .arg(format!("--tls-listening-port={tls_port}"))
            .args([format!("--cert={certificate}"), format!("--pkey={key}")])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command.spawn().expect("turnserver (package coturn) is in the path");
        let coturn = Self { process, folder, port, tls_port };
        let deadline = Instant::now() + DEADLINE;
        while [port, tls_port].iter().any(|port| TcpStream::connect(("127.0.0.1", *port)).is_err()) {
            assert!(Instant::now() < deadline, "coturn does not listen");
            std::thread::yield_now();
        }
        coturn
    }

    /// A username and its credential, as a switchboard makes them (TURN REST API) for a day.
    pub fn account(&self) -> (String, String) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let username = format!("{}:test", now + 86_400);
        let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(username.as_bytes());
        (username, BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// Waits for a line of its log with both.
    pub fn logs(&self, one: &str, other: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let log = std::fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
            if log.lines().any(|line| line.contains(one) && line.contains(other)) {
                return;
            }
            assert!(Instant::now() < deadline, "coturn does not log {one:?} and {other:?}:\n{log}");
            std::thread::yield_now();
        }
    }

    /// The certificate that it shows over TLS, for `localhost`.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
