//! HTTP/2 by hand (RFC 9113): frames that no library would send, in any order, and what came back.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex, watch},
    task::JoinHandle,
    time::timeout,
};

use super::kit::{DEADLINE, raw::SIGNAL};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types, RFC 9113 section 6.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
/// Flags.
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
/// Error codes, section 7.
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// What the server has sent.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The code of a GOAWAY.
    pub go_away: Option<u32>,
    /// RST_STREAM by code.
    pub resets: HashMap<u32, u32>,
    /// Responses begun, trailers too.
    pub headers: u32,
    /// Whether a response was 431 (Request Header Fields Too Large).
    pub too_large: bool,
    /// Pings of the server.
    pub pings: u32,
    /// Its answers to ours.
    pub pongs: u32,
    /// Windows that were made larger.
    pub windows: u32,
    /// The connection is closed or broken.
    pub has_ended: bool,
}

/// Whether a client does what every client does by itself: acknowledge settings and answer pings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    Polite,
    Silent,
}

/// One connection.
pub struct Wire {
    writing: Arc<Mutex<OwnedWriteHalf>>,
    seen: watch::Receiver<Seen>,
    reading: JoinHandle<()>,
}

/// A socket from one of the loopback addresses that attackers have: 127.0.0.2 and so on.
pub async fn connect(server: SocketAddr, attacker: u8) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2 + attacker), 0)))?;
    timeout(DEADLINE, socket.connect(server)).await.expect("the kernel accepts")
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The header block of a call that opens a session.
pub fn call_headers() -> Vec<u8> {
    call_headers_to(SIGNAL)
}

/// The header block of a call (RFC 7541: indexed and literal, nothing compressed).
pub fn call_headers_to(path: &str) -> Vec<u8> {
    // :method POST, :scheme http.
    let mut block = vec![0x83, 0x86];
    // :path and :authority by the index of their names.
    block.extend([0x04, u8::try_from(path.len()).unwrap()]);
    block.extend(path.bytes());
    block.extend([0x01, 1, b'x']);
    block.extend(literal(b"content-type", b"application/grpc"));
    block.extend(literal(b"te", b"trailers"));
    block
}

/// A literal header that is not added to the table.
pub fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut block = vec![0];
    for part in [name, value] {
        // An integer with a prefix of 7 bits, section 5.1.
        let mut rest = part.len();
        if rest < 127 {
            block.push(u8::try_from(rest).unwrap());
        } else {
            block.push(127);
            rest -= 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap());
        }
        block.extend(part);
    }
    block
}

/// The number of the n-th stream of a client.
pub fn stream(number: u32) -> u32 {
    number * 2 + 1
}

impl Wire {
    /// Connects and begins to speak.
    pub async fn open(server: SocketAddr, attacker: u8, manners: Manners) -> io::Result<Self> {
        let socket = connect(server, attacker).await?;
        socket.set_nodelay(true)?;
        let (reading, writing) = socket.into_split();
        let writing = Arc::new(Mutex::new(writing));
        let (told, seen) = watch::channel(Seen::default());
        let answering = (manners == Manners::Polite).then(|| Arc::clone(&writing));
        let reading = tokio::spawn(async move {
            let _ = read(reading, answering, &told).await;
            told.send_modify(|seen| seen.has_ended = true);
        });
        let wire = Self { writing, seen, reading };
        let mut hello = PREFACE.to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &[]));
        match wire.send(&hello).await {
            true => Ok(wire),
            false => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    /// Whether the other end still took it.
    pub async fn send(&self, bytes: &[u8]) -> bool {
        let mut writing = self.writing.lock().await;
        let written = timeout(DEADLINE, writing.write_all(bytes)).await;
        written.expect("the server neither reads nor closes").is_ok()
    }

    /// What came so far.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until enough has come.
    pub async fn until(&mut self, enough: impl FnMut(&Seen) -> bool) -> Seen {
        timeout(DEADLINE, self.seen.wait_for(enough)).await.expect("in time").unwrap().clone()
    }

    /// Waits for the end of the connection.
    pub async fn ended(&mut self) -> Seen {
        self.until(|seen| seen.has_ended).await
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn read(
    mut reading: OwnedReadHalf,
    answering: Option<Arc<Mutex<OwnedWriteHalf>>>,
    told: &watch::Sender<Seen>,
) -> io::Result<()> {
    loop {
        let mut head = [0; 9];
        reading.read_exact(&mut head).await?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        reading.read_exact(&mut payload).await?;
        let (kind, flags) = (head[3], head[4]);
        told.send_modify(|seen| seen.note(kind, flags, &payload));
        let is_asked = matches!(kind, SETTINGS | PING) && flags & ACK == 0;
        if let Some(writing) = answering.as_ref().filter(|_| is_asked) {
            let answer = if kind == PING { &payload[..] } else { &[] };
            writing.lock().await.write_all(&frame(kind, ACK, 0, answer)).await?;
        }
    }
}

impl Seen {
    fn note(&mut self, kind: u8, flags: u8, payload: &[u8]) {
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match kind {
            // The first says which streams are done, and why.
            GOAWAY => self.go_away = Some(code(4)),
            RST_STREAM => *self.resets.entry(code(0)).or_default() += 1,
            HEADERS => {
                self.headers += 1;
                // ":status" literal by its name's index (8), with the value in three digits or Huffman's.
                self.too_large |=
                    [&b"431"[..], &[0x69, 0x90, 0xff]].iter().any(|digits| has(payload, digits));
            }
            PING if flags & ACK == 0 => self.pings += 1,
            PING => self.pongs += 1,
            WINDOW_UPDATE => self.windows += 1,
            _ => {}
        }
    }
}

fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
