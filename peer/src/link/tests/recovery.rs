//! Links whose path dies: it runs over sockets of the test, which stop forwarding.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Mutex, atomic::AtomicBool},
};

use tokio::net::UdpSocket;

use super::*;
use crate::{ConnectionStep, SignalingState, negotiation::connection_identity};

/// For a path to be seen dead and for a few attempts.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(90);

/// A path between the two: each side sees a socket of it in place of the other.
#[derive(Clone)]
struct Wire {
    seen_as: [SocketAddr; 2],
    real: Arc<Mutex<[Option<SocketAddr>; 2]>>,
    /// Whether what goes to this side arrives.
    carries_to: Arc<[AtomicBool; 2]>,
}

impl Wire {
    async fn new(works: bool) -> Self {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let sockets = Arc::new([bind().await.unwrap(), bind().await.unwrap()]);
        let wire = Self {
            seen_as: [0, 1].map(|who| sockets[who].local_addr().unwrap()),
            real: Arc::default(),
            carries_to: Arc::new([works, works].map(AtomicBool::new)),
        };
        for who in 0..2 {
            let (wire, sockets) = (wire.clone(), sockets.clone());
            tokio::spawn(async move {
                let mut datagram = [0; 2048];
                loop {
                    // A closed socket at the other end is told here, and means nothing.
                    let Ok(length) = sockets[who].recv(&mut datagram).await else { continue };
                    let to = wire.real.lock().unwrap()[who];
                    if let Some(to) = to
                        && wire.carries_to[who].load(Relaxed)
                    {
                        let _ = sockets[1 - who].send_to(&datagram[..length], to).await;
                    }
                }
            });
        }
        wire
    }

    /// What the other side is to see in place of a candidate of `who`.
    fn replace(&self, who: usize, candidate: Candidate) -> Candidate {
        let mut fields: Vec<String> = candidate.candidate.split(' ').map(str::to_owned).collect();
        if fields.len() < 6 {
            return candidate;
        }
        let real = SocketAddr::new(fields[4].parse().unwrap(), fields[5].parse().unwrap());
        self.real.lock().unwrap()[who] = Some(real);
        fields[4] = self.seen_as[who].ip().to_string();
        fields[5] = self.seen_as[who].port().to_string();
        Candidate { candidate: fields.join(" "), ..candidate }
    }
}

/// Two links over wires.
struct Wired {
    pair: Pair,
    wire: Wire,
    /// How many offers were made.
    offers: Arc<AtomicUsize>,
    identities: Vec<Option<String>>,
    /// How often the links have said that the server may be out of reach as well.
    doubts: usize,
    /// The next connection, not the next ICE generation, gets a wire that works.
    mend_with_new_connection: bool,
}

impl Wired {
    async fn open() -> Self {
        let mut wired = Self {
            pair: pair(),
            wire: Wire::new(true).await,
            offers: Arc::default(),
            identities: Vec::new(),
            doubts: 0,
            mend_with_new_connection: false,
        };
        wired.pair.a.command(Command::Connect).await;
        wired.run(both_open).await;
        wired
    }

    /// Nothing passes the wire any more; the next ICE generation gets one that works, or not.
    async fn cut(&mut self, next_works: bool) {
        self.wire.carries_to.iter().for_each(|carries| carries.store(false, Relaxed));
        self.wire = Wire::new(next_works).await;
    }

    async fn relay(&mut self, who: usize, notice: Notice) {
        let notice = match notice {
            Notice::Candidate(candidate) => Notice::Candidate(self.wire.replace(who, candidate)),
            Notice::Description { kind, sdp } => {
                self.offers.fetch_add(usize::from(kind == DescriptionKind::Offer), Relaxed);
                let identity = connection_identity(&sdp);
                if !self.identities.contains(&identity) {
                    // The first two are those of the connection that the test begins with.
                    if self.identities.len() >= 2 && self.mend_with_new_connection {
                        self.mend_with_new_connection = false;
                        self.wire = Wire::new(true).await;
                    }
                    self.identities.push(identity);
                }
                Notice::Description { kind, sdp }
            }
            notice => {
                self.doubts += usize::from(matches!(notice, Notice::NetworkMayHaveChanged));
                notice
            }
        };
        let to = if who == 0 { &self.pair.b } else { &self.pair.a };
        relay(notice, &to.handle.commands).await;
    }

    async fn run(&mut self, mut done: impl FnMut(&[Event], &[Event]) -> bool) -> (Vec<Event>, Vec<Event>) {
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        let deadline = Instant::now() + RECOVERY_PATIENCE;
        while !done(&of_a, &of_b) {
            tokio::select! {
                Some((_, notice)) = self.pair.a.notices.recv() => self.relay(0, notice).await,
                Some((_, notice)) = self.pair.b.notices.recv() => self.relay(1, notice).await,
                Some(event) = self.pair.a.events.recv() => of_a.push(event),
                Some(event) = self.pair.b.events.recv() => of_b.push(event),
                () = tokio::time::sleep_until(deadline) => panic!(
                    "not done\na: {of_a:?}\n{:#?}\nb: {of_b:?}\n{:#?}",
                    steps(&self.pair.a).await, steps(&self.pair.b).await
                ),
            }
        }
        (of_a, of_b)
    }

    async fn say(&self, ids: std::ops::RangeInclusive<u64>) {
        for id in ids {
            self.pair.a.say(id).await;
            self.pair.b.say(id).await;
        }
    }

    async fn both(&self, command: impl Fn() -> Command) {
        self.pair.a.command(command()).await;
        self.pair.b.command(command()).await;
    }
}

async fn steps(end: &End) -> Vec<ConnectionStep> {
    let (report_tx, report) = oneshot::channel();
    end.command(Command::Report(report_tx)).await;
    report.await.unwrap().timeline.into_iter().map(|entry| entry.step).collect()
}

fn has_state(events: &[Event], wanted: ConnectionState) -> bool {
    events.iter().any(|event| matches!(event, Event::Connection { state, .. } if *state == wanted))
}

fn both_disconnected(a: &[Event], b: &[Event]) -> bool {
    has_state(a, ConnectionState::Disconnected) && has_state(b, ConnectionState::Disconnected)
}

fn delivered(count: usize) -> impl FnMut(&[Event], &[Event]) -> bool {
    move |a, b| [a, b].iter().all(|events| count_receipts(events, DeliveryState::Delivered) == count)
}

#[tokio::test]
async fn a_dead_path_is_replaced_by_an_ice_restart_and_the_channel_stays_open() {
    let mut wired = Wired::open().await;
    wired.cut(true).await;
    wired.say(1..=20).await;
    let (of_a, of_b) = wired.run(delivered(20)).await;
    for events in [&of_a, &of_b] {
        assert_eq!(messages(events), (1..=20).collect::<Vec<_>>());
        assert!(has_state(events, ConnectionState::Disconnected) && !is_closed(events), "{events:?}");
    }
    assert!(wired.doubts > 0, "the room was not told");
    let steps = [steps(&wired.pair.a).await, steps(&wired.pair.b).await].concat();
    assert!(steps.contains(&ConnectionStep::IceRestart(1)), "{steps:?}");
    assert!(!steps.iter().any(|step| matches!(step, ConnectionStep::NewConnection(_))), "{steps:?}");
}

#[tokio::test]
async fn when_restarts_do_not_help_a_new_connection_carries_the_same_session_on() {
    let mut wired = Wired::open().await;
    // B hears A, but A hears nothing: A has to send again what B has already.
    wired.wire.carries_to[0].store(false, Relaxed);
    wired.say(1..=10).await;
    let (_, first_of_b) = wired.run(|_, b| messages(b).len() == 10).await;
    wired.cut(false).await;
    wired.mend_with_new_connection = true;
    let (first_of_a, more_of_b) = wired.run(both_disconnected).await;
    wired.say(11..=20).await;
    // The user does not want to wait: restarts on both sides, then new connections of both at once.
    let offers = wired.offers.clone();
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for wave in 1..=3 {
        // On a busy machine one side may have come to its new connection already.
        if is_open(&of_a) || is_open(&of_b) {
            break;
        }
        wired.both(|| Command::Connect).await;
        let (more_of_a, more_of_b) =
            wired.run(|a, b| offers.load(Relaxed) > 2 * wave || is_open(a) || is_open(b)).await;
        of_a.extend(more_of_a);
        of_b.extend(more_of_b);
    }
    let delivered = |events: &[Event]| count_receipts(events, DeliveryState::Delivered);
    let already = [delivered(&of_a), delivered(&more_of_b) + delivered(&of_b)];
    let (more_of_a, more_of_b) =
        wired.run(|a, b| [delivered(a) + already[0], delivered(b) + already[1]] == [20, 20]).await;
    of_a.extend(more_of_a);
    of_b.extend(more_of_b);
    assert!(messages(&first_of_a).is_empty());
    assert_eq!(messages(&of_a), (1..=20).collect::<Vec<_>>());
    assert_eq!([messages(&first_of_b), messages(&of_b)].concat(), (1..=20).collect::<Vec<_>>());
    for events in [&of_a, &of_b] {
        assert!(is_closed(events) && is_open(events), "{events:?}");
        assert!(!has_problem(events, ProblemCode::ConnectionFailed), "{events:?}");
    }
}

#[tokio::test]
async fn restarts_that_nobody_hurries_give_way_to_a_new_connection() {
    let mut wired = Wired::open().await;
    wired.cut(false).await;
    wired.mend_with_new_connection = true;
    wired.say(1..=3).await;
    let (of_a, of_b) = wired.run(delivered(3)).await;
    assert_eq!((messages(&of_a), messages(&of_b)), (vec![1, 2, 3], vec![1, 2, 3]));
    let restarts = |steps: &[ConnectionStep]| {
        steps.iter().filter(|step| matches!(step, ConnectionStep::IceRestart(_))).count()
    };
    let (of_a, of_b) = (steps(&wired.pair.a).await, steps(&wired.pair.b).await);
    assert!(restarts(&of_a) + restarts(&of_b) > 0, "{of_a:?} {of_b:?}");
}

#[tokio::test]
async fn nothing_is_tried_while_no_offer_can_reach_the_peer() {
    let mut wired = Wired::open().await;
    wired.both(|| Command::Signaling(SignalingState::Away { reason: "gone".into() })).await;
    wired.cut(true).await;
    wired.run(both_disconnected).await;
    let offers = wired.offers.load(Relaxed);
    wired.both(|| Command::Connect).await;
    wired.say(1..=3).await;
    wired.run(|a, b| [a, b].iter().all(|events| count_receipts(events, DeliveryState::Queued) == 3)).await;
    assert_eq!(wired.offers.load(Relaxed), offers, "an offer was wasted");
    wired.both(|| Command::Signaling(SignalingState::Connected)).await;
    wired.run(delivered(3)).await;
}

#[tokio::test]
async fn a_peer_that_the_server_has_given_up_is_not_tried_for_ever() {
    let mut wired = Wired::open().await;
    wired.cut(false).await;
    wired.run(both_disconnected).await;
    wired.both(|| Command::PeerLeft(LeaveReason::Disconnected)).await;
    let mut ended = 0;
    let offers = wired.offers.load(Relaxed);
    let all_ended = async {
        while ended < 2 {
            let (who, notice) = tokio::select! {
                Some((_, notice)) = wired.pair.a.notices.recv() => (0, notice),
                Some((_, notice)) = wired.pair.b.notices.recv() => (1, notice),
            };
            ended += usize::from(matches!(notice, Notice::Ended { .. }));
            wired.relay(who, notice).await;
        }
        wired.offers.load(Relaxed)
    };
    let offers_after = tokio::time::timeout(RECOVERY_PATIENCE, all_ended).await.expect("both end");
    assert_eq!(offers_after, offers);
}
