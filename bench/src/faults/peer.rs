//! Several peers in a process of their own: real sessions of the peer library that write to each other and
//! record what they do as lines on stdout, each line before anything that follows from it.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use patchcord_peer::{
    Config, Peer, PeerId,
    measure::{Observer, Session, Told},
};
use patchcord_proto::v1::{SignalResponse, signal_request, signal_response};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::history::{Label, Record, What};

/// Messages that the server has not acknowledged; with more a peer waits, so that its session takes all.
const UNACKNOWLEDGED_MAX: usize = 200;

/// Numbers whose messages are remembered after they were acknowledged, for a rejection that comes later.
const REMEMBERED_MAX: usize = 1024;

/// So many messages at once to one peer, one time in eight: order shows only among several.
const BURST_MAX: usize = 12;
const PADDING_MAX: usize = 900;

/// What a process is told on stdin, a line each.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Command {
    /// Whether to write.
    pub writing: bool,
    /// Every peer answers with its state; it repeats this number.
    pub inquiry: u64,
}

/// A line on stdout.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Record(Record),
    State(State),
}

/// How a peer stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub writer: u64,
    pub inquiry: u64,
    pub session: String,
    pub attached: bool,
    /// Messages that the server has not acknowledged.
    pub unacknowledged: usize,
    /// The others by their ids, and whether they are attached.
    pub roster: BTreeMap<String, bool>,
}

/// Microseconds since 1970, for all processes alike.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Runs peers until stdin ends. `first_writer` is the number of the first.
pub(crate) async fn run(url: String, room: String, peers: u64, first_writer: u64) -> anyhow::Result<()> {
    let (commands, command) = watch::channel(Command::default());
    let mut running = JoinSet::new();
    for writer in first_writer..first_writer + peers {
        let config = Config::new(url.clone(), room.clone(), format!("peer {writer}"));
        running.spawn(Writer::run(config, writer, command.clone()));
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        commands.send_replace(serde_json::from_str(&line)?);
    }
    Ok(())
}

/// Writes a line whole and at once. Whoever reads always reads.
fn say(line: &Line) {
    let Ok(mut text) = serde_json::to_vec(line) else { return };
    text.push(b'\n');
    let mut out = std::io::stdout().lock();
    // When the reader is gone, so is the reason to go on; stdin tells.
    let _ = out.write_all(&text).and_then(|()| out.flush());
}

fn record(session: &str, what: What) {
    say(&Line::Record(Record { at: now(), session: session.to_owned(), what }));
}

/// Records what a session takes and what the server says of it.
struct Recorder {
    session: String,
    unacknowledged: VecDeque<(u64, Label)>,
    remembered: BTreeMap<u64, Label>,
    count: Arc<AtomicUsize>,
}

impl Recorder {
    fn acknowledged(&mut self, through: u64) {
        let done = self.unacknowledged.iter().take_while(|(seq, _)| *seq <= through).count();
        if done > 0 {
            let labels = self.unacknowledged.drain(..done).map(|(_, label)| label).collect();
            record(&self.session, What::Acknowledged { labels });
        }
        self.count.store(self.unacknowledged.len(), Ordering::Relaxed);
    }
}

impl Observer for Recorder {
    fn joined(&mut self, peer_id: &PeerId) {
        let was = std::mem::replace(&mut self.session, peer_id.to_string());
        record(&self.session, What::Began { was: (!was.is_empty()).then_some(was) });
        self.unacknowledged.clear();
        self.remembered.clear();
        self.count.store(0, Ordering::Relaxed);
    }

    fn resumed(&mut self, last_seq: u64) {
        self.acknowledged(last_seq);
    }

    fn taken(&mut self, seq: u64, message: &signal_request::Message) {
        let signal_request::Message::Candidate(candidate) = message else { return };
        let Some(label) = parse(&candidate.candidate) else { return };
        record(&self.session, What::Sent { to: candidate.to_peer_id.clone(), label });
        self.unacknowledged.push_back((seq, label));
        self.remembered.insert(seq, label);
        if self.remembered.len() > REMEMBERED_MAX {
            self.remembered.pop_first();
        }
        self.count.store(self.unacknowledged.len(), Ordering::Relaxed);
    }

    fn heard(&mut self, response: &SignalResponse) {
        if let Some(signal_response::Message::Rejected(rejected)) = &response.message {
            let code = rejected.code().as_str_name().trim_start_matches("CODE_").to_owned();
            match self.remembered.get(&rejected.request_seq) {
                Some(label) => record(&self.session, What::Rejected { label: *label, code }),
                None => {
                    let reason = format!("rejected {}: {code}", rejected.request_seq);
                    record(&self.session, What::Ended { reason });
                }
            }
        }
        self.acknowledged(response.ack);
    }
}

/// One peer.
struct Writer {
    number: u64,
    session: Session,
    peer_id: PeerId,
    roster: BTreeMap<String, (PeerId, bool)>,
    attached: bool,
    written: u64,
    unacknowledged: Arc<AtomicUsize>,
    random: fastrand::Rng,
}

impl Writer {
    async fn run(config: Config, number: u64, mut commands: watch::Receiver<Command>) {
        let unacknowledged = Arc::<AtomicUsize>::default();
        let (session, peer_id, peers) = loop {
            let recorder = Recorder {
                session: String::new(),
                unacknowledged: VecDeque::new(),
                remembered: BTreeMap::new(),
                count: Arc::clone(&unacknowledged),
            };
            match Session::join(&config, recorder).await {
                Ok(joined) => break joined,
                // The server may be down just now.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        };
        let mut writer = Self {
            number,
            session,
            peer_id,
            roster: BTreeMap::new(),
            attached: true,
            written: 0,
            unacknowledged,
            random: fastrand::Rng::with_seed(number),
        };
        writer.replace_roster(peers);
        commands.mark_changed();
        let mut write_at = Instant::now();
        loop {
            let writing = commands.borrow().writing;
            tokio::select! {
                told = writer.session.next() => match told {
                    Some(told) => writer.hear(told),
                    None => return,
                },
                changed = commands.changed() => match changed {
                    Ok(()) => writer.tell_state(commands.borrow_and_update().inquiry),
                    Err(_) => return,
                },
                () = sleep_until(write_at), if writing => {
                    writer.write();
                    write_at = Instant::now() + Duration::from_millis(writer.random.u64(20..180));
                }
            }
        }
    }

    fn record(&self, what: What) {
        record(self.peer_id.as_str(), what);
    }

    fn hear(&mut self, told: Told) {
        match told {
            Told::Candidate { from, candidate } => match parse(&candidate) {
                Some(label) => self.record(What::Received { from: from.to_string(), label }),
                None => self.record(What::Ended { reason: format!("garbled: {candidate:?}") }),
            },
            Told::PeerIsHere(peer) => self.put(peer),
            Told::PeerLeft(peer_id) => {
                self.roster.remove(peer_id.as_str());
            }
            Told::Away => {
                if std::mem::take(&mut self.attached) {
                    self.record(What::Away);
                }
            }
            Told::Resumed { complete, peers, affected } => {
                self.attached = true;
                let affected = affected.iter().map(PeerId::to_string).collect();
                self.record(What::Resumed { complete, affected });
                if !complete {
                    self.replace_roster(peers);
                }
            }
            Told::Rejoined { peer_id, peers } => {
                self.attached = true;
                self.peer_id = peer_id;
                self.replace_roster(peers);
            }
            Told::Lost(peers) => {
                self.record(What::Refused { peers: peers.iter().map(PeerId::to_string).collect() });
            }
            Told::Ended(reason) => self.record(What::Ended { reason }),
            Told::Else => {}
        }
    }

    fn replace_roster(&mut self, peers: Vec<Peer>) {
        self.roster.clear();
        peers.into_iter().for_each(|peer| self.put(peer));
    }

    fn put(&mut self, peer: Peer) {
        if peer.id != self.peer_id {
            self.roster.insert(peer.id.to_string(), (peer.id, peer.attached));
        }
    }

    /// Mostly one message to somebody, sometimes many.
    fn write(&mut self) {
        let Some(chosen) = self.random.usize(..).checked_rem(self.roster.len()) else { return };
        let Some((to, _)) = self.roster.values().nth(chosen).cloned() else { return };
        let burst = if self.random.u8(..8) == 0 { self.random.usize(2..BURST_MAX) } else { 1 };
        for _ in 0..burst {
            if self.unacknowledged.load(Ordering::Relaxed) >= UNACKNOWLEDGED_MAX {
                return;
            }
            self.written += 1;
            let padding = "x".repeat(self.random.usize(..PADDING_MAX));
            self.session.send(&to, format!("{} {} {padding}", self.number, self.written));
        }
    }

    fn tell_state(&self, inquiry: u64) {
        say(&Line::State(State {
            writer: self.number,
            inquiry,
            session: self.peer_id.to_string(),
            attached: self.attached,
            unacknowledged: self.unacknowledged.load(Ordering::Relaxed),
            roster: self.roster.iter().map(|(id, (_, attached))| (id.clone(), *attached)).collect(),
        }));
    }
}

/// The label in a message.
fn parse(text: &str) -> Option<Label> {
    let mut fields = text.split(' ');
    let writer = fields.next()?.parse().ok()?;
    let number = fields.next()?.parse().ok()?;
    Some(Label { writer, number })
}
