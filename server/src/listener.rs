//! The accepting side of a door: each connection gets its options and its share of sessions, running out
//! of file descriptors slows accepting down instead of spinning, and all connections can be cut at once.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::metrics::{Counted, Metrics};

/// What the kernel may keep for a connection that does not read (it doubles this).
const SEND_BUFFER_BYTES: usize = 128 * 1024;
const BACK_OFF_MIN: Duration = Duration::from_millis(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// Connections as they come.
pub struct Incoming {
    listener: TcpListener,
    metrics: Arc<Metrics>,
    sessions_per_connection_max: usize,
    cut: CancellationToken,
    back_off: Duration,
    backing_off: Option<Pin<Box<Sleep>>>,
}

/// What requests can know of their connection.
#[derive(Clone)]
pub struct ConnectionInfo {
    /// Its other end.
    pub peer_address: SocketAddr,
    streams: Arc<Semaphore>,
}

/// A session's share of its connection, until dropped.
pub struct StreamPermit {
    _permit: OwnedSemaphorePermit,
}

/// An accepted connection.
pub struct Connection {
    stream: TcpStream,
    info: ConnectionInfo,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _counted: Counted,
}

impl Incoming {
    /// Accepts until dropped; `cut` breaks every connection.
    pub fn new(
        listener: TcpListener,
        metrics: Arc<Metrics>,
        sessions_per_connection_max: usize,
        cut: CancellationToken,
    ) -> Self {
        Self {
            listener,
            metrics,
            sessions_per_connection_max,
            cut,
            back_off: BACK_OFF_MIN,
            backing_off: None,
        }
    }

    fn connection(&self, stream: TcpStream, peer_address: SocketAddr) -> Connection {
        // Both only make things better; a socket that is gone already shows that when it is read.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
        let info = ConnectionInfo {
            peer_address,
            streams: Arc::new(Semaphore::new(self.sessions_per_connection_max)),
        };
        let cut = Box::pin(self.cut.clone().cancelled_owned());
        Connection { stream, info, cut, _counted: Counted::new(&self.metrics.connections) }
    }
}

impl ConnectionInfo {
    /// A share for one more session, if there is one.
    pub fn stream_permit(&self) -> Option<StreamPermit> {
        let permit = Arc::clone(&self.streams).try_acquire_owned().ok()?;
        Some(StreamPermit { _permit: permit })
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(sleep) = &mut self.backing_off {
                std::task::ready!(sleep.as_mut().poll(context));
                self.backing_off = None;
            }
            match std::task::ready!(self.listener.poll_accept(context)) {
                Ok((stream, address)) => {
                    self.back_off = BACK_OFF_MIN;
                    return Poll::Ready(Some(Ok(self.connection(stream, address))));
                }
                // That one connection has gone before it was taken.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, wait_ms = self.back_off.as_millis() as u64, "cannot accept");
                    self.backing_off = Some(Box::pin(sleep(self.back_off)));
                    self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
                }
            }
        }
    }
}

impl Connection {
    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => {
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server is stopping"))
            }
            Poll::Pending => Ok(()),
        }
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
        self.poll_cut(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
