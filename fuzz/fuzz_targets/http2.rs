//! Raw bytes at the listener, after an HTTP/2 preface or without one: the next honest request is answered.
#![no_main]

use std::{cell::RefCell, net::SocketAddr, time::Duration};

use libfuzzer_sys::fuzz_target;
use patchcord_fuzz::{Server, connect};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// The preface of RFC 9113 section 3.4, and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const ANSWERED_WITHIN: Duration = Duration::from_millis(20);

/// Joining costs more than the rest.
const ADMIT_EVERY: u32 = 64;

thread_local! {
    static SERVER: RefCell<(Server, u32)> = RefCell::new((Server::start(), 0));
}

fuzz_target!(|input: &[u8]| {
    SERVER.with_borrow_mut(|(server, count)| {
        server.runtime.block_on(send(server.address, input));
        server.serves();
        *count += 1;
        if count.is_multiple_of(ADMIT_EVERY) {
            server.admits();
        }
    });
});

async fn send(address: SocketAddr, input: &[u8]) {
    let Some((&first, rest)) = input.split_first() else { return };
    let mut stream = connect(address).await;
    let preface = if first % 8 == 0 { &[] } else { PREFACE };
    // The server may have heard enough before the end.
    let sent = async {
        stream.write_all(preface).await?;
        stream.write_all(rest).await?;
        stream.shutdown().await
    };
    if sent.await.is_ok() {
        let mut answer = [0; 4096];
        let answered = async { while let Ok(1..) = stream.read(&mut answer).await {} };
        // One that waits for more is cut.
        let _ = timeout(ANSWERED_WITHIN, answered).await;
    }
}
