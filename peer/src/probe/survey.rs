//! Asks many STUN servers from one socket what they see of it, so that their answers can be compared.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use rtc_stun::message::TransactionId;
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};

use super::{
    Filtering, Trouble, filtering,
    nat::{self, Nat, View},
    stun,
};
use crate::endpoint::printable;

const SURVEY_TIMEOUT: Duration = Duration::from_secs(3);

/// When a server that has not answered is asked again.
const ROUNDS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(300), Duration::from_millis(900), Duration::from_millis(1900)];

/// Servers asked, those that others name (RFC 5780) included.
const SERVERS_MAX: usize = 32;

const DATAGRAM_BYTES_MAX: usize = 2048;

/// What came of it.
pub(super) struct Survey {
    answers: HashMap<SocketAddr, Result<Answer, Trouble>>,
    nats: Vec<(Nat, Filtering)>,
}

#[derive(Clone, Copy)]
struct Answer {
    mapped: SocketAddr,
    took: Duration,
    other: Option<SocketAddr>,
}

impl Survey {
    /// Asks each of `servers`, from a socket of each IP version that is needed.
    pub(super) async fn take(servers: Vec<SocketAddr>, local_addresses: Vec<IpAddr>) -> Self {
        let (v4, v6): (Vec<_>, Vec<_>) = servers.into_iter().partition(SocketAddr::is_ipv4);
        let local = |v6| SocketAddr::new(local_address(&local_addresses, v6), 0);
        let (mut survey, second) = tokio::join!(ask(v4, local(false)), ask(v6, local(true)));
        survey.answers.extend(second.answers);
        survey.nats.extend(second.nats);
        survey
    }

    /// What the first of `servers` that answered says.
    pub(super) fn answer(&self, servers: &[SocketAddr]) -> Result<(SocketAddr, Duration), Trouble> {
        let mut trouble = Trouble::NoAnswer(SURVEY_TIMEOUT);
        for server in servers {
            match self.answers.get(server) {
                Some(Ok(answer)) => return Ok((answer.mapped, answer.took)),
                Some(Err(known)) => trouble = known.clone(),
                None => {}
            }
        }
        Err(trouble)
    }

    /// One for each IP version of which something is known, else one that says so.
    pub(super) fn nats(&self) -> Vec<(Nat, Filtering)> {
        let known: Vec<_> = self.nats.iter().copied().filter(|(nat, _)| *nat != Nat::Unknown).collect();
        if known.is_empty() { vec![(Nat::Unknown, Filtering::Unknown)] } else { known }
    }
}

/// The local address to use for an IP version: the one that was chosen, else any.
pub(super) fn local_address(chosen: &[IpAddr], v6: bool) -> IpAddr {
    let any: IpAddr = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    chosen.iter().copied().find(|ip| ip.is_ipv6() == v6).unwrap_or(any)
}

async fn ask(servers: Vec<SocketAddr>, local: SocketAddr) -> Survey {
    let mut survey = Survey { answers: HashMap::new(), nats: Vec::new() };
    if servers.is_empty() {
        return survey;
    }
    match UdpSocket::bind(local).await {
        Ok(socket) => {
            let questions = Questions { socket, servers, asked: HashMap::new(), answers: HashMap::new() };
            questions.ask_all(&mut survey).await;
        }
        Err(error) => {
            let trouble = Trouble::Network(printable(&error.to_string()));
            survey.answers.extend(servers.into_iter().map(|server| (server, Err(trouble.clone()))));
        }
    }
    survey
}

struct Questions {
    socket: UdpSocket,
    servers: Vec<SocketAddr>,
    /// Each request has an id of its own: an answer is known to belong to the first or the second.
    asked: HashMap<TransactionId, (SocketAddr, Instant)>,
    answers: HashMap<SocketAddr, Result<Answer, Trouble>>,
}

impl Questions {
    async fn ask_all(mut self, survey: &mut Survey) {
        let begun = Instant::now();
        let ends = ROUNDS[1..].iter().chain([&SURVEY_TIMEOUT]);
        for end in ends {
            let open: Vec<SocketAddr> =
                self.servers.iter().copied().filter(|server| self.is_open(*server)).collect();
            for server in open {
                self.ask(server).await;
            }
            // Ended early when nothing is open any more.
            let _ = timeout_at(begun + *end, self.listen()).await;
            if !self.servers.iter().any(|server| self.is_open(*server)) {
                break;
            }
        }
        let nat = nat::judge(&self.views());
        let filtering = match (self.with_two_addresses(), self.socket.local_addr()) {
            // Where nobody can be told our port, it matters little who would get in.
            _ if matches!(nat, Nat::EndpointDependent { .. }) => Filtering::Unknown,
            (Some((server, other)), Ok(local)) => filtering::test(server, other, local.ip()).await,
            _ => Filtering::Unknown,
        };
        survey.nats.push((nat, filtering));
        survey.answers.extend(self.answers);
    }

    /// Whether an answer may still come.
    fn is_open(&self, server: SocketAddr) -> bool {
        !self.answers.contains_key(&server)
    }

    async fn ask(&mut self, server: SocketAddr) {
        let request = stun::binding();
        match self.socket.send_to(&request.raw, server).await {
            Ok(_) => drop(self.asked.insert(request.transaction_id, (server, Instant::now()))),
            // No route, say. That of another round's answer would come as an error of receiving.
            Err(error) => {
                let trouble = Trouble::Network(printable(&error.to_string()));
                self.answers.insert(server, Err(trouble));
            }
        }
    }

    /// Takes answers until none is missing.
    async fn listen(&mut self) {
        let mut datagram = [0; DATAGRAM_BYTES_MAX];
        while self.servers.iter().any(|server| self.is_open(*server)) {
            let Ok((length, _)) = self.socket.recv_from(&mut datagram).await else { continue };
            let Some(response) = stun::decode(&datagram[..length]) else { continue };
            let Some((server, asked)) = self.asked.remove(&response.transaction_id) else { continue };
            let answer = match (stun::error(&response), stun::mapped_address(&response)) {
                (Some(trouble), _) => Err(trouble),
                (None, Some(mapped)) => {
                    Ok(Answer { mapped, took: asked.elapsed(), other: stun::other_address(&response) })
                }
                (None, None) => Err(Trouble::OtherProtocol {
                    expected: "a STUN server",
                    said: "its answer has no address".into(),
                }),
            };
            if let Ok(Answer { other: Some(other), .. }) = answer {
                self.ask_also(other).await;
            }
            self.answers.entry(server).or_insert(answer);
        }
    }

    /// A server's other address tells the kind of NAT where there is no second server.
    async fn ask_also(&mut self, other: SocketAddr) {
        let known = self.servers.contains(&other) || self.servers.len() >= SERVERS_MAX;
        let usable = !other.ip().is_multicast() && !other.ip().is_unspecified() && other.port() != 0;
        let same_version = self.servers.first().is_some_and(|first| first.is_ipv4() == other.is_ipv4());
        if !known && usable && same_version {
            self.servers.push(other);
            self.ask(other).await;
        }
    }

    /// A server that answers at two addresses, and the other of them.
    fn with_two_addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        let answer = |server: SocketAddr| self.answers.get(&server)?.as_ref().ok();
        self.servers.iter().copied().find_map(|server| {
            let other = answer(server)?.other?;
            let differs = other.ip() != server.ip() && other.port() != server.port();
            (differs && answer(other).is_some()).then_some((server, other))
        })
    }

    fn views(&self) -> Vec<View> {
        let port = self.socket.local_addr().map(|address| address.port()).unwrap_or_default();
        let view = |server: &SocketAddr| {
            let answer = self.answers.get(server)?.as_ref().ok()?;
            let local = SocketAddr::new(self.source_for(*server).ok()?, port);
            Some(View { server: *server, local, mapped: answer.mapped })
        };
        self.servers.iter().filter_map(view).collect()
    }

    /// The address that packets to `server` leave from. Connecting a UDP socket sends none.
    fn source_for(&self, server: SocketAddr) -> io::Result<IpAddr> {
        let local = SocketAddr::new(self.socket.local_addr()?.ip(), 0);
        let socket = std::net::UdpSocket::bind(local)?;
        socket.connect(server)?;
        Ok(socket.local_addr()?.ip())
    }
}
