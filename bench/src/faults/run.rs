//! A run: rounds of random faults, each followed by a time in which all heals and must be found to have healed.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::SocketAddr,
    time::Duration,
};

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{
    chaos::{Fault, Plan, Undo},
    children::{Ear, GRACE_TIME, Peers, Process, free_address, start_server},
    peer::{Command, State, now},
    proxy::{CUT_AT_THE_LATEST, Order, Proxy},
};
use crate::figures::Sample;

/// Rosters must agree this long after the last peer is back.
const AGREE_WITHIN: Duration = Duration::from_secs(2);

/// For all peers to be back: the longest wait between attempts, one attempt, and something to spare.
const BACK_WITHIN: Duration = Duration::from_secs(25);

/// For what is on its way to arrive once all are back.
const ARRIVE_WITHIN: Duration = Duration::from_secs(5);

const INQUIRE_EVERY: Duration = Duration::from_millis(20);
const ROUND: Duration = Duration::from_secs(8);

/// What is running.
pub(crate) struct Run {
    pub ear: Ear,
    /// Each fault as it began and ended.
    pub faults: Vec<(Fault, u64, u64)>,
    pub healed: Sample,
    pub agreed: Sample,
    /// What was found while it ran.
    pub violations: Vec<String>,
    address: SocketAddr,
    server: Option<Process>,
    proxy: Proxy,
    peers: Vec<Option<Peers>>,
    peers_per_process: u64,
    next_writer: u64,
    command: Command,
    undo: Vec<(Instant, Undo, usize)>,
}

impl Run {
    pub(crate) async fn start(processes: usize, peers_per_process: u64) -> anyhow::Result<Self> {
        let address = free_address()?;
        let server = Some(start_server(address).await?);
        let proxy = Proxy::start(address).await?;
        let mut run = Self {
            ear: Ear::default(),
            faults: Vec::new(),
            healed: Sample::default(),
            agreed: Sample::default(),
            violations: Vec::new(),
            address,
            server,
            proxy,
            peers: Vec::new(),
            peers_per_process,
            next_writer: 1,
            command: Command::default(),
            undo: Vec::new(),
        };
        for _ in 0..processes {
            let peers = run.start_peers()?;
            run.peers.push(Some(peers));
        }
        Ok(run)
    }

    /// Faults for about `duration`; then everything must be well and every session that is gone be forgotten.
    pub(crate) async fn go(&mut self, plan: &mut Plan, duration: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + duration;
        self.settle().await?;
        let mut round = 0;
        while Instant::now() < end && self.violations.is_empty() {
            round += 1;
            self.write(true).await?;
            self.disturb(plan, (Instant::now() + ROUND).min(end), round).await?;
            self.settle().await?;
        }
        self.forget().await
    }

    async fn disturb(&mut self, plan: &mut Plan, end: Instant, round: usize) -> anyhow::Result<()> {
        while Instant::now() < end {
            let (wait, fault) = plan.next(round);
            let at = Instant::now() + wait;
            self.undo_until(at).await?;
            self.inflict(plan, fault).await?;
        }
        self.undo_until(end).await
    }

    /// Ends what is to end before `at`, and waits until then.
    async fn undo_until(&mut self, at: Instant) -> anyhow::Result<()> {
        self.undo.sort_unstable_by_key(|(at, ..)| *at);
        while self.undo.first().is_some_and(|(due, ..)| *due <= at) {
            let (due, undo, fault) = self.undo.remove(0);
            tokio::time::sleep_until(due).await;
            self.undo(undo).await?;
            self.faults[fault].2 = now();
        }
        tokio::time::sleep_until(at).await;
        Ok(())
    }

    async fn inflict(&mut self, plan: &mut Plan, fault: Fault) -> anyhow::Result<()> {
        let lasts = plan.lasts(fault);
        let undo = match fault {
            Fault::Cut | Fault::CutAll => {
                let links = plan.some(self.proxy.links(), fault == Fault::CutAll);
                for link in links {
                    self.proxy.order(link, Order::Cut { after_bytes: plan.bytes() });
                }
                None
            }
            Fault::Hold => {
                let until = Instant::now() + lasts;
                for link in plan.some(self.proxy.links(), false) {
                    self.proxy.order(link, Order::Hold { until });
                }
                Some(Undo::Nothing)
            }
            Fault::Refuse => {
                self.proxy.refuse(true);
                Some(Undo::Admit)
            }
            Fault::StopPeers => {
                let chosen = plan.index(self.peers.len());
                let Some(Some(peers)) = self.peers.get(chosen) else { return Ok(()) };
                peers.process.signal(Signal::STOP)?;
                Some(Undo::ContinuePeers(chosen))
            }
            Fault::KillPeers => {
                let chosen = plan.index(self.peers.len());
                let Some(peers) = self.peers.get_mut(chosen).and_then(Option::take) else { return Ok(()) };
                peers.kill().await?;
                Some(Undo::StartPeers(chosen))
            }
            Fault::StopServer => {
                let Some(server) = &self.server else { return Ok(()) };
                server.signal(Signal::STOP)?;
                Some(Undo::ContinueServer)
            }
            Fault::KillServer => {
                let Some(server) = self.server.take() else { return Ok(()) };
                server.kill().await?;
                Some(Undo::StartServer)
            }
        };
        let began = now();
        self.faults.push((fault, began, began));
        if let Some(undo) = undo {
            self.undo.push((Instant::now() + lasts, undo, self.faults.len() - 1));
        }
        Ok(())
    }

    async fn undo(&mut self, undo: Undo) -> anyhow::Result<()> {
        match undo {
            Undo::Nothing => {}
            Undo::Admit => self.proxy.refuse(false),
            Undo::ContinuePeers(index) => {
                if let Some(Some(peers)) = self.peers.get(index) {
                    peers.process.signal(Signal::CONT)?;
                }
            }
            Undo::StartPeers(index) => {
                let mut peers = self.start_peers()?;
                peers.order(self.command).await?;
                self.peers[index] = Some(peers);
            }
            Undo::ContinueServer => {
                if let Some(server) = &self.server {
                    server.signal(Signal::CONT)?;
                }
            }
            Undo::StartServer => self.server = Some(start_server(self.address).await?),
        }
        Ok(())
    }

    fn start_peers(&mut self) -> anyhow::Result<Peers> {
        let first_writer = self.next_writer;
        self.next_writer += self.peers_per_process;
        Peers::start(self.proxy.port, self.peers_per_process, first_writer, self.ear.clone())
    }

    async fn write(&mut self, writing: bool) -> anyhow::Result<()> {
        self.command.writing = writing;
        self.tell().await
    }

    async fn tell(&mut self) -> anyhow::Result<()> {
        for peers in self.peers.iter_mut().flatten() {
            peers.order(self.command).await?;
        }
        Ok(())
    }

    /// Ends all faults and waits until all peers are back, agree on who is there, and have got everything.
    async fn settle(&mut self) -> anyhow::Result<()> {
        let last = self.undo.iter().map(|(at, ..)| *at).max();
        self.undo_until(last.unwrap_or_else(Instant::now)).await?;
        self.write(false).await?;
        // Cuts that were ordered come by then.
        sleep(CUT_AT_THE_LATEST).await;
        let healed = Instant::now();
        let Some(states) = self.states_when(BACK_WITHIN, are_back).await? else {
            return self.object("not all peers came back").await;
        };
        self.healed.add(healed.elapsed());
        let back = Instant::now();
        if self.states_when(AGREE_WITHIN, agree).await?.is_none() {
            return self.object("the rosters do not agree").await;
        }
        self.agreed.add(back.elapsed());
        let sessions: Vec<String> = states.into_values().map(|state| state.session).collect();
        let alive: HashSet<String> = sessions.iter().cloned().collect();
        let deadline = Instant::now() + ARRIVE_WITHIN;
        while self.ear.said().history.on_their_way(&alive) > 0 && Instant::now() < deadline {
            sleep(INQUIRE_EVERY).await;
        }
        self.ear.said().history.settle(now(), sessions);
        Ok(())
    }

    /// Waits until rosters hold those who are there and nobody else.
    async fn forget(&mut self) -> anyhow::Result<()> {
        match self.states_when(GRACE_TIME + AGREE_WITHIN, know_only_each_other).await? {
            Some(_) => Ok(()),
            None => self.object("sessions that are gone stay in rosters").await,
        }
    }

    async fn object(&mut self, what: &str) -> anyhow::Result<()> {
        let states = self.inquire().await?;
        let mut rosters: BTreeMap<BTreeSet<(String, bool)>, Vec<u64>> = BTreeMap::new();
        for state in states.values() {
            rosters.entry(members(state)).or_default().push(state.writer);
        }
        let away: Vec<u64> =
            states.values().filter(|state| !is_back(state)).map(|state| state.writer).collect();
        let views: Vec<_> = rosters.iter().map(|(members, writers)| (members.len(), writers)).collect();
        let all = self.peers.len() as u64 * self.peers_per_process;
        let answers = states.len();
        self.violations.push(format!(
            "{what}: {answers} of {all} peers answer, away are {away:?}; rosters by size and who has them: {views:?}"
        ));
        Ok(())
    }

    /// All states, once they are as they should be; `None` when they are not in time.
    async fn states_when(
        &mut self,
        within: Duration,
        is_so: fn(&BTreeMap<u64, State>) -> bool,
    ) -> anyhow::Result<Option<BTreeMap<u64, State>>> {
        let deadline = Instant::now() + within;
        loop {
            let states = self.inquire().await?;
            let complete = states.len() as u64 == self.peers.len() as u64 * self.peers_per_process;
            if complete && is_so(&states) {
                return Ok(Some(states));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
        }
    }

    /// The answers that come soon to a new inquiry.
    async fn inquire(&mut self) -> anyhow::Result<BTreeMap<u64, State>> {
        self.command.inquiry += 1;
        let inquiry = self.command.inquiry;
        self.tell().await?;
        sleep(INQUIRE_EVERY).await;
        let mut said = self.ear.said();
        said.states.retain(|_, state| state.inquiry + 50 > inquiry);
        Ok(said.states.iter().filter(|(_, state)| state.inquiry == inquiry).map(own).collect())
    }
}

fn own((writer, state): (&u64, &State)) -> (u64, State) {
    (*writer, state.clone())
}

fn is_back(state: &State) -> bool {
    state.attached && state.unacknowledged == 0
}

fn are_back(states: &BTreeMap<u64, State>) -> bool {
    states.values().all(is_back)
}

/// The room as one of its members sees it.
fn members(state: &State) -> BTreeSet<(String, bool)> {
    let others = state.roster.iter().map(|(id, attached)| (id.clone(), *attached));
    others.chain([(state.session.clone(), true)]).collect()
}

fn agree(states: &BTreeMap<u64, State>) -> bool {
    let rosters: BTreeSet<_> = states.values().map(members).collect();
    let Some(roster) = rosters.first() else { return true };
    rosters.len() == 1 && states.values().all(|state| roster.contains(&(state.session.clone(), true)))
}

fn know_only_each_other(states: &BTreeMap<u64, State>) -> bool {
    let there: BTreeSet<_> = states.values().map(|state| (state.session.clone(), true)).collect();
    states.values().all(|state| members(state) == there)
}
