//! Attacks by frames: what HTTP/2 permits, in numbers that nobody meant (reset, headers, control frames).

use std::{io, net::SocketAddr};

use tokio::{
    task::{JoinSet, yield_now},
    time::{Duration, Instant, sleep},
};

use super::{
    target::Target,
    wire::{
        CANCEL, CONTINUATION, END_HEADERS, ENHANCE_YOUR_CALM, HEADERS, Manners, PING, REFUSED_STREAM,
        RST_STREAM, SETTINGS, Seen, WINDOW_UPDATE, Wire, call_headers, frame, literal, stream,
    },
};

/// What nothing that works lets through.
const FRAMES_MAX: u32 = 100_000;
const BATCH: u32 = 50;
/// Where memory is all that is asserted: far above what one connection may cost, far below what the attack
/// would.
const PEAK_KIB_MAX: u64 = 32 * 1024;

/// Each attacker comes back at once when it is thrown out. The guard may refuse it, which is as good.
async fn keep_up<F, Once>(target: &Target, once: F)
where
    F: Fn(SocketAddr, u8) -> Once + Copy + Send + 'static,
    Once: Future<Output = io::Result<(u32, Seen)>> + Send + 'static,
{
    let (server, until) = (target.public, Instant::now() + target.time());
    let mut attackers = JoinSet::new();
    for attacker in 1..=target.scale(2, 10) {
        attackers.spawn(async move {
            while Instant::now() < until {
                let _ = once(server, attacker).await;
                // The attackers share a machine with whom they attack.
                sleep(Duration::from_millis(5)).await;
            }
        });
    }
    attackers.join_all().await;
}

/// Sends batches until the server has had enough; how many units it took, and what it said.
async fn pour(mut wire: Wire, mut unit: impl FnMut(u32) -> Vec<u8>) -> io::Result<(u32, Seen)> {
    let mut sent = 0;
    while sent < FRAMES_MAX {
        let batch: Vec<u8> = (sent..sent + BATCH).flat_map(&mut unit).collect();
        if !wire.send(&batch).await || wire.seen().has_ended {
            break;
        }
        sent += BATCH;
        yield_now().await;
    }
    assert!(sent < FRAMES_MAX, "nothing stops it");
    Ok((sent, wire.ended().await))
}

/// Who still writes when the connection is closed may be reset before it has read why.
fn is_ended_for_excess(seen: &Seen) -> bool {
    seen.has_ended && seen.go_away.is_none_or(|code| code == ENHANCE_YOUR_CALM)
}

async fn reset_rapidly(server: SocketAddr, attacker: u8) -> io::Result<(u32, Seen)> {
    let wire = Wire::open(server, attacker, Manners::Silent).await?;
    let headers = call_headers();
    pour(wire, |number| {
        let mut unit = frame(HEADERS, END_HEADERS, stream(number), &headers);
        unit.extend(frame(RST_STREAM, 0, stream(number), &CANCEL.to_be_bytes()));
        unit
    })
    .await
}

/// CVE-2023-44487: streams that are reset as soon as they are opened.
pub async fn rapid_reset(target: &Target) -> String {
    let (pairs, seen) = reset_rapidly(target.public, 0).await.unwrap();
    assert!(is_ended_for_excess(&seen), "{seen:?}");
    keep_up(target, reset_rapidly).await;
    assert!(target.peak_kib() < PEAK_KIB_MAX, "{} KiB", target.peak_kib());
    format!("GOAWAY ENHANCE_YOUR_CALM within {pairs} pairs")
}

async fn make_it_reset(server: SocketAddr, attacker: u8) -> io::Result<(u32, Seen)> {
    let wire = Wire::open(server, attacker, Manners::Silent).await?;
    let headers = call_headers();
    pour(wire, |number| {
        let mut unit = frame(HEADERS, END_HEADERS, stream(number), &headers);
        // A window that overflows: the stream's error, for the server to reset.
        unit.extend(frame(WINDOW_UPDATE, 0, stream(number), &0x7fff_ffff_u32.to_be_bytes()));
        unit
    })
    .await
}

/// CVE-2025-8671: streams that the server has to reset.
pub async fn made_you_reset(target: &Target) -> String {
    let (_, seen) = make_it_reset(target.public, 0).await.unwrap();
    assert!(is_ended_for_excess(&seen), "{seen:?}");
    let resets: u32 = seen.resets.values().sum();
    assert!(resets <= 64, "{resets}");
    keep_up(target, make_it_reset).await;
    assert!(target.peak_kib() < PEAK_KIB_MAX, "{} KiB", target.peak_kib());
    format!("GOAWAY ENHANCE_YOUR_CALM after {resets} resets")
}

async fn never_end_headers(server: SocketAddr, attacker: u8) -> io::Result<(u32, Seen)> {
    let wire = Wire::open(server, attacker, Manners::Silent).await?;
    wire.send(&frame(HEADERS, 0, 1, &call_headers())).await;
    let more = literal(b"x", &[b'y'; 8 * 1024]);
    pour(wire, |_| frame(CONTINUATION, 0, 1, &more)).await
}

/// CERT VU#421644: a header block without end.
pub async fn continuation_flood(target: &Target) -> String {
    let (frames, seen) = never_end_headers(target.public, 0).await.unwrap();
    assert!(seen.has_ended && frames <= 10 * BATCH, "{frames} {seen:?}");
    keep_up(target, never_end_headers).await;
    assert!(target.peak_kib() < PEAK_KIB_MAX, "{} KiB", target.peak_kib());
    let code = seen.go_away.map_or("connection closed".to_owned(), |code| format!("GOAWAY {code}"));
    format!("{code} within {frames} frames of 8 KiB")
}

async fn open_many_streams(server: SocketAddr, attacker: u8) -> io::Result<(u32, Seen)> {
    let wire = Wire::open(server, attacker, Manners::Silent).await?;
    let headers = call_headers();
    pour(wire, |number| frame(HEADERS, END_HEADERS, stream(number), &headers)).await
}

/// As many calls at once as numbers allow.
pub async fn stream_flood(target: &Target) -> String {
    let (calls, seen) = open_many_streams(target.public, 0).await.unwrap();
    assert!(is_ended_for_excess(&seen), "{seen:?}");
    let refused = seen.resets.get(&REFUSED_STREAM).copied().unwrap_or_default();
    assert!(refused > 0, "{seen:?}");
    keep_up(target, open_many_streams).await;
    assert!(target.peak_kib() < PEAK_KIB_MAX, "{} KiB", target.peak_kib());
    format!("{refused} times REFUSED_STREAM, then GOAWAY ENHANCE_YOUR_CALM, within {calls} calls")
}

/// One call with these headers, answered or not.
async fn call_with(server: SocketAddr, attacker: u8, headers: &[u8]) -> io::Result<Seen> {
    let mut wire = Wire::open(server, attacker, Manners::Silent).await?;
    wire.send(&frame(HEADERS, END_HEADERS, 1, headers)).await;
    Ok(wire.until(|seen| seen.headers > 0 || seen.has_ended).await)
}

async fn send_large_header(server: SocketAddr, attacker: u8) -> io::Result<(u32, Seen)> {
    let mut headers = call_headers();
    headers.extend(literal(b"x", &[b'y'; 12 * 1024]));
    Ok((1, call_with(server, attacker, &headers).await?))
}

/// A header over its limit.
pub async fn header_bomb(target: &Target) -> String {
    let (_, seen) = send_large_header(target.public, 0).await.unwrap();
    assert!(seen.too_large, "{seen:?}");
    keep_up(target, send_large_header).await;
    assert!(target.peak_kib() < PEAK_KIB_MAX, "{} KiB", target.peak_kib());
    "431 Request Header Fields Too Large".to_owned()
}

async fn refer_many_times(server: SocketAddr, attacker: u8) -> io::Result<(u32, Seen)> {
    let mut headers = call_headers();
    // A literal with incremental indexing; then its index, 62, again and again.
    headers.push(0x40);
    headers.extend(&literal(b"x", &[b'y'; 4_000])[1..]);
    headers.extend([0x80 | 62; 12_000]);
    Ok((1, call_with(server, attacker, &headers).await?))
}

/// One large entry in the table of RFC 7541, and thousands of references to it at a byte each.
pub async fn header_table_bomb(target: &Target) -> String {
    let (_, seen) = refer_many_times(target.public, 0).await.unwrap();
    assert!(seen.too_large || seen.go_away.is_some(), "{seen:?}");
    keep_up(target, refer_many_times).await;
    // 48 MB each, if they were ever laid out.
    assert!(target.peak_kib() < PEAK_KIB_MAX, "{} KiB", target.peak_kib());
    let refused = if seen.too_large { "431".to_owned() } else { format!("GOAWAY {:?}", seen.go_away) };
    format!("{refused} for 12,000 references to 4 KB")
}

/// Sends one kind of control frame for as long as there is time, and reads all answers.
async fn flood(target: &Target, unit: Vec<u8>) -> (f64, Seen) {
    let wire = Wire::open(target.public, 0, Manners::Silent).await.unwrap();
    let batch = unit.repeat(500);
    let started = Instant::now();
    while started.elapsed() < target.time() && wire.send(&batch).await {
        yield_now().await;
    }
    (started.elapsed().as_secs_f64(), wire.seen())
}

/// What a connection may send in that time, and an eighth more.
fn bytes_max(seconds: f64) -> f64 {
    (1024.0 + 256.0 * seconds) * 1024.0 * 1.125
}

/// CVE-2019-9512.
pub async fn ping_flood(target: &Target) -> String {
    let unit = frame(PING, 0, 0, &[1; 8]);
    let (seconds, seen) = flood(target, unit.clone()).await;
    assert!(seen.pongs > 0 && !seen.has_ended, "{seen:?}");
    let bytes = f64::from(seen.pongs) * unit.len() as f64;
    assert!(bytes <= bytes_max(seconds), "{bytes} bytes in {seconds} s");
    assert!(target.peak_kib() < PEAK_KIB_MAX, "{} KiB", target.peak_kib());
    format!("held at {:.0} pings/s", f64::from(seen.pongs) / seconds)
}

/// CVE-2019-9515.
pub async fn settings_flood(target: &Target) -> String {
    let (seconds, seen) = flood(target, frame(SETTINGS, 0, 0, &[])).await;
    assert!(target.peak_kib() < PEAK_KIB_MAX, "{} KiB", target.peak_kib());
    let end = if seen.has_ended { "closed" } else { "held" };
    format!("{end}, {seconds:.1} s of it cost {:.2} s CPU", target.cpu().as_secs_f64())
}
