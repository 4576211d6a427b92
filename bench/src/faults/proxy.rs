//! A bad network for TCP: forwards connections, and on demand cuts them in the middle of whatever they carry,
//! holds them, or lets nobody in.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

const BUFFER_BYTES: usize = 16 * 1024;

/// A connection that carries too little to be cut where it should is cut after this time.
pub(crate) const CUT_AT_THE_LATEST: Duration = Duration::from_millis(300);

/// What is to become of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Pass,
    /// After so many bytes more, both directions together.
    Cut {
        after_bytes: usize,
    },
    Hold {
        until: Instant,
    },
}

/// The proxy; forwards until it is dropped.
pub(crate) struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    accepting: tokio::task::JoinHandle<()>,
}

struct Shared {
    upstream: SocketAddr,
    refuses: AtomicBool,
    next: AtomicU64,
    links: Mutex<HashMap<u64, watch::Sender<Order>>>,
}

impl Proxy {
    pub(crate) async fn start(upstream: SocketAddr) -> std::io::Result<Self> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        // All may come back at once.
        let listener = socket.listen(4096)?;
        let port = listener.local_addr()?.port();
        let links = Mutex::default();
        let shared = Arc::new(Shared { upstream, refuses: false.into(), next: 0.into(), links });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { port, shared, accepting })
    }

    /// From now on whoever comes is turned away, or not any more.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.shared.refuses.store(refuse, Ordering::Relaxed);
    }

    /// The connections there are, by number.
    pub(crate) fn links(&self) -> Vec<u64> {
        let mut links: Vec<u64> = self.shared.links().keys().copied().collect();
        links.sort_unstable();
        links
    }

    pub(crate) fn order(&self, link: u64, order: Order) {
        if let Some(link) = self.shared.links().get(&link) {
            link.send_replace(order);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, HashMap<u64, watch::Sender<Order>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if shared.refuses.load(Ordering::Relaxed) {
            reset(client);
            continue;
        }
        tokio::spawn(carry(client, Arc::clone(&shared)));
    }
}

/// Carries one connection to its end.
async fn carry(client: TcpStream, shared: Arc<Shared>) {
    let number = shared.next.fetch_add(1, Ordering::Relaxed);
    let (order, orders) = watch::channel(Order::Pass);
    shared.links().insert(number, order);
    if let Ok(server) = TcpStream::connect(shared.upstream).await {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (client_in, client_out) = client.into_split();
        let (server_in, server_out) = server.into_split();
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let up = pump(client_in, server_out, orders.clone(), Arc::clone(&left));
        let down = pump(server_in, client_out, orders, left);
        // A half-closed one is closed soon: a session does not outlive its half.
        let ((client_in, server_out), (server_in, client_out)) = tokio::join!(up, down);
        for (reader, writer) in [(client_in, client_out), (server_in, server_out)] {
            if let Ok(stream) = reader.reunite(writer) {
                // Every other cut is a reset, the others look like an end.
                if number.is_multiple_of(2) { reset(stream) } else { drop(stream) }
            }
        }
    }
    shared.links().remove(&number);
}

/// Forwards one direction until it ends or is cut.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut orders: watch::Receiver<Order>,
    left: Arc<AtomicUsize>,
) -> (OwnedReadHalf, OwnedWriteHalf) {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut cut_at: Option<Instant> = None;
    loop {
        let order = *orders.borrow_and_update();
        match order {
            Order::Pass => {}
            Order::Cut { after_bytes } if cut_at.is_none() => {
                left.fetch_min(after_bytes, Ordering::Relaxed);
                cut_at = Some(Instant::now() + CUT_AT_THE_LATEST);
            }
            Order::Cut { .. } => {}
            Order::Hold { until } => {
                // Another order ends it.
                let _ = timeout(until.saturating_duration_since(Instant::now()), orders.changed()).await;
                if Instant::now() < until {
                    continue;
                }
            }
        }
        if left.load(Ordering::Relaxed) == 0 {
            break;
        }
        let overdue = cut_at.unwrap_or_else(|| Instant::now() + CUT_AT_THE_LATEST);
        tokio::select! {
            read = from.read(&mut buffer) => {
                let Ok(read @ 1..) = read else { break };
                let allowed = allow(&left, read);
                if to.write_all(&buffer[..allowed]).await.is_err() || allowed < read {
                    break;
                }
            }
            changed = orders.changed() => if changed.is_err() { break },
            () = sleep_until(overdue) => if cut_at.is_some() { break },
        }
    }
    // The other direction is cut with this one.
    left.store(0, Ordering::Relaxed);
    let _ = to.shutdown().await;
    (from, to)
}

/// Takes up to `wanted` of what is left.
fn allow(left: &AtomicUsize, wanted: usize) -> usize {
    let taken = |left: usize| if left == usize::MAX { Some(left) } else { Some(left.saturating_sub(wanted)) };
    match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken) {
        Ok(before) | Err(before) => before.min(wanted),
    }
}

fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
}
