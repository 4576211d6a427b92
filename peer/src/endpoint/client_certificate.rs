//! A certificate of one's own, for servers that let in only those who show one.

use std::{fmt, sync::Arc};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tonic::transport::Identity;

/// A certificate and its private key.
#[derive(Clone)]
pub struct ClientCertificate {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// What was given as a certificate of one's own cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoClientCertificate {
    /// There is no certificate.
    #[error("no certificate in PEM form: it begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// There is no key.
    #[error("no private key in PEM form, or one that is encrypted")]
    NoKey,
    /// They do not belong together.
    #[error("the private key is not that of the certificate")]
    Mismatch,
}

impl ClientCertificate {
    /// Takes a certificate, with those of the authorities between it and a root, and its private key, both in PEM form.
    ///
    /// # Errors
    /// When there is none of either, or they do not belong together.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, NoClientCertificate> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(NoClientCertificate::NoCertificate)?;
        let private = PrivateKeyDer::from_pem_slice(key).map_err(|_| NoClientCertificate::NoKey)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tried = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| NoClientCertificate::NoKey)?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_client_auth_cert(chain, private);
        match tried {
            Ok(_) => Ok(Self { certificate: certificate.into(), key: key.into() }),
            Err(rustls::Error::InconsistentKeys(_)) => Err(NoClientCertificate::Mismatch),
            Err(rustls::Error::InvalidCertificate(_)) => Err(NoClientCertificate::NoCertificate),
            Err(_) => Err(NoClientCertificate::NoKey),
        }
    }
}

impl ClientCertificate {
    pub(super) fn for_tonic(&self) -> Identity {
        Identity::from_pem(&self.certificate, &self.key)
    }

    /// For TLS of our own. It was looked at before.
    pub(super) fn chain_and_key(&self) -> Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        Some((chain.ok()?, PrivateKeyDer::from_pem_slice(&self.key).ok()?))
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientCertificate(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_that_do_not_belong_together_are_refused() {
        let pair = || {
            let made = rcgen::generate_simple_self_signed(["ana".to_owned()]).unwrap();
            (made.cert.pem(), made.signing_key.serialize_pem())
        };
        let ((certificate, key), (_, other)) = (pair(), pair());
        let refused = |certificate: &str, key: &str| {
            ClientCertificate::from_pem(certificate.as_bytes(), key.as_bytes()).err()
        };
        assert_eq!(refused(&certificate, &key), None);
        assert_eq!(refused(&certificate, &other), Some(NoClientCertificate::Mismatch));
        assert_eq!(refused(&key, &key), Some(NoClientCertificate::NoCertificate));
        assert_eq!(refused(&certificate, &certificate), Some(NoClientCertificate::NoKey));
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(refused(cut, &key), Some(NoClientCertificate::NoCertificate));
    }
}
