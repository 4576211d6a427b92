//! An accepted connection, plain or over TLS: what is spoken on it, in turns that leave all others theirs.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use super::{Terms, guard::Share, secured::Secured, socket::Socket};

/// What is read in one turn; then all others get theirs, however fast this one sends. The sessions among them:
/// h2 ends a connection with about 500 small frames that no session has taken yet, and this is fewer.
const TURN_BYTES: usize = 8 * 1024;

/// What requests can know of their connection.
#[derive(Clone)]
pub struct ConnectionInfo {
    /// Its other end.
    pub peer_address: SocketAddr,
    streams: Arc<Semaphore>,
    /// Whose certificate was shown, where one is asked for.
    client: Option<Arc<OnceLock<String>>>,
}

/// A session's share of its connection, until dropped.
pub struct StreamPermit {
    _permit: OwnedSemaphorePermit,
}

/// An accepted connection.
pub struct Connection {
    transport: Transport,
    info: ConnectionInfo,
    /// Read since there was last nothing to read.
    turn_bytes: usize,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a plain one has always been in place; only the other is larger still"
)]
enum Transport {
    Plain(Take<Socket>),
    /// Apart, for it is large.
    Secured(Box<Secured>),
}

impl Connection {
    /// Around a socket that was just accepted and has its share of the door.
    pub fn new(
        stream: TcpStream,
        peer_address: SocketAddr,
        share: Share,
        terms: &Terms,
        cut: &CancellationToken,
    ) -> Self {
        let mut info = ConnectionInfo::new(peer_address, terms.sessions_max);
        let metrics = Arc::clone(&terms.metrics);
        let socket = Socket::new(stream, peer_address, share, terms.bytes_rate, Arc::clone(&metrics), cut);
        let transport = match &terms.tls {
            None => Transport::Plain(socket.take(0)),
            Some(tls) => {
                info.client = tls.asks_for_certificates().then(Arc::default);
                Transport::Secured(Box::new(Secured::new(socket, tls.config(), info.client.clone(), metrics)))
            }
        };
        Self { transport, info, turn_bytes: 0 }
    }

    fn poll_some(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<usize>> {
        let filled = buffer.filled().len();
        match &mut self.transport {
            Transport::Plain(stream) => {
                stream.set_limit(bytes_max as u64);
                std::task::ready!(Pin::new(&mut *stream).poll_read(context, buffer))?;
                let bytes = buffer.filled().len() - filled;
                stream.get_mut().note_received(bytes);
                Poll::Ready(Ok(bytes))
            }
            Transport::Secured(secured) => {
                let stream = std::task::ready!(secured.poll_stream(context))?;
                stream.set_limit(bytes_max as u64);
                std::task::ready!(Pin::new(&mut *stream).poll_read(context, buffer))?;
                let bytes = buffer.filled().len() - filled;
                stream.get_mut().get_mut().0.note_received(bytes);
                Poll::Ready(Ok(bytes))
            }
        }
    }
}

impl ConnectionInfo {
    /// Of a connection that may have so many sessions.
    pub fn new(peer_address: SocketAddr, sessions_max: usize) -> Self {
        Self { peer_address, streams: Arc::new(Semaphore::new(sessions_max)), client: None }
    }

    /// A share for one more session, if there is one.
    pub fn stream_permit(&self) -> Option<StreamPermit> {
        let permit = Arc::clone(&self.streams).try_acquire_owned().ok()?;
        Some(StreamPermit { _permit: permit })
    }

    /// Whose certificate was shown and is good.
    pub fn client(&self) -> Option<&str> {
        self.client.as_ref()?.get().map(String::as_str)
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        self.info.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left_bytes = TURN_BYTES.saturating_sub(self.turn_bytes);
        if left_bytes == 0 {
            self.turn_bytes = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.poll_some(context, buffer, left_bytes) {
            Poll::Ready(Ok(bytes)) => {
                self.turn_bytes += bytes;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.turn_bytes = 0;
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream.get_mut()).poll_write(context, bytes),
            Transport::Secured(secured) => {
                let stream = std::task::ready!(secured.poll_stream(context))?;
                Pin::new(stream.get_mut()).poll_write(context, bytes)
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream.get_mut()).poll_flush(context),
            Transport::Secured(secured) => secured.poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream.get_mut()).poll_shutdown(context),
            Transport::Secured(secured) => secured.poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream.get_mut()).poll_write_vectored(context, slices),
            Transport::Secured(secured) => {
                let stream = std::task::ready!(secured.poll_stream(context))?;
                Pin::new(stream.get_mut()).poll_write_vectored(context, slices)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        // A TLS stream takes slices too, and makes records of them.
        true
    }
}
