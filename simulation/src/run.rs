//! One run: a server, a few peers, and what goes wrong between them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use patchcord_server::Config;
use tokio::{sync::Notify, time::sleep};
use tokio_stream::wrappers::ReceiverStream;
use turmoil::Sim;

use crate::{
    checker,
    faults::{self, Step},
    history::{Counts, History},
    network::{Cuts, SERVER, listen},
    peer::{Context, TALK_UNTIL},
    random::Random,
};

const TICK: Duration = Duration::from_millis(4);
const LATENCY_MIN: Duration = Duration::from_millis(1);
/// What is on its way arrives.
const END_AT: Duration = TALK_UNTIL.saturating_add(Duration::from_secs(8));
const GRACE_TIME_S: u64 = 10;

/// Of the seed: each has its own source of numbers.
const STREAM_FAULTS: u64 = 1;
const STREAM_NETWORK: u64 = 2;
const STREAM_SERVER: u64 = 3;
const STREAM_SESSIONS: u64 = 4;
const STREAM_LATENCY: u64 = 5;
const STREAM_PEERS: u64 = 100;

/// What became of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Of everything that everybody did and was told.
    pub hash: u64,
    /// What must not be.
    pub violations: Vec<String>,
    /// What was done and told.
    pub counts: Counts,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// All of it, when asked for.
    pub lines: Vec<String>,
}

struct Stage<'a> {
    sim: Sim<'a>,
    peers: Vec<Rc<Context>>,
    cuts_by_peer: Cuts,
    cuts_by_server: Cuts,
    drain: Arc<Notify>,
    random: Random,
    change_at: Duration,
    /// Peers whose link a fault has made slow.
    slow: BTreeSet<usize>,
}

/// Lives through the history that this seed is.
///
/// # Panics
/// When the server ends without being told.
pub fn run(seed: u64, keeps_lines: bool) -> Outcome {
    patchcord_server::simulation::seed(Some(Random::new(seed, STREAM_SERVER).next()));
    patchcord_peer::simulation::seed(Some(Random::new(seed, STREAM_SESSIONS).next()));
    let mut random = Random::new(seed, STREAM_FAULTS);
    let peers_count = 3 + random.below(3);
    let bursts = random.once_in(4);
    let plan = faults::plan(&mut random, peers_count);
    let history = Rc::new(RefCell::new(History::new(keeps_lines)));
    let mut stage = Stage::new(seed, peers_count, bursts, &history);
    let mut faults = BTreeMap::new();
    for (at, step) in plan {
        stage.run_until(at);
        history.borrow_mut().note(at, &format!("{step:?}"));
        stage.take(step);
        if let Some(fault) = step.fault() {
            *faults.entry(fault).or_default() += 1;
        }
    }
    stage.run_until(END_AT);
    let peers = stage.peers.clone();
    let violations = checker::violations(&history.borrow(), &peers);
    drop(stage);
    patchcord_server::simulation::seed(None);
    patchcord_peer::simulation::seed(None);
    let mut history = history.borrow_mut();
    let (hash, counts) = (history.hash(), history.counts.clone());
    Outcome { hash, violations, counts, faults, lines: history.lines.take().unwrap_or_default() }
}

impl Stage<'_> {
    fn new(seed: u64, peers_count: usize, bursts: bool, history: &Rc<RefCell<History>>) -> Self {
        let mut sim = turmoil::Builder::new()
            .rng_seed(Random::new(seed, STREAM_NETWORK).next())
            .tick_duration(TICK)
            .simulation_duration(END_AT * 2)
            // Of each link, set as time goes by. What turmoil itself draws, a latency for each message or an order of
            // hosts, would depend on the order in which tokio wakes the waiters of a `watch`, and that is random.
            .min_message_latency(LATENCY_MIN)
            .max_message_latency(LATENCY_MIN)
            .build();
        let (cuts_by_peer, cuts_by_server, drain) = (Cuts::default(), Cuts::default(), Arc::default());
        let (cuts, shutdown) = (cuts_by_server.clone(), Arc::clone(&drain));
        sim.host(SERVER, move || serve(cuts.clone(), Arc::clone(&shutdown)));
        let peers: Vec<_> = (0..peers_count)
            .map(|index| {
                let context = Rc::new(Context {
                    index,
                    address: sim.lookup(host(index)),
                    cuts: cuts_by_peer.clone(),
                    bursts,
                    random: RefCell::new(Random::new(seed, STREAM_PEERS + index as u64)),
                    history: Rc::clone(history),
                    now: RefCell::default(),
                });
                let living = Rc::clone(&context);
                sim.host(host(index), move || Rc::clone(&living).live());
                context
            })
            .collect();
        let (random, slow) = (Random::new(seed, STREAM_LATENCY), BTreeSet::new());
        Self { sim, peers, cuts_by_peer, cuts_by_server, drain, random, change_at: Duration::ZERO, slow }
    }

    fn run_until(&mut self, at: Duration) {
        while self.sim.elapsed() < at {
            if self.sim.elapsed() >= self.change_at {
                self.change_latency();
            }
            self.sim.step().expect("the server ends only when it is told");
        }
    }

    /// Another latency for one of the links.
    fn change_latency(&mut self) {
        self.change_at += self.random.millis(10, 200);
        let (peer, latency) = (self.random.below(self.peers.len()), self.random.millis(1, 40));
        if !self.slow.contains(&peer) {
            self.sim.set_link_latency(host(peer), SERVER, latency);
        }
    }

    fn take(&mut self, step: Step) {
        let Self { sim, .. } = self;
        match step {
            Step::Partition(peer) => sim.partition(host(peer), SERVER),
            Step::PartitionUp(peer) => sim.partition_oneway(host(peer), SERVER),
            Step::PartitionDown(peer) => sim.partition_oneway(SERVER, host(peer)),
            Step::Repair(peer) => sim.repair(host(peer), SERVER),
            Step::Hold(peer) => sim.hold(host(peer), SERVER),
            Step::Release(peer) => sim.release(host(peer), SERVER),
            Step::CutByPeer(peer) => self.cuts_by_peer.cut(self.peers[peer].address),
            Step::CutByServer(peer) => self.cuts_by_server.cut(self.peers[peer].address),
            Step::Slow(peer, delay) => {
                sim.set_link_latency(host(peer), SERVER, delay.max(LATENCY_MIN));
                match delay.is_zero() {
                    true => self.slow.remove(&peer),
                    false => self.slow.insert(peer),
                };
            }
            Step::CrashServer => sim.crash(SERVER),
            Step::StartServer if !sim.is_host_running(SERVER) => sim.bounce(SERVER),
            Step::StartServer => {}
            Step::DrainServer => self.drain.notify_waiters(),
            Step::CrashPeer(peer) => {
                sim.crash(host(peer));
                self.peers[peer].crash();
            }
            Step::StartPeer(peer) if !sim.is_host_running(host(peer)) => sim.bounce(host(peer)),
            Step::StartPeer(_) => {}
        }
    }
}

fn host(peer: usize) -> String {
    format!("peer-{peer}")
}

/// Servers, one after the other; each ends when it is told to.
async fn serve(cuts: Cuts, drain: Arc<Notify>) -> turmoil::Result {
    loop {
        let config = Config { no_admin: true, grace_time_s: GRACE_TIME_S, ..Config::default() };
        let (connections, accepting) = listen(cuts.clone()).await?;
        let accepting = tokio::spawn(accepting);
        let told = Arc::clone(&drain);
        let shutdown = async move { told.notified().await };
        patchcord_server::simulation::serve(config, ReceiverStream::new(connections), shutdown).await?;
        accepting.await?;
        sleep(Duration::from_millis(200)).await;
    }
}
