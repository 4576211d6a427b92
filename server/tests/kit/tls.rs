//! Clients that trust the authority of a test.

#[path = "../../../tests/support/authority.rs"]
mod authority;

use std::{net::SocketAddr, sync::Arc};

pub use authority::{Authority, Pair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        version::{TLS12, TLS13},
    },
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::DEADLINE;

impl Authority {
    /// What tonic says.
    pub async fn connect(
        &self,
        address: SocketAddr,
        shown: Option<&Pair>,
    ) -> Result<Channel, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.pem));
        if let Some(pair) = shown {
            tls = tls.identity(Identity::from_pem(&pair.certificate, &pair.key));
        }
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
        timeout(DEADLINE, endpoint.tls_config(tls).unwrap().connect()).await.unwrap()
    }

    /// Nothing but TLS, of this version.
    pub async fn handshake(
        &self,
        address: SocketAddr,
        shown: Option<&Pair>,
        version: &'static SupportedProtocolVersion,
        protocol: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::IpAddress(address.ip().into());
        timeout(DEADLINE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
    }

    /// The certificate that is shown to a new connection, as PEM would hold it.
    pub async fn shown_at(&self, address: SocketAddr) -> Vec<u8> {
        let stream = self.handshake(address, None, &TLS13, "h2").await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    /// A page of the admin door, over TLS 1.2, which is as good.
    pub async fn get(
        &self,
        address: SocketAddr,
        path: &str,
        header: &str,
        shown: Option<&Pair>,
    ) -> (u16, String) {
        let mut stream = self.handshake(address, shown, &TLS12, "http/1.1").await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{header}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        // Whoever closes without a word of TLS has said all the same what is before it.
        let _ = timeout(DEADLINE, stream.read_to_string(&mut response)).await.unwrap();
        let status = response.split(' ').nth(1).unwrap().parse().unwrap();
        (status, response.split_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

impl Pair {
    pub fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap().to_vec()
    }
}
