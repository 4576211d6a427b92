//! Two links in one process over the real engine; what the server would relay goes through a channel that
//! a test may tamper with.

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{handle::OFFERS_BURST, *};
use crate::{
    CandidateType, Event, IceTransportPolicy, ProblemCode, TextKind, Untrusted,
    chat::{Introduction, SessionIds},
    connection::{Certificate, ConnectionConfig},
    negotiation::username_fragments,
};

mod gating;
mod hostile;
mod not_relayed;
mod paths;
mod recovery;
mod texts;
mod turn;

const PATIENCE: Duration = Duration::from_secs(20);

struct End {
    id: PeerId,
    handle: LinkHandle,
    events: mpsc::Receiver<Event>,
    notices: mpsc::Receiver<(PeerId, Notice)>,
}

struct Pair {
    a: End,
    b: End,
}

fn end(own: &str, other: &str, connect_timeout: Duration) -> End {
    end_with(own, other, connect_timeout, on_loopback(IceTransportPolicy::All))
}

fn on_loopback(ice_transport_policy: IceTransportPolicy) -> ConnectionConfig {
    ConnectionConfig {
        certificate: Certificate::generate().unwrap(),
        ice_servers: Vec::new(),
        ca_certificate: None,
        ice_transport_policy,
        ip_policy: crate::IpPolicy::default(),
        verified: false,
        local_addresses: vec![std::net::Ipv4Addr::LOCALHOST.into()],
    }
}

fn end_with(own: &str, other: &str, connect_timeout: Duration, connection: ConnectionConfig) -> End {
    end_changed(own, other, connect_timeout, connection, |_| {})
}

fn end_changed(
    own: &str,
    other: &str,
    connect_timeout: Duration,
    connection: ConnectionConfig,
    change: impl FnOnce(&mut LinkContext),
) -> End {
    let (id, peer, mut context, events, notices) = beginning(own, other, connect_timeout, connection);
    change(&mut context);
    End { handle: LinkHandle::spawn(&id, peer, context), id, events, notices }
}

/// What a link starts with, and what it tells.
fn beginning(
    own: &str,
    other: &str,
    connect_timeout: Duration,
    connection: ConnectionConfig,
) -> (PeerId, Peer, LinkContext, mpsc::Receiver<Event>, mpsc::Receiver<(PeerId, Notice)>) {
    let (event_tx, events) = mpsc::channel(4096);
    let (notice_tx, notices) = mpsc::channel(64);
    let context = LinkContext {
        identity: Introduction {
            room: "room".into(),
            session_ids: SessionIds::new(getrandom::u64().unwrap().to_be_bytes()),
            display_name: own.into(),
            user_agent: "test".into(),
            secret: None,
        },
        connection,
        seal: None,
        judge: None,
        connect_timeout,
        candidates_max: 64,
        mesh: Arc::new(Semaphore::new(7)),
        mesh_peers_max: 8,
        events: event_tx,
        notices: notice_tx,
        leaving: CancellationToken::new(),
        over: CancellationToken::new(),
        manual: false,
    };
    let id = PeerId::parse(own).unwrap();
    let peer = Peer {
        id: PeerId::parse(other).unwrap(),
        display_name: Untrusted::new(other),
        joined_at: std::time::SystemTime::UNIX_EPOCH,
        attached: true,
    };
    (id, peer, context, events, notices)
}

fn pair() -> Pair {
    pair_with_timeout(Duration::from_secs(30))
}

fn pair_with_timeout(connect_timeout: Duration) -> Pair {
    Pair { a: end("a", "b", connect_timeout), b: end("b", "a", connect_timeout) }
}

/// Gives a relayed notice to the other side.
async fn relay(notice: Notice, to: &mpsc::Sender<Command>) {
    let command = match notice {
        Notice::Description { kind, sdp } => Command::Description { kind, sdp },
        Notice::Candidate(candidate) => Command::Candidate(candidate),
        _ => return,
    };
    // The other side may be over.
    let _ = to.send(command).await;
}

impl Pair {
    /// Relays until both sides' events satisfy `done`, and gives the events of each side.
    async fn run(
        &mut self,
        mut tamper: impl FnMut(Notice) -> Notice,
        mut done: impl FnMut(&[Event], &[Event]) -> bool,
    ) -> (Vec<Event>, Vec<Event>) {
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        let outcome = tokio::time::timeout(PATIENCE, async {
            while !done(&of_a, &of_b) {
                tokio::select! {
                    Some((_, notice)) = self.a.notices.recv() => relay(tamper(notice), &self.b.handle.commands).await,
                    Some((_, notice)) = self.b.notices.recv() => relay(tamper(notice), &self.a.handle.commands).await,
                    Some(event) = self.a.events.recv() => of_a.push(event),
                    Some(event) = self.b.events.recv() => of_b.push(event),
                }
            }
        })
        .await;
        assert!(outcome.is_ok(), "not done after {PATIENCE:?}\na: {of_a:?}\nb: {of_b:?}");
        (of_a, of_b)
    }

    async fn open(&mut self) {
        self.a.command(Command::Connect).await;
        self.run(|notice| notice, both_open).await;
    }
}

impl End {
    async fn command(&self, command: Command) {
        self.handle.commands.send(command).await.expect("the link is alive");
    }

    async fn say(&self, id: u64) {
        self.handle.undelivered.fetch_add(1, Relaxed);
        let text = OutgoingText {
            message_id: MessageId(id),
            text: format!("text {id}").into(),
            kind: TextKind::Plain,
            direct: false,
            sent_at: std::time::SystemTime::now(),
        };
        self.command(Command::Send(text)).await;
    }
}

fn is_open(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::ChannelOpen { .. }))
}

fn both_open(of_a: &[Event], of_b: &[Event]) -> bool {
    is_open(of_a) && is_open(of_b)
}

fn messages(events: &[Event]) -> Vec<u64> {
    let ids = events.iter().filter_map(|event| match event {
        Event::Message(message) => Some(message.id.0),
        _ => None,
    });
    ids.collect()
}

fn count_receipts(events: &[Event], wanted: DeliveryState) -> usize {
    events.iter().filter(|event| matches!(event, Event::Receipt { state, .. } if *state == wanted)).count()
}

fn has_problem(events: &[Event], wanted: ProblemCode) -> bool {
    events.iter().any(|event| matches!(event, Event::Problem { code, .. } if *code == wanted))
}

fn is_closed(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::ChannelClosed { .. }))
}

#[tokio::test]
async fn both_sides_may_begin_at_the_same_instant() {
    for _ in 0..20 {
        let mut pair = pair();
        pair.a.command(Command::Connect).await;
        pair.b.command(Command::Connect).await;
        pair.run(|notice| notice, both_open).await;
        pair.a.say(1).await;
        pair.b.say(1).await;
        pair.run(|notice| notice, |a, b| messages(a) == [1] && messages(b) == [1]).await;
    }
}

#[tokio::test]
async fn a_path_between_host_candidates_is_reported() {
    let mut pair = pair();
    pair.a.command(Command::Connect).await;
    let connected = |events: &[Event]| {
        events.iter().any(|event| {
            matches!(event, Event::Connection { state: ConnectionState::Connected, path: Some(path), .. }
                if path.local == CandidateType::Host && !path.is_relayed())
        })
    };
    pair.run(|notice| notice, |a, b| connected(a) && both_open(a, b)).await;
    let (report_tx, report) = oneshot::channel();
    pair.a.command(Command::Report(report_tx)).await;
    let report = report.await.unwrap();
    assert_eq!(report.state, ConnectionState::Connected);
    assert!(report.opened_in.is_some(), "{report:?}");
    assert_eq!((report.local_candidates, report.remote_candidates), (1, 1), "the end is no candidate");
}

#[tokio::test]
async fn another_fingerprint_than_the_certificates_never_opens() {
    let mut pair = pair_with_timeout(Duration::from_secs(2));
    pair.a.command(Command::Connect).await;
    let forge = |notice| match notice {
        Notice::Description { kind, sdp } => {
            let honest = fingerprint_of(&sdp);
            let forged = honest.replace(|c: char| c.is_ascii_hexdigit(), "A");
            Notice::Description { kind, sdp: sdp.replace(&honest, &forged) }
        }
        notice => notice,
    };
    let failed = |events: &[Event]| {
        has_problem(events, ProblemCode::ConnectTimeout) || has_problem(events, ProblemCode::ConnectionFailed)
    };
    let (of_a, of_b) = pair.run(forge, |a, b| failed(a) && failed(b)).await;
    assert!(!is_open(&of_a) && !is_open(&of_b));
}

/// The hexadecimal part of the fingerprint, as written.
fn fingerprint_of(sdp: &str) -> String {
    let line =
        sdp.lines().find_map(|line| line.strip_prefix("a=fingerprint:sha-256 ")).expect("a fingerprint");
    line.trim().to_owned()
}

#[tokio::test]
async fn garbage_in_place_of_an_offer_is_named_and_a_later_offer_still_connects() {
    let mut pair = pair();
    let sdp = "v=0\r\ngarbage".to_owned();
    pair.b.command(Command::Description { kind: DescriptionKind::Offer, sdp }).await;
    pair.run(|notice| notice, |_, b| has_problem(b, ProblemCode::PeerMisbehaved)).await;
    pair.open().await;
}

#[tokio::test]
async fn garbage_candidates_do_not_keep_a_connection_from_opening() {
    let mut pair = pair();
    for candidate in ["", "candidate:", "\u{0}", "candidate:1 1 udp 1 no.such.host.invalid 1 typ host"] {
        let candidate = Candidate { candidate: candidate.into(), ..Candidate::default() };
        pair.a.command(Command::Candidate(candidate)).await;
    }
    pair.open().await;
}

#[tokio::test]
async fn every_candidate_names_its_section_and_its_generation() {
    let mut pair = pair();
    pair.a.command(Command::Connect).await;
    let mut fragments = Vec::new();
    let mut candidates = Vec::new();
    let see = |notice: Notice| {
        match &notice {
            Notice::Description { sdp, .. } => fragments.extend(username_fragments(sdp)),
            Notice::Candidate(candidate) => candidates.push(candidate.clone()),
            _ => {}
        }
        notice
    };
    pair.run(see, both_open).await;
    assert!(!candidates.is_empty());
    for candidate in candidates {
        assert_eq!(candidate.sdp_mid.as_deref(), Some("0"));
        assert_eq!(candidate.sdp_m_line_index, Some(0));
        assert!(candidate.username_fragment.is_some_and(|fragment| fragments.contains(&fragment)));
    }
}

#[tokio::test]
async fn offers_that_come_too_fast_are_ignored_and_the_channel_stays_open() {
    let mut pair = pair();
    let mut offers = Vec::new();
    let keep = |notice: Notice| {
        if let Notice::Description { kind: DescriptionKind::Offer, sdp } = &notice {
            offers.push(sdp.clone());
        }
        notice
    };
    pair.a.command(Command::Connect).await;
    pair.run(keep, both_open).await;
    for _ in 0..100 {
        let sdp = offers[0].clone();
        pair.b.command(Command::Description { kind: DescriptionKind::Offer, sdp }).await;
    }
    let mut answers = 0;
    let count = |notice: Notice| {
        answers += usize::from(matches!(notice, Notice::Description { .. }));
        notice
    };
    pair.a.say(1).await;
    pair.run(count, |a, b| messages(b) == [1] && count_receipts(a, DeliveryState::Delivered) == 1).await;
    assert!(answers < OFFERS_BURST as usize, "{answers} answers");
}

#[tokio::test]
async fn a_relay_only_policy_without_a_relay_says_so_at_once() {
    let mut pair = pair();
    pair.a = end_with("a", "b", Duration::from_secs(30), on_loopback(IceTransportPolicy::Relay));
    pair.a.command(Command::Connect).await;
    pair.run(|notice| notice, |a, _| has_problem(a, ProblemCode::ConnectionFailed)).await;
}
