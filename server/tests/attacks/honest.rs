//! Two peers in a room who send each other candidates while others attack: on a thread and an address of
//! their own, so that only what happens in the server can delay them.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use patchcord_proto::v1::signal_response::Message as Told;

use super::kit::{Peer, connect};

/// Between two messages: a rate that a session may keep up.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long messages were on their way.
#[derive(Clone, Default)]
pub struct Latencies(Vec<Duration>);

/// The pair.
pub struct Honest {
    measured: Arc<Mutex<Latencies>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Latencies {
    /// What that share of the messages took at most.
    pub fn share(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        let took = sorted.get(at).copied().unwrap_or_default();
        Duration::from_micros(u64::try_from(took.as_micros()).unwrap())
    }
}

impl Honest {
    /// Begins to talk.
    pub fn start(server: SocketAddr) -> Self {
        let (measured, stop) = (Arc::<Mutex<Latencies>>::default(), Arc::<AtomicBool>::default());
        let shared = (Arc::clone(&measured), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(talk(server, &shared.0, &shared.1));
        });
        Self { measured, stop, thread }
    }

    /// What messages take while nothing else happens.
    pub async fn measure(&self, time: Duration) -> Latencies {
        tokio::time::sleep(time).await;
        self.measured.lock().unwrap().clone()
    }

    /// Counts from now on.
    pub fn forget(&self) {
        self.measured.lock().unwrap().0.clear();
    }

    /// Ends the talk, in which nothing may have gone wrong.
    pub fn stop(self) -> Latencies {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the honest pair was disturbed");
        std::mem::take(&mut *self.measured.lock().unwrap())
    }
}

async fn talk(server: SocketAddr, measured: &Mutex<Latencies>, stop: &AtomicBool) {
    let mut sender = Peer::open(connect(server).await).await.unwrap();
    sender.join("honest", "sender").await;
    let mut receiver = Peer::open(connect(server).await).await.unwrap();
    receiver.join("honest", "receiver").await;
    assert_eq!(sender.peer_joined().await, receiver.id);
    let to = receiver.id.clone();
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let text = format!("candidate:{number}");
        let started = Instant::now();
        sender.candidate(&to, &text).await;
        match receiver.told().await {
            Told::Candidate(candidate) => assert_eq!(candidate.candidate, text),
            other => panic!("{other:?}"),
        }
        measured.lock().unwrap().0.push(started.elapsed());
        // The sender is told what has been done, and has to read it.
        while sender.last_ack + 32 < sender.seq {
            assert!(sender.response().await.unwrap().unwrap().message.is_none());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
