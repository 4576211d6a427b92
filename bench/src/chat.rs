//! How fast texts are delivered: over a direct path, and beside it through a TURN server.

use std::{collections::HashSet, time::Instant};

use anyhow::ensure;
use serde_json::json;

use crate::{
    figures::Sample,
    processes::{Client, Coturn, Server},
};

pub(crate) async fn chat(texts: usize, relay: bool) -> anyhow::Result<()> {
    if !relay {
        let server = Server::start().await?;
        both_ways(&server, texts, "direct", &[]).await?;
        let mut pair = Pair::open(&server, "direct", &[]).await?;
        let mut sample = Sample::default();
        for _ in 0..texts {
            pair.ping(&mut sample).await?;
        }
        sample.print("one text, written -> read, two processes");
        return Ok(());
    }
    let coturn = Coturn::start().await?;
    let server = Server::start_with(&coturn.flags()).await?;
    both_ways(&server, texts, "direct", &[]).await?;
    both_ways(&server, texts, "relay", &["--relay-only"]).await?;
    let mut direct = Pair::open(&server, "direct", &[]).await?;
    let mut relayed = Pair::open(&server, "relay", &["--relay-only"]).await?;
    let (mut over_direct, mut over_relay) = (Sample::default(), Sample::default());
    // In turns, so that whatever else this machine does falls on both.
    for _ in 0..texts {
        direct.ping(&mut over_direct).await?;
        relayed.ping(&mut over_relay).await?;
    }
    over_direct.print("one text, written -> read, two processes, direct");
    over_relay.print("one text, written -> read, two processes, relay to relay of one coturn");
    Ok(())
}

/// Two clients whose channel is open.
struct Pair {
    first: Client,
    second: Client,
}

impl Pair {
    /// `path`: what theirs has to be.
    async fn open(server: &Server, path: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let room = format!("chat-{path}");
        let mut first = Client::start(server, &room, "first", flags)?;
        first.until("joined").await?;
        let mut second = Client::start(server, &room, "second", flags)?;
        for client in [&mut first, &mut second] {
            let (mut is_open, mut is_on_path) = (false, false);
            while !(is_open && is_on_path) {
                let line = client.next().await?;
                is_open |= line["type"] == "channel_open";
                if line["type"] == "connection" && !line["path"].is_null() {
                    ensure!(line["path"] == *path, "not {path}: {line}");
                    is_on_path = true;
                }
                ensure!(line["type"] != "error", "{line}");
            }
        }
        Ok(Self { first, second })
    }

    async fn ping(&mut self, sample: &mut Sample) -> anyhow::Result<()> {
        let begun = Instant::now();
        self.first.say(&json!({"type": "message", "text": "ping"})).await?;
        self.second.until("message").await?;
        sample.add(begun.elapsed());
        while self.first.until("receipt").await?["state"] != "delivered" {}
        Ok(())
    }
}

/// All at once, both ways.
async fn both_ways(server: &Server, texts: usize, path: &str, flags: &[&str]) -> anyhow::Result<()> {
    let Pair { mut first, mut second } = Pair::open(server, path, flags).await?;
    let begun = Instant::now();
    let (from_first, from_second) = tokio::join!(exchange(&mut first, texts), exchange(&mut second, texts));
    from_first.and(from_second)?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{texts} texts each way, {path}, all delivered once, in order, receipted: {seconds:.3} s, {:.0} texts/s",
        2.0 * texts as f64 / seconds
    );
    Ok(())
}

/// Sends `texts` texts, and reads until as many came and all of ours are delivered. Whoever is done first stays: the
/// other still waits for its receipts.
async fn exchange(client: &mut Client, texts: usize) -> anyhow::Result<()> {
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
