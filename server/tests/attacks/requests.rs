//! Attacks by requests: too large, never whole, or too many.

use patchcord_proto::v1::{
    SignalRequest,
    signal_request::{Candidate, Message as Ask},
    signal_response::{Message as Told, rejected::Code},
};
use tokio::time::{Duration, Instant, sleep};

use super::{
    kit::{Peer, connect as call, join_request, raw::RawCall},
    target::Target,
    wire::{DATA, END_HEADERS, HEADERS, Manners, Wire, call_headers, frame, stream},
};

/// Below what one address may open at once.
const PER_ADDRESS: u16 = 50;

/// Messages that claim or have more than is taken.
pub async fn message_bombs(target: &Target) -> String {
    let mut outcomes = Vec::new();
    let bombs: [(&str, Vec<u8>); 4] = [
        // Flag and length as gRPC has them, then nothing of what they promise.
        ("4 GiB promised", vec![0, 0xff, 0xff, 0xff, 0xff]),
        ("1 MiB", [vec![0, 0, 0x10, 0, 0], vec![0; 1024 * 1024]].concat()),
        ("compressed", vec![1, 0, 0, 0, 4, 0x1f, 0x8b, 8, 0]),
        // A field of a later version, 10,000 times.
        ("10,000 fields", [vec![0, 0, 0, 0x4e, 0x20], [0x78, 1].repeat(10_000)].concat()),
    ];
    for (what, bytes) in &bombs {
        let status = bomb(target, bytes).await;
        assert_eq!(status, tonic::Code::InvalidArgument, "{what}");
        outcomes.push(*what);
    }
    let until = Instant::now() + target.time();
    for (_, bytes) in bombs.iter().cycle().take_while(|_| Instant::now() < until) {
        bomb(target, bytes).await;
        // As often as one address may connect.
        sleep(Duration::from_millis(50)).await;
    }
    assert!(target.peak_kib() < 16 * 1024, "{} KiB", target.peak_kib());
    format!("INVALID_ARGUMENT for each of {}", outcomes.join(", "))
}

async fn bomb(target: &Target, bytes: &[u8]) -> tonic::Code {
    let mut call = RawCall::open(target.public).await;
    call.requests.send_data(bytes.to_vec().into(), false).unwrap();
    call.status().await
}

/// Every window of every connection full of messages that lack their last byte.
pub async fn half_messages(target: &Target) -> String {
    const MESSAGE_BYTES: usize = 20 * 1024;
    const STREAMS: u32 = 8;
    let count = target.scale(50, 1_000);
    let mut wires = Vec::new();
    let started = Instant::now();
    for number in 0..count {
        let attacker = u8::try_from(number / PER_ADDRESS).unwrap();
        let mut wire = Wire::open(target.public, attacker, Manners::Polite).await.unwrap();
        // The connection's window is larger from then on.
        wire.until(|seen| seen.windows > 0).await;
        let mut message = vec![0];
        message.extend(u32::try_from(MESSAGE_BYTES).unwrap().to_be_bytes());
        message.resize(message.len() + MESSAGE_BYTES - 1, 0);
        let mut bytes = Vec::new();
        for call in 0..STREAMS {
            bytes.extend(frame(HEADERS, END_HEADERS, stream(call), &call_headers()));
            for part in message.chunks(16 * 1024) {
                bytes.extend(frame(DATA, 0, stream(call), part));
            }
        }
        assert!(wire.send(&bytes).await);
        wires.push(wire);
    }
    for wire in &mut wires {
        // No join within five seconds: the trailers of each.
        let seen = wire.until(|seen| seen.headers >= 2 * STREAMS || seen.has_ended).await;
        assert!(seen.headers >= 2 * STREAMS, "{seen:?}");
    }
    let seconds = started.elapsed().as_secs_f64();
    let each_kib = target.peak_kib() / u64::from(count);
    // The connection's window, which holds all that was sent, and its state.
    assert!(each_kib < 512, "{each_kib} KiB each");
    format!("{count} connections with 8 calls each ended after {seconds:.1} s, {each_kib} KiB each")
}

/// One session that asks as fast as it can.
pub async fn request_flood(target: &Target) -> String {
    let started = Instant::now();
    let Flood { answered, refused, end } = flood(target).await;
    let seconds = started.elapsed().as_secs_f64();
    let mut floods = 1;
    while started.elapsed() < target.time() {
        // As often as one address may connect.
        sleep(Duration::from_millis(50)).await;
        flood(target).await;
        floods += 1;
    }
    // The same person may come again, and is heard.
    let mut call = RawCall::open(target.public).await;
    call.send_request(&join_request(1, "flood", "flooder"));
    assert!(matches!(call.response().await.unwrap().message, Some(Told::Joined(_))));
    format!("{answered} answered, {refused} RATE_LIMITED, then {end} after {seconds:.2} s; {floods} times")
}

struct Flood {
    answered: u32,
    refused: u32,
    end: &'static str,
}

async fn flood(target: &Target) -> Flood {
    let mut peer = Peer::open(call(target.public).await).await.unwrap();
    peer.join("flood", "flooder").await;
    let requests = peer.requests.take().unwrap();
    let flooding = tokio::spawn(async move {
        // As long as candidates are: h2 takes fewer of the smallest frames than a session takes requests.
        let candidate = Candidate { candidate: "x".repeat(64), ..Candidate::default() };
        for _ in 0..1_000_000 {
            let message = Some(Ask::Candidate(candidate.clone()));
            if requests.send(SignalRequest { seq: 0, ack: 0, message }).await.is_err() {
                return;
            }
        }
        panic!("nothing stops it");
    });
    let (mut answered, mut refused) = (0, 0);
    let status = loop {
        match peer.response().await {
            Ok(Some(response)) => match response.message {
                Some(Told::Rejected(rejected)) if rejected.code() == Code::NoSuchPeer => answered += 1,
                Some(Told::Rejected(rejected)) => {
                    assert_eq!((rejected.code(), rejected.retryable), (Code::RateLimited, true));
                    refused += 1;
                }
                other => panic!("{other:?}"),
            },
            Ok(None) => panic!("ended in order"),
            Err(status) => break status,
        }
    };
    flooding.await.unwrap();
    let end = match status.code() {
        tonic::Code::ResourceExhausted => {
            assert!(answered >= 8_000 && refused >= 1_000, "{answered} {refused}");
            "RESOURCE_EXHAUSTED"
        }
        // The transport is full of frames first when the server is busy.
        _ => "GOAWAY",
    };
    Flood { answered, refused, end }
}
