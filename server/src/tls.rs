//! The TLS of a door: read as a whole from its files, checked before it is used, and replaced as a whole when they
//! change. A connection keeps what it began with.

mod certificate;

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};

use crate::{
    config::TlsFiles,
    error::{ConfigError, Flag},
    metrics::Metrics,
    reload::Reload,
};

use certificate::Leaf;
pub use certificate::name_of;

/// Which door it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsDoor {
    /// Speaks gRPC alone. Whoever must show a certificate and does not is not let in.
    Public,
    /// Speaks HTTP/1.1 too. Whoever shows no certificate is let in for the probes: see `auth`.
    Admin,
}

/// The TLS of a door.
pub struct Tls {
    door: TlsDoor,
    files: TlsFiles,
    in_force: RwLock<Arc<Read>>,
    metrics: Arc<Metrics>,
}

/// What was read.
pub struct Read {
    config: Arc<ServerConfig>,
    leaf: Leaf,
    /// What is wrong with how the files are kept.
    readable: Option<String>,
}

impl Tls {
    /// As the files are.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(door: TlsDoor, files: TlsFiles, metrics: Arc<Metrics>) -> Result<Self, ConfigError> {
        let read = Arc::new(read(door, &files)?);
        tracing::info!(door = door.as_str(), certificate = %read.leaf, "TLS");
        let tls = Self { door, files, in_force: RwLock::new(read), metrics };
        tls.warn();
        Ok(tls)
    }

    /// For the next connection.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.in_force.read().config)
    }

    /// What an operator should know of it, told and counted.
    fn warn(&self) {
        let read = Arc::clone(&self.in_force.read());
        self.metrics.note_certificate(self.door.as_str(), read.leaf.not_after_s());
        for warning in read.warnings(&self.files) {
            tracing::warn!(door = self.door.as_str(), "{warning}");
        }
    }

    /// Whether clients are asked for a certificate.
    pub fn asks_for_certificates(&self) -> bool {
        self.files.client_ca.is_some()
    }
}

impl Reload for Tls {
    fn name(&self) -> &'static str {
        match self.door {
            TlsDoor::Public => "public_tls",
            TlsDoor::Admin => "admin_tls",
        }
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        let client_ca = self.files.client_ca.iter().map(|(_, path)| path);
        [&self.files.certificate, &self.files.key].into_iter().chain(client_ca).cloned().collect()
    }

    fn reload(&self) -> Result<String, ConfigError> {
        let read = Arc::new(read(self.door, &self.files)?);
        *self.in_force.write() = Arc::clone(&read);
        self.warn();
        Ok(read.leaf.to_string())
    }

    /// A certificate expires while a server runs.
    fn remind(&self) {
        self.warn();
    }
}

impl TlsDoor {
    fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Admin => "admin",
        }
    }

    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::Public => vec![b"h2".to_vec()],
            Self::Admin => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        }
    }
}

impl Read {
    fn warnings(&self, files: &TlsFiles) -> Vec<String> {
        let mut warnings = self.leaf.warnings(&files.certificate);
        warnings.extend(self.readable.clone());
        warnings
    }
}

/// What the files make.
///
/// # Errors
/// What is wrong with them.
pub fn read(door: TlsDoor, files: &TlsFiles) -> Result<Read, ConfigError> {
    let (cert_flag, key_flag) =
        (Flag::new("--tls-cert", &files.certificate), Flag::new("--tls-key", &files.key));
    let chain = certificates(&cert_flag)?;
    let key = PrivateKeyDer::from_pem_slice(&key_flag.read()?)
        .map_err(|_| key_flag.unusable("there is no private key in PEM form in it"))?;
    let leaf = certificate::describe(&chain[0]).map_err(|reason| cert_flag.unusable(reason))?;
    let readable = key_flag.readable_by_all();
    let provider = Arc::new(ring::default_provider());
    let verifier = client_verifier(door, files, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| cert_flag.unusable(error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => key_flag
                .unusable(format!("it is not the key of the certificate in {}", files.certificate.display())),
            error => key_flag.unusable(error),
        })?;
    config.alpn_protocols = door.protocols();
    // Every connection is a whole handshake: nothing is kept for those that may come back, and a client's certificate
    // is looked at each time, by the authorities that are trusted then.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Read { config: Arc::new(config), leaf, readable })
}

fn certificates(flag: &Flag<'_>) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let pem = flag.read()?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(flag.unusable("there is no certificate in PEM form in it")),
    }
}

fn client_verifier(
    door: TlsDoor,
    files: &TlsFiles,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, ConfigError> {
    let Some((flag, path)) = &files.client_ca else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let flag = Flag::new(flag, path);
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&flag)? {
        roots.add(certificate).map_err(|error| flag.unusable(error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match door {
        TlsDoor::Public => builder,
        TlsDoor::Admin => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| flag.unusable(error))
}

#[cfg(test)]
mod tests;
