//! Servers behind TLS: which certificates are trusted, and what is said of the others.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that fails by unwrap has failed as it should")]

mod support;

use std::{net::Ipv4Addr, sync::Arc};

use patchcord_peer::{
    CaCertificate, Config, InspectConfig, InspectError, Inspector, JoinError, Room,
    probe::{Finding, Trouble, probe},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::{Member, Server};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, pki_types::PrivateKeyDer},
};

/// An authority that nobody trusts yet.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn certificate(&self) -> CaCertificate {
        CaCertificate::from_pem(self.0.pem()).unwrap()
    }

    /// Certifies `params` and serves TLS with it in front of the server at `url`; gives the address.
    async fn serve(&self, url: &str, params: CertificateParams) -> String {
        let key = KeyPair::generate().unwrap();
        let chain = vec![params.signed_by(&key, &self.0).unwrap().der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let plain = url.strip_prefix("http://").unwrap().to_owned();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, plain) = (acceptor.clone(), plain.clone());
                tokio::spawn(async move {
                    let mut inside = TcpStream::connect(plain).await.unwrap();
                    // A client that does not trust us hangs up.
                    if let Ok(mut outside) = acceptor.accept(stream).await {
                        let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                    }
                });
            }
        });
        format!("https://{address}")
    }
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

fn config(server: &Server, url: &str, name: &str, ca_certificate: Option<CaCertificate>) -> Config {
    Config { server: url.into(), ca_certificate, ..server.config("lobby", name) }
}

/// Why `config` does not get us into the room.
async fn refusal(config: Config) -> String {
    match Room::join(config).await.unwrap_err() {
        error @ JoinError::Unreachable { .. } => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn two_meet_at_a_secure_server_whose_authority_they_were_given() {
    let server = Server::start().await;
    let authority = Authority::new();
    let url = authority.serve(&server.url, named("127.0.0.1")).await;
    let trusting = |name| config(&server, &url, name, Some(authority.certificate()));
    let mut ana = Member::join(trusting("ana")).await;
    let mut bo = Member::join(trusting("bo")).await;
    let (ana_id, bo_id) = (ana.id(), bo.id());
    ana.until_open(&bo_id).await;
    bo.until_open(&ana_id).await;
}

fn trusting(authority: CaCertificate) -> InspectConfig {
    InspectConfig { ca_certificate: Some(authority), ..InspectConfig::default() }
}

#[tokio::test]
async fn an_operator_looks_into_rooms_through_a_secure_door() {
    let server = Server::start().await;
    let authority = Authority::new();
    let url = authority.serve(&server.admin_url, named("127.0.0.1")).await;
    let mut inspector = Inspector::connect(&url, &trusting(authority.certificate())).await.unwrap();
    assert!(inspector.rooms("").await.unwrap().is_empty());
    let stranger = Authority::new().certificate();
    let refused = Inspector::connect(&url, &trusting(stranger)).await.unwrap_err();
    assert!(matches!(refused, InspectError::Unreachable { reason, .. } if reason.contains("no authority")));
}

#[tokio::test]
async fn a_certificate_that_cannot_be_trusted_is_told_with_what_to_do() {
    let server = Server::start().await;
    let authority = Authority::new();
    let url = authority.serve(&server.url, named("127.0.0.1")).await;
    let ask = |url: &str, ca_certificate| refusal(config(&server, url, "ana", ca_certificate));

    let unknown = ask(&url, None).await;
    assert!(unknown.contains("no authority that this system trusts"), "{unknown}");
    assert!(!unknown.contains("running"), "somebody does answer: {unknown}");
    let stranger = ask(&url, Some(Authority::new().certificate())).await;
    assert!(stranger.contains("trust the certificate of its authority"), "{stranger}");
    let inspected = Inspector::connect(&url, &InspectConfig::default()).await.unwrap_err();
    assert!(matches!(inspected, InspectError::Unreachable { reason, .. } if reason.contains("no authority")));

    let elsewhere = authority.serve(&server.url, named("elsewhere.example")).await;
    let wrong_name = ask(&elsewhere, Some(authority.certificate())).await;
    assert!(wrong_name.contains("is for another name"), "{wrong_name}");

    let mut old = named("127.0.0.1");
    old.not_before = rcgen::date_time_ymd(2020, 1, 1);
    old.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let url = authority.serve(&server.url, old).await;
    let expired = ask(&url, Some(authority.certificate())).await;
    assert!(expired.contains("has expired"), "{expired}");

    let mut of_authority = named("127.0.0.1");
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let url = authority.serve(&server.url, of_authority).await;
    let of_authority = ask(&url, Some(authority.certificate())).await;
    assert!(of_authority.contains("with CA:FALSE"), "{of_authority}");

    let plain = ask(&server.url.replace("http:", "https:"), None).await;
    assert!(plain.contains("does not speak TLS: write http://"), "{plain}");
}

const URL_VARIABLE: &str = "SECURE_SERVER_TEST_URL";

/// The platform's roots come from the environment, which a process must not change while it runs: so this test
/// runs itself again as a process of its own.
#[tokio::test]
async fn the_authorities_of_the_platform_are_trusted() {
    if let Ok(url) = std::env::var(URL_VARIABLE) {
        let (room, _events) = Room::join(Config::new(url, "lobby", "ana")).await.unwrap();
        room.leave().await;
        return;
    }
    let server = Server::start().await;
    let authority = Authority::new();
    let url = authority.serve(&server.url, named("127.0.0.1")).await;
    let directory = tempfile::tempdir().unwrap();
    let roots = directory.path().join("roots.pem");
    let run = async |pem: String| {
        std::fs::write(&roots, pem).unwrap();
        let mut itself = tokio::process::Command::new(std::env::current_exe().unwrap());
        itself
            .args(["--exact", "the_authorities_of_the_platform_are_trusted", "--nocapture"])
            .env(URL_VARIABLE, &url)
            .env("SSL_CERT_FILE", &roots)
            .env_remove("SSL_CERT_DIR")
            .kill_on_drop(true);
        tokio::time::timeout(support::PATIENCE, itself.output()).await.unwrap().unwrap()
    };
    let trusting = run(authority.0.pem()).await;
    assert!(trusting.status.success(), "{}", String::from_utf8_lossy(&trusting.stdout));
    assert!(!run(Authority::new().0.pem()).await.status.success());
    let rootless = run(String::new()).await;
    let said = String::from_utf8_lossy(&rootless.stderr);
    assert!(!rootless.status.success() && said.contains("install the package ca-certificates"), "{said}");
}

#[tokio::test]
async fn a_probe_tells_whether_the_certificate_is_trusted() {
    let server = Server::start().await;
    let authority = Authority::new();
    let url = authority.serve(&server.url, named("127.0.0.1")).await;
    let tls_of = async |ca_certificate| {
        let mut findings = probe(config(&server, &url, "", ca_certificate));
        let (mut tls, mut signaling) = (None, None);
        while let Some(finding) = findings.recv().await {
            match finding {
                Finding::Tls { outcome } => tls = Some(outcome),
                Finding::Signaling { outcome } => signaling = Some(outcome.is_ok()),
                _ => {}
            }
        }
        (tls.unwrap(), signaling)
    };
    assert_eq!(tls_of(Some(authority.certificate())).await, (Ok(()), Some(true)));
    let (untrusted, signaling) = tls_of(None).await;
    assert!(matches!(untrusted, Err(Trouble::Tls(reason)) if reason.contains("no authority")));
    assert_eq!(signaling, None, "nothing is said to a server that is not trusted");
}
