//! Connections of the simulated network: as turmoil makes them, but each can be cut from outside, at either end.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use hyper_util::rt::TokioIo;
use patchcord_peer::simulation::Connect;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use turmoil::net::{TcpListener, TcpStream};

/// The server's name in the simulated network.
pub const SERVER: &str = "server";
const PORT: u16 = 50051;

/// The newest connection of each peer, by the peer's address, at one of its ends.
#[derive(Clone, Default)]
pub struct Cuts(Arc<Mutex<BTreeMap<IpAddr, CancellationToken>>>);

impl Cuts {
    /// Cuts the newest connection of this peer, if there is one.
    pub fn cut(&self, peer: IpAddr) {
        if let Some(cut) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&peer) {
            cut.cancel();
        }
    }

    fn connection(&self, peer: IpAddr, stream: TcpStream) -> Connection {
        let cut = CancellationToken::new();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, cut.clone());
        Connection { stream, cut: Box::pin(cut.cancelled_owned()) }
    }
}

/// A connection that can be cut.
pub struct Connection {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
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
}

/// How this peer connects to the server.
pub fn connector(cuts: &Cuts, peer: IpAddr) -> Connect {
    let cuts = cuts.clone();
    Arc::new(move |endpoint| {
        let cuts = cuts.clone();
        let connect = tower::service_fn(move |_: tonic::transport::Uri| {
            let cuts = cuts.clone();
            async move {
                let stream = TcpStream::connect((SERVER, PORT)).await?;
                Ok::<_, io::Error>(TokioIo::new(cuts.connection(peer, stream)))
            }
        });
        Box::pin(async move { endpoint.connect_with_connector(connect).await })
    })
}

/// Listens, and hands over connections until nobody takes them; then the port is free.
pub async fn listen(
    cuts: Cuts,
) -> io::Result<(mpsc::Receiver<(Connection, SocketAddr)>, impl Future<Output = ()> + Send + 'static)> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let (connections, taken) = mpsc::channel(1);
    let accepting = async move {
        loop {
            let accepted = tokio::select! {
                biased;
                () = connections.closed() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, address)) = accepted else { return };
            if connections.send((cuts.connection(address.ip(), stream), address)).await.is_err() {
                return;
            }
        }
    };
    Ok((taken, accepting))
}
