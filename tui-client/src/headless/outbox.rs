//! What is printed, on its way to stdout and stderr. Writing waits for whoever reads; nothing is dropped
//! while somebody does, and nothing is kept once nobody does.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// What a face has printed and is not yet written.
#[derive(Debug, Default)]
pub(crate) struct Printed {
    out: BytesMut,
    err: BytesMut,
}

impl Printed {
    /// To stdout: what the user asked for.
    pub(crate) fn out(&mut self, bytes: impl AsRef<[u8]>) {
        self.out.extend_from_slice(bytes.as_ref());
    }

    /// A line to stderr: what the user ought to know.
    pub(crate) fn status(&mut self, line: impl std::fmt::Display) {
        self.err.extend_from_slice(format!("{line}\n").as_bytes());
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.out.len() + self.err.len()
    }

    #[cfg(test)]
    pub(crate) fn take(&mut self) -> (String, String) {
        let text = |bytes: &mut BytesMut| String::from_utf8(bytes.split().to_vec()).unwrap();
        (text(&mut self.out), text(&mut self.err))
    }
}

/// The two ways out.
#[derive(Debug)]
pub(super) struct Outbox<O, E> {
    printed: Printed,
    out: O,
    err: E,
    closed: bool,
}

impl<O: AsyncWrite + Unpin, E: AsyncWrite + Unpin> Outbox<O, E> {
    pub(super) fn new(out: O, err: E) -> Self {
        Self { printed: Printed::default(), out, err, closed: false }
    }

    pub(super) fn printed(&mut self) -> &mut Printed {
        &mut self.printed
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.printed.bytes() == 0
    }

    /// Writes what waits. Cancel-safe: what is not written stays. Fails once, when stdout is closed; a closed
    /// stderr is nothing to end a chat for.
    pub(super) async fn write(&mut self) -> io::Result<()> {
        if write(&mut self.err, &mut self.printed.err).await.is_err() {
            self.printed.err.clear();
        }
        if self.closed {
            self.printed.out.clear();
            return Ok(());
        }
        let result = write(&mut self.out, &mut self.printed.out).await;
        self.closed = result.is_err();
        result
    }
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &mut BytesMut) -> io::Result<()> {
    while bytes.has_remaining() {
        if writer.write_buf(bytes).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex, sink};

    use super::*;

    #[tokio::test]
    async fn a_write_that_is_given_up_goes_on_where_it_was() {
        let (out, mut reader) = duplex(4);
        let mut outbox = Outbox::new(out, sink());
        outbox.printed().out("0123456789");
        tokio::select! {
            biased;
            _ = outbox.write() => panic!("nobody read"),
            () = std::future::ready(()) => {}
        }
        let mut read = [0; 10];
        let (written, received) = tokio::join!(outbox.write(), reader.read_exact(&mut read));
        written.unwrap();
        received.unwrap();
        assert_eq!(&read, b"0123456789");
    }

    #[tokio::test]
    async fn a_closed_stdout_is_told_once_and_then_nothing_is_kept() {
        let (out, reader) = duplex(4);
        drop(reader);
        let mut outbox = Outbox::new(out, sink());
        outbox.printed().out("x");
        assert!(outbox.write().await.is_err());
        outbox.printed().out("y");
        assert!(outbox.write().await.is_ok());
        assert_eq!(outbox.printed().bytes(), 0);
    }
}
