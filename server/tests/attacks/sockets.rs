//! Attacks by sockets: connections that say nothing, too little, or nothing any more; and too many.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Duration, Instant, sleep, timeout},
};

use super::{
    kit::{DEADLINE, Peer, connect as call},
    target::Target,
    wire::{Manners, PREFACE, Wire, connect},
};

/// Below what one address may open at once.
const PER_ADDRESS: u16 = 50;

async fn until_closed(socket: &mut TcpStream) {
    // What the server says first, and then the end or a reset.
    let mut said = Vec::new();
    let _ = timeout(DEADLINE, socket.read_to_end(&mut said)).await.expect("the server closes it");
}

/// Connections on which nothing is ever sent.
pub async fn silent_tcp(target: &Target) -> String {
    let count = target.scale(100, 200);
    let mut closing = JoinSet::new();
    let started = Instant::now();
    for number in 0..count {
        let attacker = u8::try_from(number / PER_ADDRESS).unwrap();
        let mut socket = connect(target.public, attacker).await.unwrap();
        closing.spawn(async move { until_closed(&mut socket).await });
    }
    closing.join_all().await;
    let cut = target.metric("patchcord_connections_cut_total{reason=\"preface_timeout\"}").await;
    assert_eq!(cut, u64::from(count));
    format!("{count} of {count} closed after {:.1} s", started.elapsed().as_secs_f64())
}

/// Connections that never quite finish their preface.
pub async fn slow_preface(target: &Target) -> String {
    let count = target.scale(20, 100);
    let mut dripping = JoinSet::new();
    let started = Instant::now();
    for number in 0..count {
        let attacker = u8::try_from(number / PER_ADDRESS).unwrap();
        let socket = connect(target.public, attacker).await.unwrap();
        dripping.spawn(async move {
            let (mut reading, mut writing) = socket.into_split();
            let drip = async move {
                for byte in PREFACE {
                    sleep(Duration::from_millis(400)).await;
                    if writing.write_all(&[*byte]).await.is_err() {
                        break;
                    }
                }
                std::future::pending::<()>().await;
            };
            let mut said = Vec::new();
            tokio::select! {
                _ = timeout(DEADLINE, reading.read_to_end(&mut said)) => {}
                () = drip => {}
            }
        });
    }
    dripping.join_all().await;
    let cut = target.metric("patchcord_connections_cut_total{reason=\"preface_timeout\"}").await;
    assert_eq!(cut, u64::from(count));
    format!("{count} of {count} closed after {:.1} s", started.elapsed().as_secs_f64())
}

/// Connections whose other end has gone without a word: no answer comes to a ping.
pub async fn half_open(target: &Target) -> String {
    let count = target.scale(20, 200);
    let mut wires = Vec::new();
    let started = Instant::now();
    for number in 0..count {
        let attacker = u8::try_from(number / PER_ADDRESS).unwrap();
        wires.push(Wire::open(target.public, attacker, Manners::Silent).await.unwrap());
    }
    // One that answers is kept all the while.
    let polite = Wire::open(target.public, 9, Manners::Polite).await.unwrap();
    for wire in &mut wires {
        let seen = wire.ended().await;
        assert_eq!(seen.pings, 1, "{seen:?}");
    }
    let seconds = started.elapsed().as_secs_f64();
    let seen = polite.seen();
    assert!(seen.pings > 0 && !seen.has_ended, "{seen:?}");
    target.until_connections(1).await;
    format!("{count} of {count} closed after {seconds:.1} s, one ping each")
}

/// As many connections as one address can open.
pub async fn connection_flood(target: &Target) -> String {
    let count = target.scale(400, 4_000);
    let mut wires = Vec::new();
    let (mut refused, started) = (0, Instant::now());
    for _ in 0..count {
        match Wire::open(target.public, 0, Manners::Polite).await {
            Ok(wire) => wires.push(wire),
            Err(_) => refused += 1,
        }
    }
    // Others are not concerned.
    let mut other = Peer::open(call(target.public).await).await.unwrap();
    other.join("elsewhere", "other").await;
    let seconds = started.elapsed().as_secs_f64();
    let of_rate = target.metric("patchcord_connections_refused_total{reason=\"too_often\"}").await;
    let of_share = target.metric("patchcord_connections_refused_total{reason=\"too_many_of_address\"}").await;
    let open = count - of_rate - of_share;
    assert!(open + refused <= count, "{open} open and {refused} refused of {count}");
    // With the other; earlier questions' own may not have ended yet.
    target.until_connections(open + 1).await;
    let most = (100.0 + 20.0 * (seconds + 1.0)).min(256.0);
    assert!(open as f64 <= most, "{open} in {seconds} s");
    format!("{open} of {count} taken, the others reset")
}
