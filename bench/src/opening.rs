//! How long a channel takes to open, that glare never prevents it, and how fast texts are delivered.

use std::{
    collections::HashSet,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use patchcord_peer::{Config, Event, Room};
use serde_json::json;

use crate::{
    figures::Sample,
    processes::{Client, Server},
};

pub(crate) async fn open(runs: usize) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let (mut between_processes, mut within_one) = (Sample::default(), Sample::default());
    for run in 0..runs {
        between_processes.add(open_processes(&server, &format!("process-{run}")).await?);
        within_one.add(open_rooms(&server, &format!("room-{run}")).await?);
    }
    between_processes.print("joined -> channel_open, two processes");
    within_one.print("joined -> channel open, two rooms of one process");
    Ok(())
}

async fn open_processes(server: &Server, room: &str) -> anyhow::Result<Duration> {
    let mut first = Client::start(server, room, "first", false)?;
    first.until("joined").await?;
    let mut second = Client::start(server, room, "second", false)?;
    second.until("joined").await?;
    let joined = Instant::now();
    second.until("channel_open").await?;
    let took = joined.elapsed();
    first.until("channel_open").await?;
    Ok(took)
}

async fn open_rooms(server: &Server, room: &str) -> anyhow::Result<Duration> {
    let config = |name: &str| Config {
        local_addresses: vec![Ipv4Addr::LOCALHOST.into()],
        ..Config::new(&server.url, room, name)
    };
    let (_first, _first_events) = Room::join(config("first")).await?;
    let (_second, mut events) = Room::join(config("second")).await?;
    let joined = Instant::now();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(30), events.recv()).await?;
        if matches!(event.context("the room is over")?, Event::ChannelOpen { .. }) {
            return Ok(joined.elapsed());
        }
    }
}

pub(crate) async fn glare(runs: usize) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut sample = Sample::default();
    for run in 0..runs {
        let room = format!("glare-{run}");
        let mut first = Client::start(&server, &room, "first", true)?;
        let first_id = first.until("joined").await?["peer_id"].clone();
        let mut second = Client::start(&server, &room, "second", true)?;
        let second_id = second.until("joined").await?["peer_id"].clone();
        first.until("peer_joined").await?;
        let begun = Instant::now();
        let to_first = json!({"type": "connect", "peer_id": second_id});
        let to_second = json!({"type": "connect", "peer_id": first_id});
        let (to_first, to_second) = tokio::join!(first.say(&to_first), second.say(&to_second));
        to_first.and(to_second)?;
        let (first_open, second_open) =
            tokio::join!(first.until("channel_open"), second.until("channel_open"));
        first_open.and(second_open)?;
        sample.add(begun.elapsed());
        first.say(&json!({"type": "message", "text": "from first"})).await?;
        second.say(&json!({"type": "message", "text": "from second"})).await?;
        ensure!(second.until("message").await?["text"] == "from first", "run {run}: another text came");
        ensure!(first.until("message").await?["text"] == "from second", "run {run}: another text came");
    }
    sample.print("both connect at once -> both open, two processes");
    Ok(())
}

pub(crate) async fn chat(texts: usize) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut first = Client::start(&server, "chat", "first", false)?;
    first.until("joined").await?;
    let mut second = Client::start(&server, "chat", "second", false)?;
    let (first_open, second_open) = tokio::join!(first.until("channel_open"), second.until("channel_open"));
    first_open.and(second_open)?;
    let begun = Instant::now();
    let (from_first, from_second) = tokio::join!(exchange(first, texts), exchange(second, texts));
    from_first.and(from_second)?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{texts} texts each way, all delivered once, in order, receipted: {seconds:.3} s, {:.0} texts/s",
        2.0 * texts as f64 / seconds
    );
    let mut first = Client::start(&server, "ping", "first", false)?;
    first.until("joined").await?;
    let mut second = Client::start(&server, "ping", "second", false)?;
    second.until("channel_open").await?;
    first.until("channel_open").await?;
    let mut sample = Sample::default();
    for _ in 0..texts {
        let begun = Instant::now();
        first.say(&json!({"type": "message", "text": "ping"})).await?;
        second.until("message").await?;
        sample.add(begun.elapsed());
        while first.until("receipt").await?["state"] != "delivered" {}
    }
    sample.print("one text, written -> read, two processes");
    Ok(())
}

/// Sends `texts` texts, and reads until as many came and all of ours are delivered.
async fn exchange(mut client: Client, texts: usize) -> anyhow::Result<()> {
    let (mut written, mut received, mut delivered) = (0, 0, HashSet::new());
    while received < texts || delivered.len() < texts {
        // The client's queue for one peer is bounded: stay below it.
        if written < texts && written - delivered.len() < 256 {
            written += 1;
            client.say(&json!({"type": "message", "text": format!("text {written}")})).await?;
            continue;
        }
        let line = client.next().await?;
        match line["type"].as_str() {
            Some("message") => {
                received += 1;
                ensure!(line["text"] == format!("text {received}"), "out of order or twice: {line}");
            }
            Some("receipt") if line["state"] == "delivered" => {
                ensure!(delivered.insert(line["id"].clone()), "receipted twice: {line}");
            }
            Some("error") => anyhow::bail!("{line}"),
            _ => {}
        }
    }
    Ok(())
}
