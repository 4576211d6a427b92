//! An authority of a test, what it vouches for, and clients that trust it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
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

/// Its files are in a folder that goes with it.
pub struct Authority {
    pub folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
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
        let authority = Self { folder: tempfile::tempdir().unwrap(), issuer: Issuer::new(params, key), pem };
        std::fs::write(authority.path("ca.pem"), &authority.pem).unwrap();
        authority
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn argument(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// For a host or a person, as the common name says.
    pub fn issue(&self, common_name: &str) -> Pair {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    /// Puts it where [`Authority::flags`] say.
    pub fn install(&self, pair: &Pair) {
        std::fs::write(self.path("cert.pem"), &pair.certificate).unwrap();
        std::fs::write(self.path("key.pem"), &pair.key).unwrap();
    }

    pub fn flags(&self) -> [String; 4] {
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| self.argument(name));
        ["--tls-cert".to_owned(), cert, "--tls-key".to_owned(), key]
    }

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

    pub fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.pem")), &self.certificate).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), &self.key).unwrap();
    }
}
