//! Handshakes over a wire that loses one datagram, each in turn.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{net::UdpSocket, task::JoinSet};

use super::*;

/// More than any flight of the handshake has.
const DATAGRAMS: usize = 8;

/// What goes to one side, but for one datagram of the DTLS handshake.
struct Wire {
    /// In place of the sides: 0 is seen by 1, and 1 by 0.
    sockets: [UdpSocket; 2],
    real: Mutex<[Option<SocketAddr>; 2]>,
    /// To whom, and how many still arrive before it.
    loses: (usize, AtomicUsize),
    lost: AtomicUsize,
}

impl Wire {
    async fn losing(to: usize, after: usize) -> Arc<Self> {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let sockets = [bind().await.unwrap(), bind().await.unwrap()];
        let loses = (to, AtomicUsize::new(after));
        let wire = Arc::new(Self { sockets, real: Mutex::default(), loses, lost: AtomicUsize::new(0) });
        for who in 0..2 {
            tokio::spawn(Arc::clone(&wire).carry(who));
        }
        wire
    }

    async fn carry(self: Arc<Self>, to: usize) {
        let mut datagram = [0; 2048];
        loop {
            // A closed socket at the other end is told here, and means nothing.
            let Ok(length) = self.sockets[to].recv(&mut datagram).await else { continue };
            let real = self.real.lock().unwrap()[to];
            let datagram = &datagram[..length];
            if let Some(real) = real
                && !self.loses(to, datagram)
            {
                let _ = self.sockets[1 - to].send_to(datagram, real).await;
            }
        }
    }

    fn loses(&self, to: usize, datagram: &[u8]) -> bool {
        if to != self.loses.0 || !matches!(datagram.first(), Some(20 | 22)) || self.lost.load(SeqCst) > 0 {
            return false;
        }
        let loses = self.loses.1.load(SeqCst) == 0;
        if loses {
            self.lost.store(1, SeqCst);
        } else {
            self.loses.1.fetch_sub(1, SeqCst);
        }
        loses
    }

    /// What the other side is to see in place of a candidate of `who`.
    fn replace(&self, who: usize, candidate: Candidate) -> Candidate {
        let mut fields: Vec<String> = candidate.candidate.split(' ').map(str::to_owned).collect();
        if fields.len() < 6 {
            return candidate;
        }
        let real = SocketAddr::new(fields[4].parse().unwrap(), fields[5].parse().unwrap());
        self.real.lock().unwrap()[who] = Some(real);
        let seen = self.sockets[who].local_addr().unwrap();
        (fields[4], fields[5]) = (seen.ip().to_string(), seen.port().to_string());
        Candidate { candidate: fields.join(" "), ..candidate }
    }
}

/// Both sides open; says whether a datagram was lost.
async fn open_losing(to: usize, after: usize) -> bool {
    let wire = Wire::losing(to, after).await;
    let (mut a, mut b) = (connection().await, connection().await);
    let offer = a.describe(DescriptionKind::Offer).await.unwrap();
    b.set_remote(DescriptionKind::Offer, offer).await.unwrap();
    let answer = b.describe(DescriptionKind::Answer).await.unwrap();
    a.set_remote(DescriptionKind::Answer, answer).await.unwrap();
    let mut open = [false; 2];
    let opened = async {
        while open != [true; 2] {
            let (who, event) = tokio::select! {
                event = a.next_event(true) => (0, event),
                event = b.next_event(true) => (1, event),
            };
            match event {
                ConnectionEvent::LocalCandidate(candidate) => {
                    let other = if who == 0 { &mut b } else { &mut a };
                    other.add_candidate(wire.replace(who, candidate)).await.unwrap();
                }
                ConnectionEvent::ChannelOpen => open[who] = true,
                _ => {}
            }
        }
    };
    let opened = tokio::time::timeout(PATIENCE, opened).await;
    opened.unwrap_or_else(|_| panic!("stuck after datagram {after} to {to} was lost"));
    a.close().await;
    b.close().await;
    wire.lost.load(SeqCst) > 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_survives_the_loss_of_any_one_of_its_datagrams() {
    let mut openings = JoinSet::new();
    for to in 0..2 {
        for after in 0..DATAGRAMS {
            openings.spawn(open_losing(to, after));
        }
    }
    let lost = openings.join_all().await.into_iter().filter(|lost| *lost).count();
    assert!(lost >= 4, "only {lost} were lost at all");
}
