//! Two connections of one process, to measure what the engine carries with our runtime and sockets, and
//! sessions without connections. Only with the feature `measure`, for the benchmarks.

mod exchange;
mod session;

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    IceTransportPolicy,
    connection::{Certificate, Connection, ConnectionConfig, ConnectionEvent, EngineError},
    negotiation::DescriptionKind,
};

pub use crate::signaling::Observer;
pub use exchange::exchange;
pub use session::{Session, Told};

/// For the channel to open, and then for each message.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection over loopback, open at both ends.
pub struct Pair {
    sender: Connection,
    receiver: Connection,
}

/// What kept a measurement from being made.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The engine refused.
    #[error("the engine refused: {0}")]
    Engine(String),
    /// Nothing came for 30 seconds.
    #[error("nothing came for 30 s")]
    Stalled,
}

impl From<EngineError> for MeasureError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error.to_string())
    }
}

impl Pair {
    /// Opens a channel from one to the other.
    ///
    /// # Errors
    /// When the engine refuses or the channel does not open.
    pub async fn open() -> Result<Self, MeasureError> {
        let config = ConnectionConfig {
            certificate: Certificate::generate()?,
            ice_servers: Vec::new(),
            ca_certificate: None,
            ice_transport_policy: IceTransportPolicy::All,
            ip_policy: crate::IpPolicy::default(),
            verified: false,
            local_addresses: vec![Ipv4Addr::LOCALHOST.into()],
        };
        let mut sender = Connection::new(&config).await?;
        let mut receiver = Connection::new(&config).await?;
        let offer = sender.describe(DescriptionKind::Offer).await?;
        receiver.set_remote(DescriptionKind::Offer, offer).await?;
        let answer = receiver.describe(DescriptionKind::Answer).await?;
        sender.set_remote(DescriptionKind::Answer, answer).await?;
        let (mut sender_open, mut receiver_open) = (false, false);
        while !(sender_open && receiver_open) {
            let step = async {
                tokio::select! {
                    event = sender.next_event(true) => (true, event),
                    event = receiver.next_event(true) => (false, event),
                }
            };
            let (is_sender, event) = within_patience(step).await?;
            match event {
                ConnectionEvent::LocalCandidate(candidate) if is_sender => {
                    receiver.add_candidate(candidate).await?;
                }
                ConnectionEvent::LocalCandidate(candidate) => sender.add_candidate(candidate).await?,
                ConnectionEvent::ChannelOpen if is_sender => sender_open = true,
                ConnectionEvent::ChannelOpen => receiver_open = true,
                _ => {}
            }
        }
        Ok(Self { sender, receiver })
    }

    /// Sends `count` messages of `bytes` bytes and gives how long it took until all of them had come.
    ///
    /// # Errors
    /// When the channel closes or nothing comes any more.
    pub async fn carry(&mut self, bytes: usize, count: usize) -> Result<Duration, MeasureError> {
        let begun = Instant::now();
        let channel = self.sender.channel();
        let message = Bytes::from(vec![0x5a; bytes]);
        let sending = tokio::spawn(async move {
            for _ in 0..count {
                channel.send(message.clone()).await?;
            }
            Ok::<_, EngineError>(())
        });
        let mut left = bytes * count;
        while left > 0 {
            match within_patience(self.receiver.next_event(true)).await? {
                ConnectionEvent::ChannelMessage(message) => left = left.saturating_sub(message.len()),
                ConnectionEvent::ChannelClosed => return Err(MeasureError::Engine("it closed".into())),
                _ => {}
            }
        }
        let took = begun.elapsed();
        sending.await.map_err(|_| MeasureError::Stalled)??;
        Ok(took)
    }

    /// Closes both ends.
    pub async fn close(self) {
        self.sender.close().await;
        self.receiver.close().await;
    }
}

async fn within_patience<T>(step: impl Future<Output = T>) -> Result<T, MeasureError> {
    tokio::time::timeout(PATIENCE, step).await.map_err(|_| MeasureError::Stalled)
}
