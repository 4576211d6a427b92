//! An authority of a test and the files that it vouches for.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]
#![allow(dead_code, reason = "each test file compiles its own copy and uses its own part")]

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Its certificate is `ca.pem` of a folder that goes with it.
pub struct Authority {
    pub folder: tempfile::TempDir,
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let authority = Self { folder: tempfile::tempdir().unwrap(), pem, issuer: Issuer::new(params, key) };
        authority.write("ca.pem", &authority.pem);
        authority
    }

    /// For a server on this machine or a person, as the common name says.
    pub fn issue(&self, common_name: &str) -> Pair {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    /// Issues one and puts it into NAME.pem and NAME.key of the folder.
    pub fn install(&self, name: &str) {
        self.issue(name).write(self.folder.path(), name);
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Puts a file into the folder.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// With these a server shows `server.pem`.
    pub fn flags(&self) -> [String; 4] {
        let [certificate, key] = ["server.pem", "server.key"].map(|name| self.path(name));
        ["--tls-cert".to_owned(), certificate, "--tls-key".to_owned(), key]
    }
}

impl Pair {
    pub fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.pem")), &self.certificate).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), &self.key).unwrap();
    }
}
