//! How fast much data goes over one data channel, and how fast the same messages go over bare sockets.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::ensure;
use patchcord_peer::measure::Pair;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

/// Beyond this the engine does not send in one message.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// What a data channel's packets carry on a path of 1,200 bytes.
const DATAGRAM_BYTES: usize = 1200;

pub(crate) async fn bulk(mebibytes: usize, runs: usize) -> anyhow::Result<()> {
    for message_bytes in [16 << 10, 32 << 10, MESSAGE_BYTES_MAX] {
        let count = ((mebibytes << 20) / message_bytes).max(1);
        for run in 1..=runs {
            let mut pair = Pair::open().await?;
            let took = pair.carry(message_bytes, count).await?;
            pair.close().await;
            print(
                &format!("data channel, {} KiB messages, run {run}", message_bytes >> 10),
                message_bytes * count,
                took,
            );
        }
        print(
            &format!("bare TCP, {} KiB writes", message_bytes >> 10),
            message_bytes * count,
            bare_tcp(message_bytes, count).await?,
        );
    }
    bare_udp(mebibytes << 20).await
}

fn print(what: &str, bytes: usize, took: Duration) {
    println!("{what}: {:.0} MiB/s", bytes as f64 / f64::from(1 << 20) / took.as_secs_f64());
}

async fn bare_tcp(message_bytes: usize, count: usize) -> anyhow::Result<Duration> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut sender = TcpStream::connect(listener.local_addr()?).await?;
    let (mut receiver, _) = listener.accept().await?;
    let begun = Instant::now();
    let sending = tokio::spawn(async move {
        let message = vec![0x5a; message_bytes];
        for _ in 0..count {
            sender.write_all(&message).await?;
        }
        sender.shutdown().await
    });
    let mut buffer = vec![0; message_bytes];
    let mut received = 0;
    loop {
        match receiver.read(&mut buffer).await? {
            0 => break,
            bytes => received += bytes,
        }
    }
    let took = begun.elapsed();
    sending.await??;
    ensure!(received == message_bytes * count, "TCP lost bytes");
    Ok(took)
}

/// What the same path carries in datagrams of a data channel's size, one system call each; the sender waits for
/// each window to be received, so that none is lost.
async fn bare_udp(bytes: usize) -> anyhow::Result<()> {
    const WINDOW: usize = 64;
    let (sender, receiver) =
        (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
    sender.connect(receiver.local_addr()?).await?;
    receiver.connect(sender.local_addr()?).await?;
    let windows = (bytes / (WINDOW * DATAGRAM_BYTES)).max(1);
    let begun = Instant::now();
    let receiving = tokio::spawn(async move {
        let mut buffer = vec![0; DATAGRAM_BYTES];
        for _ in 0..windows {
            for _ in 0..WINDOW {
                receiver.recv(&mut buffer).await?;
            }
            receiver.send(&[0]).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let (datagram, mut acknowledgement) = (vec![0x5a; DATAGRAM_BYTES], [0]);
    for _ in 0..windows {
        for _ in 0..WINDOW {
            sender.send(&datagram).await?;
        }
        tokio::time::timeout(Duration::from_secs(5), sender.recv(&mut acknowledgement)).await??;
    }
    receiving.await??;
    print("bare UDP, 1,200 byte datagrams, 64 in flight", windows * WINDOW * DATAGRAM_BYTES, begun.elapsed());
    Ok(())
}
