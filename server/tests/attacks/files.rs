//! Attacks on the number of open files: a server that has none left waits, serves whom it has, and recovers.

use tokio::time::{Duration, Instant, sleep};

use super::{
    kit::{DEADLINE, Peer, connect as call},
    target::Target,
    wire::connect,
};

/// More connections than files.
pub async fn out_of_files(target: &Target) -> String {
    let time = target.scale(Duration::from_secs(2), Duration::from_secs(10));
    let idle = cpu_in(target, time).await;
    target.process.limit_files(target.process.open_files() + 4);
    let mut sockets = Vec::new();
    for _ in 0..40 {
        sockets.push(connect(target.public, 0).await.unwrap());
    }
    target.process.until_logged("cannot accept", 1).await;
    let out_of_files = cpu_in(target, time).await;
    let share = out_of_files.saturating_sub(idle).as_secs_f64() / time.as_secs_f64();
    // Spinning costs two thirds of a processor.
    assert!(share < 0.1, "{share}");
    drop(sockets);
    let started = Instant::now();
    let mut peer = loop {
        // Refused while the last of them are still being closed.
        if let Ok(mut peer) = Peer::open(call(target.public).await).await {
            peer.join("elsewhere", "late").await;
            break peer;
        }
        assert!(started.elapsed() < DEADLINE, "it does not recover");
    };
    let recovered = started.elapsed();
    peer.leave().await;
    format!("{:.1} % CPU while out of files, serving again after {} ms", share * 100.0, recovered.as_millis())
}

async fn cpu_in(target: &Target, time: Duration) -> Duration {
    let before = target.cpu();
    sleep(time).await;
    target.cpu() - before
}
