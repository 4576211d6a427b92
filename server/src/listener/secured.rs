//! TLS over the socket of a connection. The handshake goes on when the connection is read or written, in its own task
//! and within its deadline for the preface, so nobody else waits for it. Who speaks plain is told so, and why it failed
//! is counted.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWrite, ReadBuf, Take};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};

use super::socket::Socket;
use crate::{metrics::Metrics, tls::name_of};

/// What of a connection that does not read waits in TLS, beside what waits in HTTP/2.
const UNSENT_BYTES_MAX: usize = 32 * 1024;
/// The content type that a TLS connection begins with (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// SETTINGS without any, then GOAWAY with INADEQUATE_SECURITY (RFC 9113 sections 6.5, 6.8 and 7) and 36 bytes of text.
const HTTP2_ANSWER: &[u8] =
    b"\0\0\0\x04\0\0\0\0\0\0\0\x2c\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0cthis port speaks TLS: write https://";
const HTTP1_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 37\r\n\
    connection: close\r\n\r\nthis port speaks TLS: write https://\n";

/// A connection on its way to TLS, or there.
pub struct Secured {
    state: State,
    config: Arc<ServerConfig>,
    client: Option<Arc<OnceLock<String>>>,
    metrics: Arc<Metrics>,
}

enum State {
    /// Nothing has come yet.
    New(Socket),
    Handshake(Accept<Socket>),
    Open(Take<TlsStream<Socket>>),
    Failed,
}

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// What came is no TLS.
    Plain,
    /// No certificate was shown where one must be.
    NoClientCertificate,
    /// The client's certificate is not good.
    ClientCertificate,
    /// The client does not want ours, or nothing that we offer.
    Refused,
    /// No version, algorithm or protocol is known to both.
    NothingInCommon,
    /// What came is no proper TLS.
    Malformed,
}

impl Secured {
    /// Over a socket that nothing was read from. The name in the certificate that the other end shows is put into
    /// `client`.
    pub fn new(
        socket: Socket,
        config: Arc<ServerConfig>,
        client: Option<Arc<OnceLock<String>>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { state: State::New(socket), config, client, metrics }
    }

    /// The stream inside, once the handshake is done.
    pub fn poll_stream(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<&mut Take<TlsStream<Socket>>>> {
        if let State::Open(_) = self.state {
            // Below, the borrow would be for all paths.
        } else if let Err(error) = std::task::ready!(self.poll_open(context)) {
            self.state = State::Failed;
            return Poll::Ready(Err(error));
        }
        match &mut self.state {
            State::Open(stream) => Poll::Ready(Ok(stream)),
            State::New(_) | State::Handshake(_) | State::Failed => Poll::Ready(Err(closed())),
        }
    }

    /// Nothing waits before the handshake is done.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Open(stream) => Pin::new(stream.get_mut()).poll_flush(context),
            State::New(_) | State::Handshake(_) | State::Failed => Poll::Ready(Ok(())),
        }
    }

    /// Ends it; a handshake is not waited for.
    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Open(stream) => Pin::new(stream.get_mut()).poll_shutdown(context),
            State::New(_) | State::Handshake(_) | State::Failed => {
                self.state = State::Failed;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::New(socket) => {
                    let mut first = [0; HTTP2_PREFACE.len()];
                    let mut buffer = ReadBuf::new(&mut first);
                    std::task::ready!(socket.poll_peek(context, &mut buffer))?;
                    match buffer.filled() {
                        [] => return Poll::Ready(Err(closed())),
                        [HANDSHAKE_RECORD, ..] => {}
                        plain => {
                            answer_plain(socket, plain);
                            self.count(Failure::Plain);
                            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                        }
                    }
                    let State::New(socket) = std::mem::replace(&mut self.state, State::Failed) else {
                        continue;
                    };
                    let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
                    let limit = |session: &mut rustls::ServerConnection| {
                        session.set_buffer_limit(Some(UNSENT_BYTES_MAX));
                    };
                    self.state = State::Handshake(acceptor.accept_with(socket, limit));
                }
                State::Handshake(accept) => {
                    let stream = match std::task::ready!(Pin::new(accept).poll(context)) {
                        Ok(stream) => stream,
                        Err(error) => {
                            if let Some(failure) = Failure::of(&error) {
                                self.count(failure);
                            }
                            return Poll::Ready(Err(error));
                        }
                    };
                    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                    if let (Some(client), Some(certificate)) = (&self.client, shown) {
                        // Set here alone, and once.
                        let _ = client.set(name_of(certificate));
                    }
                    self.state = State::Open(stream.take(0));
                    return Poll::Ready(Ok(()));
                }
                State::Open(_) => return Poll::Ready(Ok(())),
                State::Failed => return Poll::Ready(Err(closed())),
            }
        }
    }

    fn count(&self, failure: Failure) {
        self.metrics.count_failed_handshake(failure.as_str());
        let address = match &self.state {
            State::New(socket) => Some(socket.address()),
            State::Handshake(accept) => accept.get_ref().map(Socket::address),
            State::Open(_) | State::Failed => None,
        };
        tracing::debug!(?address, reason = failure.as_str(), "TLS handshake failed");
    }
}

/// Over before it began.
fn closed() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

fn answer_plain(socket: &Socket, begin: &[u8]) {
    if begin.starts_with(&HTTP2_PREFACE[..begin.len().min(HTTP2_PREFACE.len())]) && begin.len() > 3 {
        socket.say_last(HTTP2_ANSWER);
    } else if begin.first().is_some_and(u8::is_ascii_uppercase) {
        socket.say_last(HTTP1_ANSWER);
    }
}

impl Failure {
    /// `None` when the other end has just gone, or was cut, which is counted elsewhere.
    fn of(error: &io::Error) -> Option<Self> {
        let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(match error {
            rustls::Error::NoCertificatesPresented => Self::NoClientCertificate,
            rustls::Error::InvalidCertificate(_) => Self::ClientCertificate,
            rustls::Error::AlertReceived(_) => Self::Refused,
            rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol => {
                Self::NothingInCommon
            }
            _ => Self::Malformed,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::NoClientCertificate => "no_client_certificate",
            Self::ClientCertificate => "client_certificate",
            Self::Refused => "refused_by_client",
            Self::NothingInCommon => "nothing_in_common",
            Self::Malformed => "malformed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_plain_clients_are_told_is_well_formed() {
        let (settings, goaway) = HTTP2_ANSWER.split_at(9);
        assert_eq!(settings, [0, 0, 0, 4, 0, 0, 0, 0, 0]);
        let bytes = u32::from_be_bytes([0, goaway[0], goaway[1], goaway[2]]) as usize;
        assert_eq!((bytes, goaway[3]), (goaway.len() - 9, 7));
        let (head, body) = HTTP1_ANSWER.split_at(HTTP1_ANSWER.len() - 37);
        assert!(head.ends_with(b"content-length: 37\r\nconnection: close\r\n\r\n"), "{body:?}");
    }
}
