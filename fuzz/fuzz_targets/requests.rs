//! What a peer says on its stream, decoded into a session: none of it may disturb who is in the room.
#![no_main]

use std::{cell::RefCell, time::Duration};

use libfuzzer_sys::fuzz_target;
use patchcord_fuzz::{PEER, Server, connect, steps};
use tokio::time::timeout;

/// A join of the honest peer's room, with the number 1.
const JOIN: &[u8] = b"\x08\x01\x1a\x09\x0a\x04room\x12\x01x";

thread_local! {
    static SERVER: RefCell<Server> = RefCell::new(Server::start());
}

fuzz_target!(|input: &[u8]| {
    SERVER.with_borrow_mut(|server| {
        let peer_id = server.peer_id().to_owned();
        server.runtime.block_on(say(server.address, body(input, peer_id.as_bytes())));
        server.serves();
    });
});

/// The stream's bytes: whole messages, or what is none.
fn body(input: &[u8], peer_id: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (what, step) in steps(input) {
        let step = match what % 4 {
            0 => JOIN.to_vec(),
            1 => {
                body.extend_from_slice(step);
                continue;
            }
            _ => with_peer_id(step, peer_id),
        };
        body.push(0);
        body.extend_from_slice(&(step.len() as u32).to_be_bytes());
        body.extend_from_slice(&step);
    }
    body
}

fn with_peer_id(step: &[u8], peer_id: &[u8]) -> Vec<u8> {
    let mut step = step.to_vec();
    if let Some(at) = step.windows(PEER.len()).position(|window| window == PEER)
        && peer_id.len() == PEER.len()
    {
        step[at..at + PEER.len()].copy_from_slice(peer_id);
    }
    step
}

async fn say(address: std::net::SocketAddr, body: Vec<u8>) {
    let (mut client, connection) = h2::client::handshake(connect(address).await).await.expect("http2");
    let driving = tokio::spawn(connection);
    let request = http::Request::post(format!("http://{address}/patchcord.v1.SignalingService/Signal"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request");
    // Whether the stream ends well or not, and when, is the server's.
    let answer = async {
        let (response, mut stream) = client.send_request(request, false).ok()?;
        stream.send_data(body.into(), true).ok()?;
        let mut responses = response.await.ok()?.into_body();
        while let Some(Ok(data)) = responses.data().await {
            let _ = responses.flow_control().release_capacity(data.len());
        }
        responses.trailers().await.ok()
    };
    let ended = timeout(Duration::from_secs(5), answer).await;
    driving.abort();
    assert!(ended.is_ok(), "a stream that is closed ends");
}
