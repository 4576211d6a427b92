//! The certificate that a program shows to every peer of a room, so that what was said about it once stays true
//! for each connection after the first.

use rtc::{
    crypto::{SignatureScheme, default_provider},
    peer_connection::certificate::{CertificateParams, RTCCertificate},
};
use sha2::{Digest, Sha256};

use super::{Connection, EngineError};

/// SHA-256 of a certificate in DER (RFC 8122).
pub(crate) type Fingerprint = [u8; 32];

/// A certificate with its key.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(super) engine: RTCCertificate,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// A new one: self-signed ECDSA P-256, which every WebRTC stack takes (RFC 8827 section 6.5).
    pub(crate) fn generate() -> Result<Self, EngineError> {
        let provider = default_provider().map_err(|error| ("no cryptography", error))?;
        let params = CertificateParams::new(vec!["patchcord".to_owned()])
            .map_err(|error| ("cannot make a certificate", error))?;
        let engine = RTCCertificate::generate(provider.crypto(), SignatureScheme::EcdsaP256Sha256, params)
            .map_err(|error| ("cannot make a certificate", error))?;
        let der = engine.dtls_certificate.certificate.first().map(AsRef::as_ref).unwrap_or_default();
        let fingerprint = fingerprint_of(der);
        Ok(Self { engine, fingerprint })
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl Connection {
    /// The certificate that the peer showed; none before the handshake is over.
    pub(crate) async fn remote_fingerprint(&self) -> Option<Fingerprint> {
        let transport = self.engine.sctp().await?.transport();
        let chain = transport.get_remote_certificates().await.ok()?;
        chain.first().map(|der| fingerprint_of(der))
    }
}

/// Of a certificate in DER.
fn fingerprint_of(der: &[u8]) -> Fingerprint {
    Sha256::digest(der).into()
}
