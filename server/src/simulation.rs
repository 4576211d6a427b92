//! The server in a simulated network: connections are whatever carries bytes, and random bits follow from a
//! seed. Everything else is what [`crate::serve`] runs; only the accepting side of a door, which is made of
//! sockets, is left out.

use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Connected;

use crate::{Config, Node, ServeError, listener::ConnectionInfo};

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on random bits on this thread follow from the seed; `None` ends that.
pub fn seed(seed: Option<u64>) {
    STATE.set(seed);
}

/// Whether the bytes were filled: not without a seed. SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) fn fill(bytes: &mut [u8]) -> bool {
    let Some(mut state) = STATE.get() else { return false };
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..chunk.len()]);
    }
    STATE.set(Some(state));
    true
}

/// Serves the public door over these connections until `shutdown` completes, and ends as [`crate::serve`] does.
///
/// # Errors
/// As [`crate::serve`].
pub async fn serve<C>(
    config: Config,
    connections: impl Stream<Item = (C, SocketAddr)> + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError>
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let node = Node::new(config.checked()?)?;
    let sessions_max = node.config.sessions_per_connection_max;
    let public = connections.map(move |(stream, address)| {
        Ok(Simulated { stream, info: ConnectionInfo::new(address, sessions_max) })
    });
    let admin = None::<tokio_stream::Empty<io::Result<Simulated<C>>>>;
    node.serve(public, admin, tokio_stream::empty(), shutdown).await
}

/// A connection without the guard of a door.
struct Simulated<C> {
    stream: C,
    info: ConnectionInfo,
}

impl<C> Connected for Simulated<C> {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        self.info.clone()
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Simulated<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Simulated<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
