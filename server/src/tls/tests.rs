//! What files make TLS, and what is said of those that do not.

use std::{fs, path::PathBuf};

use super::*;

struct Folder {
    folder: tempfile::TempDir,
    files: TlsFiles,
}

impl Folder {
    /// A certificate and its key.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = TlsFiles { certificate: path("cert.pem"), key: path("key.pem"), client_ca: None };
        let made = rcgen::generate_simple_self_signed(["host.example".to_owned()]).unwrap();
        fs::write(&files.certificate, made.cert.pem()).unwrap();
        fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        Self { folder, files }
    }

    fn path(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, contents).unwrap();
        path
    }

    fn error(&self) -> String {
        match read(TlsDoor::Public, &self.files) {
            Ok(read) => panic!("taken: {}", read.leaf),
            Err(error) => error.to_string(),
        }
    }
}

#[test]
fn a_pair_is_taken_and_what_is_none_is_named() {
    let mut folder = Folder::new();
    let good = read(TlsDoor::Admin, &folder.files).unwrap();
    assert!(good.leaf.to_string().contains("host.example"), "{}", good.leaf);
    assert_eq!(good.config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);

    let other = Folder::new();
    folder.files.key.clone_from(&other.files.key);
    let error = folder.error();
    assert!(error.starts_with("--tls-key: ") && error.contains("not the key of the certificate"), "{error}");

    folder.files.key = folder.path("none", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert!(folder.error().starts_with("--tls-key: "), "{}", folder.error());
    folder.files.key = folder.path("empty", "");
    assert!(folder.error().contains("no private key"), "{}", folder.error());
    folder.files.key = PathBuf::from("/nonexistent/key.pem");
    assert!(folder.error().contains("cannot read /nonexistent/key.pem"), "{}", folder.error());
    folder.files.certificate = folder.path("text", "no certificate");
    assert!(folder.error().contains("no certificate in PEM form"), "{}", folder.error());
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let pair = Folder::new();
    folder.files.key.clone_from(&pair.files.key);
    folder.files.certificate = folder.path("no-der", no_der);
    assert!(folder.error().contains("no X.509 certificate"), "{}", folder.error());
}

#[test]
fn authorities_of_clients_are_checked_too() {
    let mut folder = Folder::new();
    let path = folder.path("ca.pem", "nothing");
    folder.files.client_ca = Some(("--client-ca", path));
    assert!(folder.error().starts_with("--client-ca: "), "{}", folder.error());
    let certificate = folder.files.certificate.clone();
    folder.files.client_ca = Some(("--client-ca", certificate));
    read(TlsDoor::Public, &folder.files).unwrap();
}

#[cfg(unix)]
#[test]
fn a_key_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let warnings = |mode: u32| {
        fs::set_permissions(&folder.files.key, fs::Permissions::from_mode(mode)).unwrap();
        read(TlsDoor::Public, &folder.files).unwrap().warnings(&folder.files).join("|")
    };
    assert_eq!(warnings(0o600), "");
    assert_eq!(warnings(0o640), "");
    assert!(warnings(0o644).contains("every user of this machine can read it"));
}

#[test]
fn a_reload_changes_all_or_nothing() {
    let folder = Folder::new();
    let tls = Tls::new(TlsDoor::Public, folder.files.clone(), Arc::default()).unwrap();
    let first = tls.config();
    let other = Folder::new();
    fs::copy(&other.files.certificate, &folder.files.certificate).unwrap();
    tls.reload().unwrap_err();
    assert!(Arc::ptr_eq(&first, &tls.config()), "half of a pair changed something");
    fs::copy(&other.files.key, &folder.files.key).unwrap();
    assert!(tls.reload().unwrap().contains("host.example"));
    assert!(!Arc::ptr_eq(&first, &tls.config()));
}
