//! TURN over TCP and TLS for an engine that speaks it over UDP alone: a local socket takes its datagrams, and a
//! stream to the server carries them, framed as RFC 8489 section 6.2.2 and RFC 8656 section 12.5 say.
//!
//! Invariant: one shim carries one url of one connection, for that connection's sockets alone, and ends with it.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use crate::{
    CaCertificate, IceServer,
    connection::ConnectionEvent,
    endpoint::{NoWay, printable, what_failed},
    stun_tls::{StunTls, Usage},
};

mod framing;
mod url;

use framing::{frame, next_datagram};
use url::StreamUrl;

/// Sockets of one connection that may speak to one server, those of the last ICE generation included.
const FLOWS_MAX: usize = 16;

/// Datagrams of a flow that wait for its stream; more are lost, as on a network.
const QUEUED_MAX: usize = 256;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// After a stream has ended, before another is tried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const DATAGRAM_BYTES_MAX: usize = 65_535;

/// The shims of one connection.
#[derive(Debug)]
pub(crate) struct TurnShims {
    by_url: HashMap<String, (String, AbortHandle)>,
    events: mpsc::Sender<ConnectionEvent>,
}

impl TurnShims {
    /// Tells `events` which servers cannot be reached.
    pub(crate) fn new(events: mpsc::Sender<ConnectionEvent>) -> Self {
        Self { by_url: HashMap::new(), events }
    }

    /// The same servers, with the urls that need a stream replaced by those of shims. A shim that is there
    /// already is kept: new credentials are none of its business.
    pub(crate) async fn serve(
        &mut self,
        servers: &[IceServer],
        ca_certificate: Option<&CaCertificate>,
        local_addresses: &[IpAddr],
    ) -> Vec<IceServer> {
        let mut served = Vec::with_capacity(servers.len());
        for server in servers {
            let mut urls = Vec::with_capacity(server.urls.len());
            for url in &server.urls {
                let Some(stream_url) = StreamUrl::parse(url) else {
                    urls.push(url.clone());
                    continue;
                };
                match self.shim(url, stream_url, ca_certificate, local_addresses).await {
                    Ok(local_url) => urls.push(local_url),
                    Err(error) => tell(&self.events, url, Some(&error)),
                }
            }
            served.push(IceServer { urls, ..server.clone() });
        }
        served
    }

    async fn shim(
        &mut self,
        url: &str,
        stream_url: StreamUrl,
        ca_certificate: Option<&CaCertificate>,
        local_addresses: &[IpAddr],
    ) -> io::Result<String> {
        if let Some((local_url, _)) = self.by_url.get(url) {
            return Ok(local_url.clone());
        }
        let tls = match stream_url.secured {
            true => Some(StunTls::new(ca_certificate, Usage::Turn)?),
            false => None,
        };
        let socket = bind(local_addresses).await?;
        let local_url = format!("turn:{}?transport=udp", socket.local_addr()?);
        let shim = Shim {
            socket: Arc::new(socket),
            server: Arc::new(Server {
                url: stream_url,
                tls,
                name: url.to_owned(),
                events: self.events.clone(),
            }),
            local_addresses: local_addresses.to_vec(),
        };
        let task = tokio::spawn(shim.run()).abort_handle();
        self.by_url.insert(url.to_owned(), (local_url.clone(), task));
        Ok(local_url)
    }
}

impl Drop for TurnShims {
    fn drop(&mut self) {
        self.by_url.values().for_each(|(_, task)| task.abort());
    }
}

/// On the loopback of a family that the engine's sockets have: those of another cannot reach it.
async fn bind(local_addresses: &[IpAddr]) -> io::Result<UdpSocket> {
    let has = |is_ipv4| local_addresses.iter().any(|address| address.is_ipv4() == is_ipv4);
    let loopbacks = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    let mut error = io::ErrorKind::AddrNotAvailable.into();
    for loopback in loopbacks.into_iter().filter(|loopback| has(loopback.is_ipv4())) {
        match UdpSocket::bind((loopback, 0)).await {
            Ok(socket) => return Ok(socket),
            Err(refused) => error = refused,
        }
    }
    Err(error)
}

/// What cannot be told now is told with the next attempt.
fn tell(events: &mpsc::Sender<ConnectionEvent>, url: &str, error: Option<&io::Error>) {
    let url = printable(url);
    let trouble = error.map(|error| match what_failed(error) {
        NoWay::Network(reason) | NoWay::Tls(reason) => reason,
        NoWay::InvalidUrl => printable(&error.to_string()),
    });
    if let Some(reason) = &trouble {
        tracing::warn!(url, reason, "this TURN server cannot be reached");
    }
    let _ = events.try_send(ConnectionEvent::Relay { url, trouble });
}

struct Server {
    url: StreamUrl,
    /// As it was given.
    name: String,
    events: mpsc::Sender<ConnectionEvent>,
    tls: Option<StunTls>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Server {
    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let address = (self.url.host.as_str(), self.url.port);
        if let Some(tls) = &self.tls {
            return Ok(Box::new(tls.connect(&self.url.host, address).await?));
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// What one socket of the engine says goes over one stream: an allocation belongs to both.
struct Flow {
    datagrams: mpsc::Sender<Bytes>,
    task: AbortHandle,
    used_at: Instant,
    ended: bool,
}

struct Shim {
    socket: Arc<UdpSocket>,
    server: Arc<Server>,
    /// Nobody else has any business here.
    local_addresses: Vec<IpAddr>,
}

impl Shim {
    async fn run(self) {
        // Aborts the streams with the shim.
        let mut streams = JoinSet::new();
        let mut flows: HashMap<SocketAddr, Flow> = HashMap::new();
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            tokio::select! {
                received = self.socket.recv_from(&mut datagram) => {
                    // A socket of the engine that is closed is told here, and means nothing.
                    let Ok((length, source)) = received else { continue };
                    if self.local_addresses.contains(&source.ip())
                        && let Some(framed) = frame(&datagram[..length])
                    {
                        self.forward(source, framed, &mut flows, &mut streams);
                    }
                }
                Some(ended) = streams.join_next(), if !streams.is_empty() => {
                    if let Ok(source) = ended && let Some(flow) = flows.get_mut(&source) {
                        flow.ended = true;
                        flow.used_at = Instant::now();
                    }
                }
            }
        }
    }

    fn forward(
        &self,
        source: SocketAddr,
        framed: Bytes,
        flows: &mut HashMap<SocketAddr, Flow>,
        streams: &mut JoinSet<SocketAddr>,
    ) {
        let now = Instant::now();
        if flows.get(&source).is_some_and(|flow| flow.ended && now >= flow.used_at + RETRY_AFTER) {
            flows.remove(&source);
        }
        if !flows.contains_key(&source) {
            if flows.len() >= FLOWS_MAX {
                let oldest = flows.iter().min_by_key(|(_, flow)| flow.used_at).map(|(source, _)| *source);
                oldest
                    .and_then(|source| flows.remove(&source))
                    .into_iter()
                    .for_each(|flow| flow.task.abort());
            }
            let (datagrams, queued) = mpsc::channel(QUEUED_MAX);
            let task = streams.spawn(carry(self.server.clone(), self.socket.clone(), source, queued));
            flows.insert(source, Flow { datagrams, task, used_at: now, ended: false });
        }
        if let Some(flow) = flows.get_mut(&source)
            && !flow.ended
        {
            flow.used_at = now;
            // What does not fit is sent again by the protocols above.
            let _ = flow.datagrams.try_send(framed);
        }
    }
}

/// Carries datagrams both ways over one stream until it ends.
async fn carry(
    server: Arc<Server>,
    socket: Arc<UdpSocket>,
    source: SocketAddr,
    mut queued: mpsc::Receiver<Bytes>,
) -> SocketAddr {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, server.connect()).await;
    let stream = match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => stream,
        Err(error) => {
            tell(&server.events, &server.name, Some(&error));
            return source;
        }
    };
    tell(&server.events, &server.name, None);
    let (mut reading, mut writing) = tokio::io::split(stream);
    let outward = async {
        while let Some(framed) = queued.recv().await {
            writing.write_all(&framed).await?;
            if queued.is_empty() {
                writing.flush().await?;
            }
        }
        Ok::<_, io::Error>(())
    };
    let inward = async {
        let mut buffer = BytesMut::with_capacity(DATAGRAM_BYTES_MAX);
        loop {
            while let Some(datagram) = next_datagram(&mut buffer)? {
                // The engine may have closed that socket.
                let _ = socket.send_to(&datagram, source).await;
            }
            buffer.reserve(1);
            if reading.read_buf(&mut buffer).await? == 0 {
                return Ok::<_, io::Error>(());
            }
        }
    };
    let ended = tokio::select! {
        ended = outward => ended,
        ended = inward => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a stream to a TURN server ended");
    }
    source
}
