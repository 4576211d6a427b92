//! The socket of an accepted connection: bytes as they come, unless too many come, none come, or all are to be cut.

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
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{guard::Share, liveness::Liveness};
use crate::{
    metrics::Metrics,
    rate::{Bucket, Rate},
};

/// What the kernel may keep for a connection that does not read (it doubles this).
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// How long the kernel waits for the other end to acknowledge or to take what it is sent.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(12);

/// The socket with its limits.
pub struct Socket {
    stream: TcpStream,
    address: SocketAddr,
    liveness: Liveness,
    throttle: Throttle,
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

impl Socket {
    /// Around one that was just accepted and has its share of the door.
    pub fn new(
        stream: TcpStream,
        address: SocketAddr,
        share: Share,
        bytes_rate: Option<Rate>,
        metrics: Arc<Metrics>,
        cut: &CancellationToken,
    ) -> Self {
        set_options(&stream);
        Self {
            stream,
            address,
            liveness: Liveness::new(Instant::now()),
            throttle: Throttle { rate: bytes_rate, bucket: Bucket::default(), waiting: None },
            cut: Box::pin(cut.clone().cancelled_owned()),
            metrics,
            _share: share,
        }
    }

    /// Its other end.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// So much of what is spoken on it was received, which is less than its bytes where it is encrypted.
    pub fn note_received(&mut self, bytes: usize) {
        self.liveness.note_received(bytes, Instant::now());
    }

    /// What has come so far, left where it is; nothing at the end.
    pub fn poll_peek(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        match self.stream.poll_peek(context, buffer) {
            Poll::Pending => self.poll_patience(context),
            peeked => peeked,
        }
    }

    /// Says a last word as far as that is possible at once. What has come is taken, or else the kernel would reset the
    /// connection and the other end might not hear it.
    pub fn say_last(&self, word: &[u8]) {
        let mut taken = [0; 4096];
        while matches!(self.stream.try_read(&mut taken), Ok(bytes) if bytes == taken.len()) {}
        // Who does not hear it is gone, or will find out.
        let _ = self.stream.try_write(word);
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
        tracing::debug!(address = %self.address, reason = overdue.as_str(), "connection cut");
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

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_cut(context)?;
        std::task::ready!(self.throttle.poll_ready(context));
        let filled = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                let (bytes, now) = (buffer.filled().len() - filled, Instant::now());
                self.liveness.note_sign_of_life(now);
                self.throttle.note_received(bytes, now);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_patience(context),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Pending => self.poll_patience(context),
            written => written,
        }
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
        match Pin::new(&mut self.stream).poll_write_vectored(context, slices) {
            Poll::Pending => self.poll_patience(context),
            written => written,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::guard::{Guard, Shares};

    /// What the kernel does with it is the kernel's to test.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_kernel_is_told_when_to_give_up_on_an_accepted_socket_and_what_to_keep_for_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, address) = accepted.unwrap();
        let share = Guard::new("public", Shares::admin(), Arc::default())
            .admit(address, Instant::now())
            .ok()
            .unwrap();
        let socket = Socket::new(stream, address, share, None, Arc::default(), &CancellationToken::new());
        let socket = SockRef::from(&socket.stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED_TIMEOUT));
        assert!(socket.send_buffer_size().unwrap() <= 2 * SEND_BUFFER_BYTES);
        assert!(socket.tcp_nodelay().unwrap());
    }
}
