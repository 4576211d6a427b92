//! What a sealed room costs: the time to an open channel beside that of an open room, the round trips that its exchange
//! adds, and what the exchange takes of a processor.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::Context;
use patchcord_peer::{Code, Config, Event, Room, measure::exchange};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::sleep_until,
};

use crate::{figures::Sample, processes::Server};

/// One way of the line between a peer and the server; from one peer to the other and back it is four times this.
const LINE_DELAY: Duration = Duration::from_millis(25);

/// Openings over the slow line; its delay drowns the rest.
const SLOW_RUNS: usize = 10;

/// What a line holds; then it waits for what is on its way.
const READS_MAX: usize = 256;

const EXCHANGES: u32 = 1000;

pub(crate) async fn sealed(runs: usize) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let (mut open, mut sealed) = (Sample::default(), Sample::default());
    for run in 0..runs {
        open.add(opened(Config::new(&server.url, format!("open-{run}"), "")).await?);
        sealed.add(opened(Config::sealed(&server.url, Code::generate()?, "")).await?);
    }
    open.print("joined -> channel open, open room, two rooms of one process");
    sealed.print("joined -> channel open, sealed room, two rooms of one process");

    let url = slow_line(server.url.strip_prefix("http://").context("it speaks http")?.to_owned()).await?;
    let (mut open, mut sealed) = (Sample::default(), Sample::default());
    for run in 0..SLOW_RUNS {
        open.add(opened(Config::new(&url, format!("slow-{run}"), "")).await?);
        sealed.add(opened(Config::sealed(&url, Code::generate()?, "")).await?);
    }
    let round_trip = 4 * LINE_DELAY;
    let added = sealed.median().saturating_sub(open.median());
    open.print("the same over lines of 25 ms, open room");
    sealed.print("the same over lines of 25 ms, sealed room");
    let trips = added.as_secs_f64() / round_trip.as_secs_f64();
    println!("the exchange adds {:.2} round trips of {} ms between the peers", trips, round_trip.as_millis());

    let code = Code::generate()?;
    let payloads = exchange(&code)?;
    let begun = Instant::now();
    for _ in 0..EXCHANGES {
        exchange(&code)?;
    }
    let each = begun.elapsed() / EXCHANGES;
    println!(
        "an exchange: {payloads} payloads, {:.3} ms of one processor for both sides",
        each.as_secs_f64() * 1e3
    );
    Ok(())
}

async fn opened(config: Config) -> anyhow::Result<Duration> {
    let named = |name: &str| Config {
        local_addresses: vec![Ipv4Addr::LOCALHOST.into()],
        display_name: name.into(),
        ..config.clone()
    };
    let (_first, _first_events) = Room::join(named("first")).await?;
    let (_second, mut events) = Room::join(named("second")).await?;
    let joined = Instant::now();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(30), events.recv()).await?;
        if matches!(event.context("the room is over")?, Event::ChannelOpen { .. }) {
            return Ok(joined.elapsed());
        }
    }
}

/// A url behind which each connection to `server` takes its time, both ways.
async fn slow_line(server: String) -> anyhow::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(&server).await else { continue };
            // Delay is all that is wanted.
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(delay(from_client, to_server));
            tokio::spawn(delay(from_server, to_client));
        }
    });
    Ok(url)
}

async fn delay(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin) {
    let (reads, mut due) = mpsc::channel(READS_MAX);
    let reading = async move {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            let at = tokio::time::Instant::now() + LINE_DELAY;
            if reads.send((at, bytes[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((at, bytes)) = due.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
