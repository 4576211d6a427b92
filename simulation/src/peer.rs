//! One simulated peer: it joins, talks to whoever is there, and writes down what it does and is told. Its
//! process may crash and start again at any time; then it joins anew.

use std::{cell::RefCell, net::IpAddr, rc::Rc, time::Duration};

use patchcord_peer::{
    Config, Peer, PeerId,
    simulation::{Entry, Line, Told},
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    history::{History, News, roster},
    network::{Cuts, SERVER, connector},
    random::Random,
};

const ROOMS: [&str; 2] = ["harbour", "lighthouse"];

/// After this nobody says anything any more.
pub const TALK_UNTIL: Duration = Duration::from_secs(60);
/// At this time each peer takes the name that it has at the end.
const LAST_NAME_AT: Duration = Duration::from_secs(58);

/// What a peer starts with, each time it starts.
pub struct Context {
    /// Which one.
    pub index: usize,
    /// Where it is.
    pub address: IpAddr,
    /// For its connections.
    pub cuts: Cuts,
    /// All say much at once now and then, more than can wait for a peer.
    pub bursts: bool,
    /// Of this peer alone.
    pub random: RefCell<Random>,
    /// Of all.
    pub history: Rc<RefCell<History>>,
    /// Its session, while it has one.
    pub now: RefCell<Option<PeerId>>,
}

/// The time of the run.
fn elapsed() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

impl Context {
    /// In most runs all are in one room.
    pub fn room(&self) -> &'static str {
        ROOMS[usize::from(self.index >= 4)]
    }

    /// The name that it has in the end.
    pub fn last_name(&self) -> String {
        format!("peer {} at last", self.index)
    }

    /// Lives until the run is over or the process crashes.
    pub async fn live(self: Rc<Self>) -> turmoil::Result {
        // Not all in the same millisecond.
        let wait = self.random.borrow_mut().millis(0, 500);
        sleep(wait).await;
        let mut config =
            Config::new(format!("http://{SERVER}:50051"), self.room(), format!("peer {}", self.index));
        config.join_timeout = Duration::from_secs(5);
        let (mut line, entry) = loop {
            match Line::join(&config, connector(&self.cuts, self.address)).await {
                Ok(joined) => break joined,
                Err(error) => self.note(&format!("cannot join: {error}")),
            }
            let wait = self.random.borrow_mut().millis(200, 2_000);
            sleep(wait).await;
        };
        self.begin(entry);
        let mut send_at = Instant::now();
        let mut is_renamed = false;
        loop {
            tokio::select! {
                biased;
                told = line.told() => match told {
                    Some(told) => self.hear(told),
                    None => break,
                },
                () = sleep_until(send_at) => send_at = self.say(&line, &mut is_renamed),
            }
        }
        self.history.borrow_mut().violations.push(format!("the session of peer {} ended", self.index));
        std::future::pending().await
    }

    /// The process crashes.
    pub fn crash(&self) {
        if let Some(peer_id) = self.now.borrow_mut().take() {
            self.history.borrow_mut().session(&peer_id).alive = false;
        }
    }

    fn note(&self, line: &str) {
        self.history.borrow_mut().note(elapsed(), &format!("peer {}: {line}", self.index));
    }

    fn id(&self) -> PeerId {
        self.now.borrow().clone().expect("whoever has a session has an id")
    }

    fn begin(&self, Entry { peer_id, peers }: Entry) {
        let names: Vec<_> = peers.iter().map(|peer| peer.id.short()).collect();
        self.note(&format!("joined as {peer_id} beside {names:?}"));
        self.crash();
        self.history.borrow_mut().begin(&peer_id, self.room(), &peers);
        *self.now.borrow_mut() = Some(peer_id);
    }

    /// Says something to somebody; when again.
    fn say(&self, line: &Line, is_renamed: &mut bool) -> Instant {
        let now = elapsed();
        if now > TALK_UNTIL {
            return Instant::now() + Duration::from_secs(3_600);
        }
        if now > LAST_NAME_AT && !*is_renamed {
            *is_renamed = line.rename(self.last_name());
        }
        let mut random = self.random.borrow_mut();
        let messages = if self.bursts && random.once_in(20) { 20 + random.below(230) } else { 1 };
        let peers: Vec<_> = self.history.borrow_mut().session(&self.id()).roster.keys().cloned().collect();
        if !peers.is_empty() {
            let to = &peers[random.below(peers.len())];
            for _ in 0..messages {
                self.send(line, to);
            }
        }
        Instant::now() + random.millis(20, 600)
    }

    fn send(&self, line: &Line, to: &PeerId) {
        let id = self.id();
        let number = self.history.borrow_mut().session(&id).sent.get(to).copied().unwrap_or(0) + 1;
        if line.send(to, format!("{id} {to} {number}")) {
            let mut history = self.history.borrow_mut();
            history.session(&id).sent.insert(to.clone(), number);
            history.counts.sent += 1;
            history.note(elapsed(), &format!("{} to {} {number}", id.short(), to.short()));
        }
    }

    fn hear(&self, told: Told) {
        let id = self.id();
        self.note(&line_of(&told));
        let mut history = self.history.borrow_mut();
        match told {
            Told::PeerJoined(peer) => history.news(&id, News::Joined(&peer)),
            Told::PeerUpdated(peer) => history.news(&id, News::Updated(&peer)),
            Told::PeerLeft(peer_id, _) => history.news(&id, News::Left(&peer_id)),
            Told::Candidate(from, text) => history.receive(&id, &from, &text),
            Told::Rejected(code) => {
                history.counts.rejected += 1;
                *history.session(&id).rejected.entry(code).or_default() += 1;
            }
            Told::Resumed { complete: true, affected, .. } => {
                history.counts.resumed += 1;
                if !affected.is_empty() {
                    history
                        .violations
                        .push(format!("{id} has lost nothing, but between it and {affected:?}"));
                }
            }
            Told::Resumed { complete: false, peers, affected } => {
                history.counts.resumed_incomplete += 1;
                let record = history.session(&id);
                record.incomplete = true;
                record.roster = roster(&peers);
                record.affected.extend(affected);
            }
            Told::Rejoined(entry) => {
                history.counts.rejoined += 1;
                drop(history);
                self.begin(entry);
            }
            Told::Lost(peers) => {
                history.counts.lost += 1;
                history.session(&id).lost.extend(peers);
            }
            Told::Ended(reason) => history.violations.push(format!("{id} was ended: {reason}")),
            Told::Away | Told::Resuming | Told::Other => {}
        }
    }
}

fn line_of(told: &Told) -> String {
    let of = |peer: &Peer| format!("{} {} {}", peer.id.short(), peer.display_name.escaped(), peer.attached);
    match told {
        Told::PeerJoined(peer) => format!("joined {}", of(peer)),
        Told::PeerUpdated(peer) => format!("updated {}", of(peer)),
        Told::PeerLeft(peer_id, reason) => format!("left {} {reason:?}", peer_id.short()),
        Told::Candidate(_, text) => format!("told {text}"),
        Told::Resumed { complete, peers, affected } => {
            let peers: Vec<_> = peers.iter().map(of).collect();
            format!("resumed {complete} {peers:?} {affected:?}")
        }
        Told::Rejoined(_) => "rejoined".to_owned(),
        other => format!("{other:?}"),
    }
}
