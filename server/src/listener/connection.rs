//! An accepted connection: bytes as they come, unless too many come, none come, or all are to be cut.

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
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::{guard::Share, liveness::Liveness};
use crate::{
    metrics::Metrics,
    rate::{Bucket, Rate},
};

/// What the kernel may keep for a connection that does not read (it doubles this).
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// What is read in one turn; then all others get theirs, however fast this one sends. The sessions among them:
/// h2 ends a connection with about 500 small frames that no session has taken yet, and this is fewer.
const TURN_BYTES: usize = 8 * 1024;
/// How long the kernel waits for the other end to acknowledge or to take what it is sent.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(12);

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
    stream: Take<TcpStream>,
    info: ConnectionInfo,
    liveness: Liveness,
    throttle: Throttle,
    /// Read since there was last nothing to read.
    turn_bytes: usize,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    metrics: Arc<Metrics>,
    _share: Share,
}

/// Holds reading back when more comes than may; the other end then has to wait.
struct Throttle {
    rate: Option<Rate>,
    bucket: Bucket,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// Around a socket that was just accepted and has its share of the door.
    pub fn new(
        stream: TcpStream,
        peer_address: SocketAddr,
        share: Share,
        terms: &super::Terms,
        cut: &CancellationToken,
    ) -> Self {
        set_options(&stream);
        let info = ConnectionInfo::new(peer_address, terms.sessions_max);
        Self {
            stream: stream.take(0),
            info,
            liveness: Liveness::new(Instant::now()),
            throttle: Throttle { rate: terms.bytes_rate, bucket: Bucket::default(), waiting: None },
            turn_bytes: 0,
            cut: Box::pin(cut.clone().cancelled_owned()),
            metrics: Arc::clone(&terms.metrics),
            _share: share,
        }
    }

    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => {
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server is stopping"))
            }
            Poll::Pending => Ok(()),
        }
    }

    /// Pending, unless the wait has been too long.
    fn poll_patience<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let overdue = std::task::ready!(self.liveness.poll_overdue(context));
        self.metrics.count_cut_connection(overdue.as_str());
        tracing::debug!(address = %self.info.peer_address, reason = overdue.as_str(), "connection cut");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, overdue.as_str())))
    }
}

/// All of them only make things better; a socket that is gone already shows that when it is read.
fn set_options(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let _ = socket.set_send_buffer_size(SEND_BUFFER_BYTES);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT));
}

impl ConnectionInfo {
    /// Of a connection that may have so many sessions.
    pub fn new(peer_address: SocketAddr, sessions_max: usize) -> Self {
        Self { peer_address, streams: Arc::new(Semaphore::new(sessions_max)) }
    }

    /// A share for one more session, if there is one.
    pub fn stream_permit(&self) -> Option<StreamPermit> {
        let permit = Arc::clone(&self.streams).try_acquire_owned().ok()?;
        Some(StreamPermit { _permit: permit })
    }
}

impl Throttle {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(rate) = self.rate else { return Poll::Ready(()) };
        loop {
            if let Some(waiting) = &mut self.waiting {
                std::task::ready!(waiting.as_mut().poll(context));
                self.waiting = None;
            }
            let debt = self.bucket.debt(rate, Instant::now());
            if debt.is_zero() {
                return Poll::Ready(());
            }
            // A timer counts in milliseconds.
            self.waiting = Some(Box::pin(sleep(debt.max(Duration::from_millis(1)))));
        }
    }

    fn note_received(&mut self, bytes: usize, now: Instant) {
        if let Some(rate) = self.rate {
            self.bucket.charge(rate, u32::try_from(bytes).unwrap_or(u32::MAX), now);
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
        std::task::ready!(self.throttle.poll_ready(context));
        let left_bytes = TURN_BYTES.saturating_sub(self.turn_bytes);
        if left_bytes == 0 {
            self.turn_bytes = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.stream.set_limit(left_bytes as u64);
        let filled = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                let (bytes, now) = (buffer.filled().len() - filled, Instant::now());
                self.liveness.note_received(bytes, now);
                self.throttle.note_received(bytes, now);
                self.turn_bytes += bytes;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.turn_bytes = 0;
                self.poll_patience(context)
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
        self.poll_cut(context)?;
        match Pin::new(self.stream.get_mut()).poll_write(context, bytes) {
            Poll::Pending => self.poll_patience(context),
            written => written,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        match Pin::new(self.stream.get_mut()).poll_write_vectored(context, slices) {
            Poll::Pending => self.poll_patience(context),
            written => written,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_stream::StreamExt;

    use super::*;
    use crate::{config::Config, listener::Incoming};

    /// What the kernel does with it is the kernel's to test.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_kernel_is_told_when_to_give_up_on_an_accepted_socket_and_what_to_keep_for_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (config, cut) = (Config::default(), CancellationToken::new());
        let mut incoming = Incoming::public(listener, &config, &Arc::default(), &cut);
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), incoming.next());
        let accepted = accepted.unwrap().unwrap();
        let socket = SockRef::from(accepted.stream.get_ref());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED_TIMEOUT));
        assert!(socket.send_buffer_size().unwrap() <= 2 * SEND_BUFFER_BYTES);
        assert!(socket.tcp_nodelay().unwrap());
    }
}
