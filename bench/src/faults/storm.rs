//! A reconnect storm: the connections of many sessions are cut all at once, and all come back.

use std::time::Duration;

use anyhow::{Context, bail};
use patchcord_peer::{
    Config,
    measure::{Observer, Session, Told},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    children::{free_address, start_server},
    proxy::{Order, Proxy},
};
use crate::figures::Sample;

const SESSIONS_PER_ROOM: usize = 8;
const OPENING_MAX: usize = 64;
const PATIENCE: Duration = Duration::from_secs(60);

struct Unobserved;

impl Observer for Unobserved {}

/// Cuts `sessions` connections and says how long it took until all were resumed; each time with a new server and
/// new sessions, which have not waited before.
pub(crate) async fn storm(sessions: usize, runs: usize) -> anyhow::Result<()> {
    for _ in 0..runs {
        storm_once(sessions).await?;
    }
    Ok(())
}

async fn storm_once(sessions: usize) -> anyhow::Result<()> {
    let address = free_address()?;
    let _server = start_server(address).await?;
    let proxy = Proxy::start(address).await?;
    let url = format!("http://127.0.0.1:{}", proxy.port);
    let (told, mut heard) = mpsc::channel(1024);
    let mut holding = JoinSet::new();
    let mut opening = JoinSet::new();
    let begun = Instant::now();
    for number in 0..sessions {
        if opening.len() >= OPENING_MAX {
            let session = opening.join_next().await.context("one is opening")???;
            holding.spawn(hold(session, told.clone()));
        }
        let room = format!("room-{}", number / SESSIONS_PER_ROOM);
        let mut config = Config::new(url.clone(), room, format!("peer {number}"));
        config.join_timeout = PATIENCE;
        opening.spawn(async move { Session::join(&config, Unobserved).await.map(|(session, ..)| session) });
    }
    while let Some(session) = opening.join_next().await {
        holding.spawn(hold(session??, told.clone()));
    }
    println!("{sessions} sessions on as many connections, opened in {:?}", begun.elapsed());
    let links = proxy.links();
    let cut = links.len();
    let begun = Instant::now();
    links.into_iter().for_each(|link| proxy.order(link, Order::Cut { after_bytes: 0 }));
    let mut returns = Sample::default();
    for _ in 0..sessions {
        match timeout(PATIENCE, heard.recv()).await.context("not all came back")?.context("they hold")? {
            Returned::Completely => returns.add(begun.elapsed()),
            other => bail!("a session came back otherwise: {other:?}"),
        }
    }
    println!("{cut} connections cut, all sessions resumed after {:?}", begun.elapsed());
    returns.print("  from the cut to Resumed");
    Ok(())
}

#[derive(Debug)]
enum Returned {
    Completely,
    Incompletely,
    AsAnother,
    Never,
}

async fn hold(mut session: Session, told: mpsc::Sender<Returned>) {
    loop {
        let returned = match session.next().await {
            Some(Told::Resumed { complete: true, .. }) => Returned::Completely,
            Some(Told::Resumed { complete: false, .. }) => Returned::Incompletely,
            Some(Told::Rejoined { .. }) => Returned::AsAnother,
            None => Returned::Never,
            Some(_) => continue,
        };
        let over = matches!(returned, Returned::Never);
        if told.send(returned).await.is_err() || over {
            return;
        }
    }
}
