//! TLS to a STUN or TURN server. By ALPN it says what is spoken (RFC 7443), so that a server or a proxy that has other
//! things on that port knows; one that refuses to hear of that is asked again without.

use std::io;

use rustls::Error::InvalidCertificate;
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    CaCertificate,
    endpoint::{as_tls_error, tls_connector},
};

/// What is spoken, by its protocol id (RFC 7443 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    Turn,
    NatDiscovery,
}

impl Usage {
    fn protocol_id(self) -> &'static [u8] {
        match self {
            Self::Turn => b"stun.turn",
            Self::NatDiscovery => b"stun.nat-discovery",
        }
    }
}

pub(crate) struct StunTls {
    connector: TlsConnector,
    usage: Usage,
}

impl StunTls {
    pub(crate) fn new(ca_certificate: Option<&CaCertificate>, usage: Usage) -> io::Result<Self> {
        Ok(Self { connector: tls_connector(ca_certificate, None)?, usage })
    }

    /// Connects to `address`, whose certificate names `host`. Has no limit of its own: whoever asks sets one.
    pub(crate) async fn connect(
        &self,
        host: &str,
        address: impl ToSocketAddrs,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name: rustls::pki_types::ServerName<'static> =
            host.to_owned().try_into().map_err(io::Error::other)?;
        let connect = || async {
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            io::Result::Ok(stream)
        };
        let offered = vec![self.usage.protocol_id().to_vec()];
        let stream = connect().await?;
        let refused = match self.connector.with_alpn(offered).connect(name.clone(), stream).await {
            // A certificate gets no better without ALPN.
            Err(error) if !matches!(as_tls_error(&error), Some(InvalidCertificate(_))) => error,
            result => return result,
        };
        tracing::debug!(host, error = %refused, "no TLS with ALPN, so without");
        self.connector.connect(name, connect().await?).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A server of that name that speaks these protocols, and who vouches for it.
    fn server(name: &str, protocols: &[&[u8]]) -> (TlsAcceptor, CaCertificate) {
        let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        (Arc::new(config).into(), CaCertificate::from_pem(certified.cert.pem()).unwrap())
    }

    /// What is agreed on with a server that speaks these protocols, and after how many handshakes that failed.
    async fn agreed(protocols: &[&[u8]], usage: Usage) -> (Option<Vec<u8>>, usize) {
        let (acceptor, authority) = server("localhost", protocols);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = async {
            let mut refused = 0;
            loop {
                match acceptor.accept(listener.accept().await.unwrap().0).await {
                    Ok(stream) => return (stream, refused),
                    Err(_) => refused += 1,
                }
            }
        };
        let tls = StunTls::new(Some(&authority), usage).unwrap();
        let ((accepted, refused), connected) = tokio::join!(serving, tls.connect("localhost", address));
        let agreed = accepted.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(connected.unwrap().get_ref().1.alpn_protocol(), agreed.as_deref());
        (agreed, refused)
    }

    #[tokio::test]
    async fn what_is_spoken_is_agreed_on_with_a_server_that_knows_it() {
        let known: &[&[u8]] = &[b"h2", b"stun.nat-discovery", b"stun.turn"];
        assert_eq!(agreed(known, Usage::Turn).await, (Some(b"stun.turn".to_vec()), 0));
        let nat_discovery = Some(b"stun.nat-discovery".to_vec());
        assert_eq!(agreed(known, Usage::NatDiscovery).await, (nat_discovery, 0));
    }

    #[tokio::test]
    async fn a_server_that_knows_no_alpn_or_refuses_ours_is_spoken_to_without() {
        assert_eq!(agreed(&[], Usage::Turn).await, (None, 0));
        assert_eq!(agreed(&[b"http/1.1"], Usage::Turn).await, (None, 1));
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_trusted_is_not_asked_for_twice() {
        let (acceptor, authority) = server("other", &[]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let once = async {
            assert!(acceptor.accept(listener.accept().await.unwrap().0).await.is_err());
        };
        let tls = StunTls::new(Some(&authority), Usage::Turn).unwrap();
        let ((), connected) = tokio::join!(once, tls.connect("localhost", address));
        let error = connected.unwrap_err();
        assert!(matches!(as_tls_error(&error), Some(InvalidCertificate(_))), "{error}");
    }
}
