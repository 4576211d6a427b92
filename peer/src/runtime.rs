//! The engine's clock and sockets. The engine's driver sends what is queued, handles what arrived, then sleeps
//! until a protocol timer; what the handling queued would wait for that. Here a sleep that follows real work
//! returns at once a few times, then after 1, 2, 4 … ms, until the driver is quiet; one that runs out
//! undisturbed lengthens the next. Invariant: an idle connection sleeps as long as its protocols allow.

use std::{
    future::Future,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use crate::{address_gate::AddressGate, handshake_flight::HandshakeFlight, source_filter::SourceFilter};
use tokio::sync::Notify;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime,
    TokioRuntime, Transmit,
};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

const IMMEDIATE_PASSES: u32 = 3;
const DOUBLINGS_MAX: u32 = 12;

/// A burst of one congestion window overflows the usual 208 KiB, and a lost packet costs up to a second.
const SOCKET_BUFFER_BYTES: usize = 1 << 20;

/// For the address of a STUN or TURN server.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

tokio::task_local! {
    /// Set within the engine's tasks, and only there.
    static DRIVER: ();
}

/// The runtime of one connection: it remembers how quiet that connection's driver is.
#[derive(Debug)]
pub(crate) struct SettlingRuntime {
    tokio: TokioRuntime,
    quiet_passes: Arc<AtomicU32>,
    channel_open: Arc<AtomicBool>,
    sources: Arc<parking_lot::Mutex<SourceFilter>>,
    gate: Arc<parking_lot::Mutex<AddressGate>>,
    servers_known: Arc<Notify>,
}

impl SettlingRuntime {
    /// `channel_open` is set by the connection once its channel is open. Its sockets keep to `sources` and to `gate`, which learns here
    /// where the servers are; each time it has, `servers_known` is told.
    pub(crate) fn new(
        channel_open: Arc<AtomicBool>,
        sources: Arc<parking_lot::Mutex<SourceFilter>>,
        gate: Arc<parking_lot::Mutex<AddressGate>>,
        servers_known: Arc<Notify>,
    ) -> Self {
        Self { tokio: TokioRuntime, quiet_passes: Arc::default(), channel_open, sources, gate, servers_known }
    }
}

/// How long the sleep after `quiet_passes` undisturbed ones may last.
fn sleep_max(quiet_passes: u32) -> Option<Duration> {
    match quiet_passes.checked_sub(IMMEDIATE_PASSES) {
        None => Some(Duration::ZERO),
        Some(doublings) if doublings < DOUBLINGS_MAX => Some(Duration::from_millis(1 << doublings)),
        Some(_) => None,
    }
}

impl Runtime for SettlingRuntime {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // Others sleep for what they said: the engine's own time limits.
        if DRIVER.try_with(|()| ()).is_err() {
            return self.tokio.sleep(duration);
        }
        let quiet_passes = self.quiet_passes.load(Relaxed);
        self.quiet_passes.store(quiet_passes.saturating_add(1), Relaxed);
        let duration = sleep_max(quiet_passes).map_or(duration, |max| duration.min(max));
        Box::pin(SettlingSleep {
            sleep: self.tokio.sleep(duration),
            quiet_passes: self.quiet_passes.clone(),
            elapsed: false,
        })
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        // The kernel may grant less; that costs throughput, not correctness.
        let options = socket2::SockRef::from(&socket);
        let _ = options.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        let _ = options.set_send_buffer_size(SOCKET_BUFFER_BYTES);
        let socket = self.tokio.wrap_udp_socket(socket)?;
        // The engine takes new sockets for each ICE generation, and for nothing else.
        self.sources.lock().begin_generation();
        Ok(Arc::new(GuardedSocket {
            socket,
            channel_open: self.channel_open.clone(),
            sources: self.sources.clone(),
            gate: self.gate.clone(),
            flight: Arc::default(),
        }))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        self.tokio.spawn(Box::pin(DRIVER.scope((), future)))
    }

    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        self.tokio.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(&'a self, address: SocketAddr) -> BoxFuture<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        self.tokio.connect_tcp(address)
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        // The driver waits for it, and with it the candidates that need no name.
        Box::pin(async move {
            let resolved = tokio::time::timeout(RESOLVE_TIMEOUT, self.tokio.resolve_host(host)).await;
            let addresses = resolved.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
            // Nobody but servers is resolved: names of peers never reach the engine.
            addresses.iter().for_each(|address| self.gate.lock().add_server(*address));
            self.servers_known.notify_one();
            Ok(addresses)
        })
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.tokio.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.tokio.block_on(future);
    }

    fn name(&self) -> &'static str {
        "patchcord"
    }
}

/// A socket that sends nothing to where no peer may be, keeps DTLS of strangers out, and gives out one datagram a turn of the driver until the channel
/// is open: the driver handles a burst before its events, and so drops data that came in one burst with the
/// end of the SCTP handshake. Until then it sends the last flight of the DTLS handshake again as well.
#[derive(Debug)]
struct GuardedSocket {
    socket: Arc<dyn AsyncUdpSocket>,
    channel_open: Arc<AtomicBool>,
    sources: Arc<parking_lot::Mutex<SourceFilter>>,
    gate: Arc<parking_lot::Mutex<AddressGate>>,
    flight: Arc<Mutex<HandshakeFlight>>,
}

impl GuardedSocket {
    fn flight_sent(&self, datagram: &[u8], destination: SocketAddr) {
        if self.channel_open.load(Relaxed) {
            return;
        }
        if lock(&self.flight).sent(datagram, destination, tokio::time::Instant::now()) {
            let (flight, channel_open) = (self.flight.clone(), self.channel_open.clone());
            tokio::spawn(resend(Arc::downgrade(&self.socket), flight, channel_open, self.gate.clone()));
        }
    }

    /// Moves what is admitted to the front and counts it.
    fn keep_admitted(&self, buffers: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta], received: usize) -> usize {
        let (mut sources, now) = (self.sources.lock(), tokio::time::Instant::now());
        let mut flight = (!self.channel_open.load(Relaxed)).then(|| lock(&self.flight));
        let mut kept = 0;
        for index in 0..received {
            let (length, source) = (meta[index].len, meta[index].addr);
            // The kernel may have joined several datagrams of one source.
            let mut datagrams = buffers[index][..length].chunks(meta[index].stride.max(1));
            if !self.gate.lock().permits(source)
                || !datagrams.all(|datagram| sources.admits(datagram, source, now))
            {
                continue;
            }
            if let Some(flight) = &mut flight {
                flight.received(&buffers[index][..length]);
            }
            if kept < index {
                let (front, back) = buffers.split_at_mut(index);
                front[kept][..length].copy_from_slice(&back[0][..length]);
                meta[kept] = meta[index];
            }
            kept += 1;
        }
        kept
    }
}

impl AsyncUdpSocket for GuardedSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn poll_send(&self, context: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let (permitted, is_server) = {
            let gate = self.gate.lock();
            (gate.permits(transmit.destination), gate.is_server(transmit.destination))
        };
        if !permitted || !self.sources.lock().sends(transmit.contents, transmit.destination, is_server) {
            // As if the network had lost it: the engine may have been told of the address by a check from there.
            return Poll::Ready(Ok(transmit.contents.len()));
        }
        self.flight_sent(transmit.contents, transmit.destination);
        self.socket.poll_send(context, transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut at_most = buffers.len().min(meta.len());
        if !self.channel_open.load(Relaxed) {
            // Only the probe for the rest of a burst comes with this waker; the turn's own receive does not.
            if context.waker().will_wake(Waker::noop()) {
                return Poll::Pending;
            }
            at_most = at_most.min(1);
        }
        loop {
            let received =
                ready!(self.socket.poll_recv(context, &mut buffers[..at_most], &mut meta[..at_most]))?;
            let kept = self.keep_admitted(buffers, meta, received);
            // A stranger's datagram must not end the turn; the socket says when it has no more.
            if kept > 0 || received == 0 {
                return Poll::Ready(Ok(kept));
            }
        }
    }

    fn max_gso_segments(&self) -> usize {
        self.socket.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.socket.max_gro_segments()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked left it as consistent as ever: each step is one insertion.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends a flight again whenever it is due, until the channel is open or the socket is gone.
async fn resend(
    socket: Weak<dyn AsyncUdpSocket>,
    flight: Arc<Mutex<HandshakeFlight>>,
    channel_open: Arc<AtomicBool>,
    gate: Arc<parking_lot::Mutex<AddressGate>>,
) {
    loop {
        let Some(due) = lock(&flight).due() else { return };
        tokio::time::sleep_until(due).await;
        let Some(socket) = socket.upgrade() else { return };
        if channel_open.load(Relaxed) {
            return;
        }
        let datagrams = lock(&flight).resend(tokio::time::Instant::now());
        for (contents, destination) in &datagrams {
            // What was permitted when it first went out need not be any more.
            if !gate.lock().permits(*destination) {
                continue;
            }
            let transmit =
                Transmit { destination: *destination, ecn: None, contents, segment_size: None, src_ip: None };
            // One that cannot go out now is as good as lost; the next time follows.
            let _ = socket.poll_send(&mut Context::from_waker(Waker::noop()), &transmit);
        }
    }
}

struct SettlingSleep {
    sleep: BoxFuture<'static, ()>,
    quiet_passes: Arc<AtomicU32>,
    elapsed: bool,
}

impl Future for SettlingSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let poll = self.sleep.as_mut().poll(context);
        self.elapsed |= poll.is_ready();
        poll
    }
}

/// Dropped before it elapsed: something real happened, so the driver has to settle anew.
impl Drop for SettlingSleep {
    fn drop(&mut self) {
        if !self.elapsed {
            self.quiet_passes.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_lengthen_until_the_protocol_timer_alone_counts() {
        let lengths: Vec<_> = (0..16).map(sleep_max).collect();
        assert_eq!(lengths[..3], [Some(Duration::ZERO); 3]);
        assert_eq!(lengths[3], Some(Duration::from_millis(1)));
        assert_eq!(lengths[14], Some(Duration::from_millis(2048)));
        assert_eq!(lengths[15], None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_limit_outside_the_driver_is_not_shortened() {
        let runtime = SettlingRuntime::new(Arc::default(), Arc::default(), Arc::default(), Arc::default());
        let begun = tokio::time::Instant::now();
        runtime.sleep(Duration::from_millis(100)).await;
        assert!(begun.elapsed() >= Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupted_sleep_makes_the_driver_settle_again() {
        let runtime = SettlingRuntime::new(Arc::default(), Arc::default(), Arc::default(), Arc::default());
        let driver = async {
            for _ in 0..5 {
                runtime.sleep(Duration::from_secs(3600)).await;
            }
            assert_eq!(runtime.quiet_passes.load(Relaxed), 5);
            drop(runtime.sleep(Duration::from_secs(3600)));
            assert_eq!(runtime.quiet_passes.load(Relaxed), 0);
        };
        DRIVER.scope((), driver).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_goes_out_again_only_to_where_packets_may_still_go() {
        let (peer, socket) =
            (tokio::net::UdpSocket::bind("127.0.0.1:0"), std::net::UdpSocket::bind("127.0.0.1:0"));
        let (peer, socket) = (peer.await.unwrap(), socket.unwrap());
        socket.set_nonblocking(true).unwrap();
        let socket: Arc<dyn AsyncUdpSocket> = TokioRuntime.wrap_udp_socket(socket).unwrap();
        for (loopback, expected) in [(false, 0), (true, 5)] {
            let gate = Arc::new(parking_lot::Mutex::new(AddressGate { loopback, ..AddressGate::default() }));
            let flight = Arc::<Mutex<HandshakeFlight>>::default();
            lock(&flight).sent(&[22], peer.local_addr().unwrap(), tokio::time::Instant::now());
            resend(Arc::downgrade(&socket), flight, Arc::default(), gate).await;
            let mut datagram = [0; 8];
            let received = std::iter::from_fn(|| peer.try_recv(&mut datagram).ok()).count();
            assert_eq!(received, expected);
        }
    }
}
