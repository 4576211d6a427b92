//! What everybody did and was told in a run: enough to judge it by, and a hash of all of it in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use patchcord_peer::{Peer, PeerId};

/// From the join of a peer to the end of its session.
#[derive(Debug, Default)]
pub struct SessionRecord {
    /// The room.
    pub room: &'static str,
    /// Until its peer has another or crashed.
    pub alive: bool,
    /// Who is there, and the name and whether a stream is open.
    pub roster: BTreeMap<PeerId, (String, bool)>,
    /// For whom how many messages were taken; they are numbered from 1.
    pub sent: BTreeMap<PeerId, u64>,
    /// From whom which messages came, in order.
    pub received: BTreeMap<PeerId, Vec<u64>>,
    /// Between them and this session something was told to be lost, to us or by us.
    pub affected: BTreeSet<PeerId>,
    /// For them requests of ours were told not to be taken.
    pub lost: BTreeSet<PeerId>,
    /// How many requests were told not to be carried out, by code.
    pub rejected: BTreeMap<String, u64>,
    /// Something was told to be lost, so news may repeat what the roster has said, or come from before it.
    pub incomplete: bool,
}

/// What is counted over runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages taken by sessions.
    pub sent: u64,
    /// Messages that came.
    pub received: u64,
    /// Sessions that went on with nothing lost.
    pub resumed: u64,
    /// Sessions that went on with something lost, told.
    pub resumed_incomplete: u64,
    /// Sessions that were forgotten and followed by another.
    pub rejoined: u64,
    /// Requests told not to be carried out.
    pub rejected: u64,
    /// Times that requests were told to be lost before they went out.
    pub lost: u64,
}

/// All of a run.
#[derive(Debug)]
pub struct History {
    /// By the id that the server gave.
    pub sessions: BTreeMap<PeerId, SessionRecord>,
    /// What must not be.
    pub violations: Vec<String>,
    /// For the report.
    pub counts: Counts,
    /// Kept when asked for.
    pub lines: Option<Vec<String>>,
    hash: u64,
}

impl History {
    /// An empty one, which keeps its lines or not.
    pub fn new(keeps_lines: bool) -> Self {
        let lines = keeps_lines.then(Vec::new);
        // The offset basis of FNV-1a.
        let hash = 0xcbf2_9ce4_8422_2325;
        Self { sessions: BTreeMap::new(), violations: Vec::new(), counts: Counts::default(), lines, hash }
    }

    /// Notes what happened; everything that is noted is part of the hash.
    pub fn note(&mut self, at: Duration, line: &str) {
        let line = format!("{:>9.3} {line}", at.as_secs_f64());
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    /// Of all that was noted.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// A session that must be there.
    pub fn session(&mut self, peer_id: &PeerId) -> &mut SessionRecord {
        self.sessions.entry(peer_id.clone()).or_default()
    }

    /// A session begins.
    pub fn begin(&mut self, peer_id: &PeerId, room: &'static str, peers: &[Peer]) {
        let record = SessionRecord { room, alive: true, roster: roster(peers), ..SessionRecord::default() };
        if self.sessions.insert(peer_id.clone(), record).is_some() {
            self.violations.push(format!("an id is given twice: {peer_id}"));
        }
    }

    /// A message came.
    pub fn receive(&mut self, to: &PeerId, from: &PeerId, text: &str) {
        self.counts.received += 1;
        let mut words = text.split(' ');
        let (sender, addressee) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let number = words.next().and_then(|number| number.parse().ok()).unwrap_or(0);
        if sender != from.as_str() {
            self.violations.push(format!("from is forged: {text} came to {to} from {from}"));
        }
        if addressee != to.as_str() {
            self.violations.push(format!("a message went astray: {text} came to {to}"));
        }
        let sender_room = self.session(from).room;
        let record = self.session(to);
        let (is_known, room) = (record.roster.contains_key(from) || record.incomplete, record.room);
        record.received.entry(from.clone()).or_default().push(number);
        if !is_known {
            self.violations.push(format!("{to} has a message of {from}, who is not in its roster"));
        }
        if sender_room != room {
            self.violations.push(format!("{text} came from another room to {to}"));
        }
    }

    /// Somebody came, changed or left, as a session was told it.
    pub fn news(&mut self, told: &PeerId, what: News<'_>) {
        let record = self.session(told);
        let is_strict = !record.incomplete;
        let violation = match what {
            News::Joined(peer) => {
                let before = record.roster.insert(peer.id.clone(), entry(peer));
                before.is_some().then(|| format!("{told} was told twice that {} joined", peer.id))
            }
            News::Updated(peer) if peer.id == *told => None,
            News::Updated(peer) => {
                let before = record.roster.insert(peer.id.clone(), entry(peer));
                before
                    .is_none()
                    .then(|| format!("{told} was told of a change of {}, who is not there", peer.id))
            }
            News::Left(peer_id) => {
                let before = record.roster.remove(peer_id);
                before.is_none().then(|| format!("{told} was told that {peer_id} left, who is not there"))
            }
        };
        self.violations.extend(violation.filter(|_| is_strict));
    }
}

/// What a session is told of another peer.
pub enum News<'a> {
    /// It came.
    Joined(&'a Peer),
    /// It changed.
    Updated(&'a Peer),
    /// It left.
    Left(&'a PeerId),
}

/// Peers as a record keeps them.
pub fn roster(peers: &[Peer]) -> BTreeMap<PeerId, (String, bool)> {
    peers.iter().map(|peer| (peer.id.clone(), entry(peer))).collect()
}

fn entry(peer: &Peer) -> (String, bool) {
    (peer.display_name.as_raw().to_owned(), peer.attached)
}
