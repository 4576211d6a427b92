//! Why a server closed a connection before it answered a call. gRPC tells only that it was closed, so it is asked once more
//! by hand; nothing secret is sent.

use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{CaCertificate, ClientCertificate, as_tls_error, tls_connector, tls_reason};

const TIMEOUT: Duration = Duration::from_secs(1);
/// The preface and SETTINGS without any (RFC 9113 sections 3.4 and 6.5).
const HTTP2_BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const GOAWAY: u8 = 7;
const INADEQUATE_SECURITY: [u8; 4] = [0, 0, 0, 0xc];

/// What TLS has to do with it, with what to do; `None` if nothing, or it does not show within a second.
pub(crate) async fn why_closed(
    url: &str,
    ca_certificate: Option<&CaCertificate>,
    client_certificate: Option<&ClientCertificate>,
) -> Option<String> {
    timeout(TIMEOUT, ask(url, ca_certificate, client_certificate)).await.ok()?
}

async fn ask(
    url: &str,
    ca_certificate: Option<&CaCertificate>,
    client_certificate: Option<&ClientCertificate>,
) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let secured = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secured { 443 } else { 80 });
    let mut stream = TcpStream::connect((host, port)).await.ok()?;
    if !secured {
        stream.write_all(HTTP2_BEGIN).await.ok()?;
        return speaks_tls_only(&mut stream).await.then(|| "it speaks TLS only: write https://".into());
    }
    let connector = tls_connector(ca_certificate, client_certificate).ok()?;
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let error = match connector.connect(name, stream).await {
        // In TLS 1.3 a client is done before the server has looked at its certificate.
        Ok(mut stream) => stream.read_u8().await.err()?,
        Err(error) => error,
    };
    as_tls_error(&error).map(tls_reason)
}

/// Whether SETTINGS are followed by GOAWAY for that reason.
async fn speaks_tls_only(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 9 + 9 + 8];
    let read = stream.read_exact(&mut answer).await;
    read.is_ok() && answer[9 + 3] == GOAWAY && answer[9 + 9 + 4..] == INADEQUATE_SECURITY
}
