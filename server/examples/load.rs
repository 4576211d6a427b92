//! Measures a server that runs elsewhere: `load URL idle SESSIONS` opens sessions and waits for Enter;
//! `load URL relay COUNT` sends offers from one peer to another and prints the time each took;
//! `load URL drain SESSIONS` opens sessions, says READY, and prints how they were sent away; `load URL watch ROOM`
//! joins and prints a line for whatever it is told. For many sessions the server has to be started without limits for
//! one address: `--connections-per-address-max 0` and so on; of https the file PATCHCORD_CA_FILE vouches for it.

use std::{error::Error, io::stdin, time::Duration};

use patchcord_proto::v1::{
    PeerState, SignalRequest, SignalResponse,
    signal_request::{Join, Message as Ask, Offer},
    signal_response::Message as Told,
    signaling_service_client::SignalingServiceClient,
};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Streaming,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

const SESSIONS_PER_CONNECTION: usize = 8;
const PEERS_PER_ROOM: usize = 8;
const SDP_BYTES: usize = 1024;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [url, "idle", sessions] => idle(url, sessions.parse()?).await,
        [url, "drain", sessions] => drain(url, sessions.parse()?).await,
        [url, "relay", count] => relay(url, count.parse()?).await,
        [url, "watch", room] => watch(url, room).await,
        _ => Err("usage: load URL idle SESSIONS | relay COUNT | drain SESSIONS | watch ROOM".into()),
    }
}

struct Peer {
    id: String,
    requests: mpsc::Sender<SignalRequest>,
    responses: Streaming<SignalResponse>,
}

async fn connect(url: &str) -> Outcome<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true);
    let endpoint = match url.starts_with("https:") {
        true => {
            let authority = Certificate::from_pem(std::fs::read(std::env::var("PATCHCORD_CA_FILE")?)?);
            endpoint.tls_config(ClientTlsConfig::new().ca_certificate(authority))?
        }
        false => endpoint,
    };
    Ok(endpoint.connect().await?)
}

async fn join(channel: Channel, room: String) -> Outcome<Peer> {
    let (requests, stream) = mpsc::channel(1);
    let mut client = SignalingServiceClient::new(channel);
    let mut responses = client.signal(ReceiverStream::new(stream)).await?.into_inner();
    let (display_name, user_agent) = ("load".to_owned(), "load/1".to_owned());
    let join = Join { room, display_name, user_agent, access_token: String::new() };
    requests.send(SignalRequest { seq: 0, ack: 0, message: Some(Ask::Join(join)) }).await?;
    match responses.message().await?.and_then(|response| response.message) {
        Some(Told::Joined(joined)) => Ok(Peer { id: joined.peer_id, requests, responses }),
        other => Err(format!("not joined: {other:?}").into()),
    }
}

async fn idle(url: &str, sessions: usize) -> Outcome<()> {
    let started = Instant::now();
    for Peer { requests, mut responses, .. } in join_many(url, sessions).await? {
        tokio::spawn(async move {
            while let Ok(Some(_)) = responses.message().await {}
            drop(requests);
        });
    }
    println!("{sessions} sessions in {:?}; Enter ends them", started.elapsed());
    stdin().read_line(&mut String::new())?;
    Ok(())
}

async fn drain(url: &str, sessions: usize) -> Outcome<()> {
    let mut leaving = JoinSet::new();
    for Peer { requests, mut responses, .. } in join_many(url, sessions).await? {
        leaving.spawn(async move {
            let mut wait = None;
            while let Ok(Some(response)) = responses.message().await {
                if let Some(Told::GoAway(away)) = response.message {
                    wait =
                        Some(away.reconnect_after.and_then(|wait| wait.try_into().ok()).unwrap_or_default());
                }
            }
            drop(requests);
            (wait, Instant::now())
        });
    }
    println!("READY");
    let ended = leaving.join_all().await;
    let mut ends: Vec<Instant> = ended.iter().map(|(_, at)| *at).collect();
    ends.sort_unstable();
    let waits: Vec<Duration> = ended.iter().filter_map(|(wait, _)| *wait).collect();
    let mut bins = [0_usize; 11];
    for wait in &waits {
        bins[(wait.as_millis() / 100).min(10) as usize] += 1;
    }
    let took = ends.last().zip(ends.first()).map(|(last, first)| *last - *first).unwrap_or_default();
    println!("{} of {sessions} were told GoAway; all ends within {took:?}", waits.len());
    println!("to come back, by tenths of a second: {bins:?}");
    Ok(())
}

/// Says of whom, as far as news tells that.
async fn watch(url: &str, room: &str) -> Outcome<()> {
    let Peer { id, requests, mut responses } = join(connect(url).await?, room.to_owned()).await?;
    println!("joined as {id}");
    while let Some(response) = responses.message().await? {
        match response.message {
            Some(Told::PeerJoined(joined)) => {
                println!("{} came", joined.peer.unwrap_or_default().peer_id);
            }
            Some(Told::PeerUpdated(updated)) => {
                let peer = updated.peer.unwrap_or_default();
                let state = if peer.state() == PeerState::Detached { "detached" } else { "attached" };
                println!("{} is {state}", peer.peer_id);
            }
            Some(Told::PeerLeft(left)) => println!("{} left: {}", left.peer_id, left.reason().as_str_name()),
            _ => {}
        }
    }
    drop(requests);
    Ok(())
}

async fn join_many(url: &str, sessions: usize) -> Outcome<Vec<Peer>> {
    let mut channel = connect(url).await?;
    let mut peers = Vec::with_capacity(sessions);
    for number in 0..sessions {
        if number > 0 && number % SESSIONS_PER_CONNECTION == 0 {
            channel = connect(url).await?;
        }
        peers.push(join(channel.clone(), format!("room-{}", number / PEERS_PER_ROOM)).await?);
    }
    Ok(peers)
}

async fn relay(url: &str, count: usize) -> Outcome<()> {
    let sender = join(connect(url).await?, "load".to_owned()).await?;
    let mut receiver = join(connect(url).await?, "load".to_owned()).await?;
    let sdp = "x".repeat(SDP_BYTES);
    let mut took: Vec<Duration> = Vec::with_capacity(count);
    for _ in 0..count {
        let offer = Offer { to_peer_id: receiver.id.clone(), sdp: sdp.clone() };
        let started = Instant::now();
        sender.requests.send(SignalRequest { seq: 0, ack: 0, message: Some(Ask::Offer(offer)) }).await?;
        match receiver.responses.message().await?.and_then(|response| response.message) {
            Some(Told::Offer(_)) => took.push(started.elapsed()),
            other => return Err(format!("no offer: {other:?}").into()),
        }
    }
    took.sort_unstable();
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!(
        "{count} offers of {SDP_BYTES} bytes: p50 {:?}, p99 {:?}, p99.9 {:?}",
        at(0.5),
        at(0.99),
        at(0.999)
    );
    drop(sender.responses);
    Ok(())
}
