//! A bad network for UDP: forwards between many clients and one upstream address, with a delay, jitter, and from
//! SIGUSR1 on loss and reordering, as a seed decides. At SIGTERM it prints what it did as one JSON object.
//!
//! Invariant: no more than `QUEUE_MAX` datagrams wait; one more is dropped and counted.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    io::Write,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use tokio::{
    net::UdpSocket,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::Instant,
};

/// Datagrams that wait for their time.
const QUEUE_MAX: usize = 4096;

/// Clients, each with a socket of its own towards the upstream; datagrams of one more are dropped.
const CLIENTS_MAX: usize = 64;

/// Datagrams read from upstream and not yet looked at.
const ARRIVALS_MAX: usize = 1024;

const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Forwards UDP badly, the same in both directions.
#[derive(Parser)]
struct Args {
    /// Where clients send to.
    listen: SocketAddr,
    /// Where it is forwarded to.
    upstream: SocketAddr,
    /// Milliseconds that every datagram is held.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Up to so many milliseconds more; it does not reorder.
    #[arg(long, default_value_t = 0)]
    jitter_ms: u64,
    /// Share of datagrams that is lost, from SIGUSR1 on.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    loss: f64,
    /// Share of datagrams that is held for --reorder-ms more from SIGUSR1 on, so that later ones overtake it.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    reorder: f64,
    /// See --reorder.
    #[arg(long, default_value_t = 20)]
    reorder_ms: u64,
    /// The same seed and the same arrivals have the same fates.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("a share is 0 to 1".into()) }
}

/// What becomes of datagrams in one direction. Pure but for its random numbers, which the seed determines.
struct Impairment {
    delay: Duration,
    jitter: Duration,
    loss: f64,
    reorder: f64,
    reorder_by: Duration,
    /// Whether it loses and reorders.
    worse: bool,
    /// Nothing that is not reordered leaves earlier.
    last_due: Option<Instant>,
    state: u64,
}

impl Impairment {
    fn new(args: &Args, direction: u64) -> Self {
        Self {
            delay: Duration::from_millis(args.delay_ms),
            jitter: Duration::from_millis(args.jitter_ms),
            loss: args.loss,
            reorder: args.reorder,
            reorder_by: Duration::from_millis(args.reorder_ms),
            worse: false,
            last_due: None,
            state: args.seed.wrapping_mul(2).wrapping_add(direction),
        }
    }

    /// When a datagram that arrived `now` is to leave, if ever.
    fn due(&mut self, now: Instant) -> Option<Instant> {
        // Always three numbers a datagram, so that its fate does not depend on those before it.
        let (lost, reordered, jitter) = (self.random(), self.random(), self.random());
        if self.worse && lost < self.loss {
            return None;
        }
        let due = now + self.delay + self.jitter.mul_f64(jitter);
        if self.worse && reordered < self.reorder {
            return Some(due + self.reorder_by);
        }
        let due = self.last_due.map_or(due, |last| due.max(last));
        self.last_due = Some(due);
        Some(due)
    }

    /// SplitMix64, as a share.
    fn random(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A datagram on its way out. Ordered by time, then by arrival.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Departure {
    due: Instant,
    arrival: u64,
    route: Route,
    datagram: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Route {
    Up { client: SocketAddr },
    Down { client: SocketAddr },
}

#[derive(Default)]
struct Counts {
    forwarded: u64,
    lost: u64,
    overtaken: u64,
    overflowed: u64,
}

struct Relay {
    listener: Arc<UdpSocket>,
    upstream: SocketAddr,
    clients: HashMap<SocketAddr, Arc<UdpSocket>>,
    arrivals: mpsc::Sender<(SocketAddr, Vec<u8>)>,
    queue: BinaryHeap<Reverse<Departure>>,
    up: Impairment,
    down: Impairment,
    arrival: u64,
    /// The latest arrival that left, up and down.
    departed: [u64; 2],
    counts: Counts,
}

impl Relay {
    async fn run(mut self, mut arrivals: mpsc::Receiver<(SocketAddr, Vec<u8>)>) -> anyhow::Result<Counts> {
        let mut worsen = signal(SignalKind::user_defined1())?;
        let mut terminate = signal(SignalKind::terminate())?;
        println!("ready");
        std::io::stdout().flush()?;
        let listener = self.listener.clone();
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let next = self.queue.peek().map(|Reverse(departure)| departure.due);
            tokio::select! {
                _ = terminate.recv() => return Ok(self.counts),
                _ = worsen.recv() => {
                    self.up.worse = true;
                    self.down.worse = true;
                }
                () = sleep_until(next) => self.depart().await,
                received = listener.recv_from(&mut buffer) => {
                    let (length, client) = received.context("cannot receive")?;
                    if self.admit(client).await? {
                        self.enqueue(Route::Up { client }, buffer[..length].to_vec());
                    }
                }
                Some((client, datagram)) = arrivals.recv() => self.enqueue(Route::Down { client }, datagram),
            }
        }
    }

    /// Gives a client its own socket towards the upstream, as a NAT does; says whether it has one.
    async fn admit(&mut self, client: SocketAddr) -> anyhow::Result<bool> {
        if self.clients.contains_key(&client) {
            return Ok(true);
        }
        if self.clients.len() >= CLIENTS_MAX {
            self.counts.overflowed += 1;
            return Ok(false);
        }
        let socket = Arc::new(UdpSocket::bind((self.listener.local_addr()?.ip(), 0)).await?);
        socket.connect(self.upstream).await?;
        self.clients.insert(client, socket.clone());
        let arrivals = self.arrivals.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
            loop {
                // An ICMP error says that one datagram did not arrive; others may.
                let Ok(length) = socket.recv(&mut buffer).await else { continue };
                // The kernel's own buffer is behind it, and drops.
                if arrivals.send((client, buffer[..length].to_vec())).await.is_err() {
                    return;
                }
            }
        });
        Ok(true)
    }

    fn enqueue(&mut self, route: Route, datagram: Vec<u8>) {
        let impairment = match route {
            Route::Up { .. } => &mut self.up,
            Route::Down { .. } => &mut self.down,
        };
        let Some(due) = impairment.due(Instant::now()) else {
            self.counts.lost += 1;
            return;
        };
        if self.queue.len() >= QUEUE_MAX {
            self.counts.overflowed += 1;
            return;
        }
        self.arrival += 1;
        self.queue.push(Reverse(Departure { due, arrival: self.arrival, route, datagram }));
    }

    /// Sends the first of the queue.
    async fn depart(&mut self) {
        let Some(Reverse(Departure { arrival, route, datagram, .. })) = self.queue.pop() else { return };
        let (direction, sent) = match route {
            Route::Up { client } => match self.clients.get(&client) {
                Some(socket) => (0, socket.send(&datagram).await),
                None => return,
            },
            Route::Down { client } => (1, self.listener.send_to(&datagram, client).await),
        };
        if self.departed[direction] > arrival {
            self.counts.overtaken += 1;
        }
        self.departed[direction] = self.departed[direction].max(arrival);
        match sent {
            Ok(_) => self.counts.forwarded += 1,
            // Nobody listens there any more, or the kernel's buffer is full.
            Err(_) => self.counts.overflowed += 1,
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let listener = UdpSocket::bind(args.listen).await.context("cannot listen")?;
    let (arrivals, arrival_rx) = mpsc::channel(ARRIVALS_MAX);
    let relay = Relay {
        listener: Arc::new(listener),
        upstream: args.upstream,
        clients: HashMap::new(),
        arrivals,
        queue: BinaryHeap::new(),
        up: Impairment::new(&args, 0),
        down: Impairment::new(&args, 1),
        arrival: 0,
        departed: [0; 2],
        counts: Counts::default(),
    };
    let Counts { forwarded, lost, overtaken, overflowed } = relay.run(arrival_rx).await?;
    println!(
        "{}",
        serde_json::json!({
            "forwarded": forwarded, "lost": lost, "overtaken": overtaken, "overflowed": overflowed,
        })
    );
    Ok(())
}
