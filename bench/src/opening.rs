//! How long a channel takes to open, and that glare never prevents it.

use std::{
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
    let mut first = Client::start(server, room, "first", &[])?;
    first.until("joined").await?;
    let mut second = Client::start(server, room, "second", &[])?;
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
        let mut first = Client::start(&server, &room, "first", &["--wait"])?;
        let first_id = first.until("joined").await?["peer_id"].clone();
        let mut second = Client::start(&server, &room, "second", &["--wait"])?;
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
