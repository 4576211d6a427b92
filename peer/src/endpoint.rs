//! The way to a server, plain or over TLS, and what stood in it in words that say what to do.
//!
//! Over TLS the platform's roots are trusted, not a list built into the program: so are the authorities that an
//! organisation installs, and one that the platform withdraws is not. `SSL_CERT_FILE` replaces them.

mod client_certificate;
mod refusal;

use std::{error::Error, sync::Arc, time::Duration};

use rustls::{AlertDescription, CertificateError, pki_types::CertificateDer, pki_types::pem::PemObject};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

pub use client_certificate::{ClientCertificate, NoClientCertificate};
pub(crate) use refusal::why_closed;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(8);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(4);

/// Certificates of authorities that are trusted beside the platform's.
#[derive(Clone)]
pub struct CaCertificate {
    pem: Vec<u8>,
    count: usize,
}

/// What was given as the certificate of an authority is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no certificate of an authority in PEM form: it begins with -----BEGIN CERTIFICATE-----")]
pub struct NoCaCertificate;

impl CaCertificate {
    /// Takes one or more certificates in PEM form (RFC 7468).
    ///
    /// # Errors
    /// When there is none, or one that is no X.509 certificate.
    pub fn from_pem(pem: impl Into<Vec<u8>>) -> Result<Self, NoCaCertificate> {
        let pem = pem.into();
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|_| NoCaCertificate)?;
            roots.add(certificate).map_err(|_| NoCaCertificate)?;
        }
        if roots.is_empty() {
            return Err(NoCaCertificate);
        }
        Ok(Self { pem, count: roots.len() })
    }
}

impl std::fmt::Debug for CaCertificate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CaCertificate").field("count", &self.count).finish_non_exhaustive()
    }
}

/// A token or key would travel where others can read it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a token would go to {url} in clear, for everybody on the way to read: write https://, or lead a tunnel to a port of \
     this machine and write http://127.0.0.1:PORT"
)]
pub struct SecretInClear {
    /// As given.
    pub url: String,
}

/// Whether a token or key may go to `url`: over TLS, or to this machine itself.
pub(crate) fn may_carry_secret(url: &str) -> Result<(), SecretInClear> {
    let uri = url.parse::<http::Uri>().unwrap_or_default();
    let is_here = |host: &str| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        // RFC 6761 section 6.3: this name never leaves the machine.
        let is_loopback = |ip: std::net::IpAddr| ip.to_canonical().is_loopback();
        host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(is_loopback)
    };
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if uri.host().is_some_and(is_here) => Ok(()),
        _ => Err(SecretInClear { url: url.to_owned() }),
    }
}

/// Why there is no way to a server.
#[derive(Debug)]
pub(crate) enum NoWay {
    InvalidUrl,
    /// What the network said.
    Network(String),
    /// Somebody answers, but not as a server that we may trust; with what to do.
    Tls(String),
}

/// Connects to `url`, within our limits.
pub(crate) async fn connect(
    url: &str,
    ca_certificate: Option<&CaCertificate>,
    client_certificate: Option<&ClientCertificate>,
) -> Result<Channel, NoWay> {
    endpoint(url, ca_certificate, client_certificate)?.connect().await.map_err(|error| what_failed(&error))
}

/// The server at `url`, with our limits.
pub(crate) fn endpoint(
    url: &str,
    ca_certificate: Option<&CaCertificate>,
    client_certificate: Option<&ClientCertificate>,
) -> Result<Endpoint, NoWay> {
    let uri: http::Uri = url.parse().map_err(|_| NoWay::InvalidUrl)?;
    if uri.host().is_none() {
        return Err(NoWay::InvalidUrl);
    }
    let secured = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(NoWay::InvalidUrl),
    };
    let plain = Endpoint::from(uri)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    if secured { over_tls(plain, ca_certificate, client_certificate) } else { Ok(plain) }
}

fn over_tls(
    endpoint: Endpoint,
    ca_certificate: Option<&CaCertificate>,
    client_certificate: Option<&ClientCertificate>,
) -> Result<Endpoint, NoWay> {
    let tls = ClientTlsConfig::new().timeout(CONNECT_TIMEOUT);
    let tls = match client_certificate {
        Some(client_certificate) => tls.identity(client_certificate.for_tonic()),
        None => tls,
    };
    let tls = match ca_certificate {
        Some(ca_certificate) => tls.ca_certificate(Certificate::from_pem(&ca_certificate.pem)),
        None => tls,
    };
    // Without roots only a host that no certificate can name is refused.
    let bare = endpoint.clone().tls_config(tls.clone()).map_err(|_| NoWay::InvalidUrl)?;
    match endpoint.tls_config(tls.with_native_roots()) {
        Ok(endpoint) => Ok(endpoint),
        Err(_) if ca_certificate.is_some() => Ok(bare),
        Err(_) => Err(NoWay::Tls(
            "this system trusts no authority to vouch for it: install the package ca-certificates, or name one"
                .into(),
        )),
    }
}

/// For a stream of our own over TLS, with the same trust.
pub(crate) fn tls_connector(
    ca_certificate: Option<&CaCertificate>,
    client_certificate: Option<&ClientCertificate>,
) -> std::io::Result<tokio_rustls::TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    // One that the system lists and cannot be read vouches for nobody.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(ca_certificate) = ca_certificate {
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&ca_certificate.pem).flatten());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_root_certificates(roots);
    let config = match client_certificate.and_then(ClientCertificate::chain_and_key) {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(std::io::Error::other)?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config).into())
}

/// The innermost error says what happened; the outer ones only that something did.
pub(crate) fn what_failed(error: &(dyn Error + 'static)) -> NoWay {
    let mut cause = error;
    loop {
        if let Some(error) = as_tls_error(cause) {
            return NoWay::Tls(tls_reason(error));
        }
        match cause.source() {
            Some(source) => cause = source,
            None => return NoWay::Network(printable(&cause.to_string())),
        }
    }
}

/// An I/O error hides what it was made of from `source`.
pub(crate) fn as_tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.downcast_ref().or_else(|| inside?.downcast_ref())
}

fn tls_reason(error: &rustls::Error) -> String {
    let reason = match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            // The signature is bad when another authority has the name of a trusted one.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is from no authority that this system trusts: check the address, or trust the \
                 certificate of its authority"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name: write the name that is in it"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired: its operator must renew it, or this system's clock is wrong"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet: is this system's clock right?"
            }
            // The name that webpki gives it, which is all that is passed on: what "openssl req -x509" makes by itself.
            other if other.to_string().contains("CaUsedAsEndEntity") => {
                "its certificate is an authority's, not a server's: its operator must make one with CA:FALSE"
            }
            other => {
                return format!("its certificate is not valid: {}", printable(&other.to_string()));
            }
        },
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it asks for a certificate of yours: show the one that its operator gave you"
        }
        rustls::Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError,
        ) => "it does not trust your certificate: show one of an authority that its operator chose",
        rustls::Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "your certificate has expired, or the server's clock is wrong"
        }
        rustls::Error::InvalidMessage(_) => "it does not speak TLS: write http:// if it is meant to be plain",
        other => return format!("it refuses to talk TLS with us: {}", printable(&other.to_string())),
    };
    reason.into()
}

/// Somebody else's text, with what is not printable escaped.
pub(crate) fn printable(text: &str) -> String {
    text.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_over_tls_or_to_this_machine_only() {
        for url in [
            "https://host.example",
            "https://192.0.2.1:50051",
            "http://127.0.0.1:50051",
            "http://127.8.9.10",
            "http://[::1]:50051",
            "http://[::ffff:127.0.0.1]:50051",
            "http://localhost:50051",
            "http://LOCALHOST",
        ] {
            assert_eq!(may_carry_secret(url), Ok(()), "{url}");
        }
        for url in [
            "http://host.example:50051",
            "http://192.0.2.1",
            "http://0.0.0.0:50051",
            "http://[2001:db8::1]:50051",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://127.0.0.1@host.example",
            "http://2130706433",
            "ftp://127.0.0.1",
            "127.0.0.1:50051",
            "",
        ] {
            let refused = may_carry_secret(url).unwrap_err();
            assert!(refused.to_string().contains("https://"), "{url}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        for hostile in ["", "no certificate", no_der, cut] {
            assert_eq!(CaCertificate::from_pem(hostile).err(), Some(NoCaCertificate), "{hostile:?}");
        }
    }
}
