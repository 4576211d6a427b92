//! The accepting side of a door: the guard lets connections in or closes them at once; running out of
//! file descriptors slows accepting down instead of spinning; all connections can be cut at once.

mod connection;
pub mod files;
mod guard;
mod liveness;
mod secured;
mod socket;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    time::{Instant, Sleep, sleep},
};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;

pub use connection::{Connection, ConnectionInfo, StreamPermit};

use guard::{Guard, Shares};

use crate::{
    config::{BYTES_BURST_S, BYTES_PER_SESSION_RATE, Config},
    metrics::Metrics,
    rate::Rate,
    tls::Tls,
};

const BACK_OFF_MIN: Duration = Duration::from_millis(10);
/// Once files are there again, nobody waits longer than this.
const BACK_OFF_MAX: Duration = Duration::from_millis(250);
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// What every connection of a door is given.
pub struct Terms {
    /// Sessions at one time.
    sessions_max: usize,
    /// What it may send.
    bytes_rate: Option<Rate>,
    /// `None` where it is plain.
    tls: Option<Arc<Tls>>,
    metrics: Arc<Metrics>,
}

/// Connections as they come.
pub struct Incoming {
    listener: TcpListener,
    guard: Arc<Guard>,
    terms: Terms,
    cut: CancellationToken,
    back_off: Duration,
    backing_off: Option<Pin<Box<Sleep>>>,
    logged_at: Option<Instant>,
}

impl Terms {
    /// As the configuration says.
    fn new(config: &Config, tls: Option<Arc<Tls>>, metrics: Arc<Metrics>) -> Self {
        let sessions_max = config.sessions_per_connection_max;
        let bytes_rate =
            u32::try_from(sessions_max).unwrap_or(u32::MAX).saturating_mul(BYTES_PER_SESSION_RATE);
        Self { sessions_max, bytes_rate: Rate::per_second(bytes_rate, BYTES_BURST_S), tls, metrics }
    }
}

impl Incoming {
    /// Those of the public door. Accepts until dropped; `cut` breaks every connection.
    pub fn public(
        listener: TcpListener,
        config: &Config,
        tls: Option<Arc<Tls>>,
        metrics: &Arc<Metrics>,
        cut: &CancellationToken,
    ) -> Self {
        let terms = Terms::new(config, tls, Arc::clone(metrics));
        Self::new("public", Shares::public(config), listener, terms, cut)
    }

    /// Those of the admin door, otherwise as [`Incoming::public`].
    pub fn admin(
        listener: TcpListener,
        config: &Config,
        tls: Option<Arc<Tls>>,
        metrics: &Arc<Metrics>,
        cut: &CancellationToken,
    ) -> Self {
        let terms = Terms::new(config, tls, Arc::clone(metrics));
        Self::new("admin", Shares::admin(), listener, terms, cut)
    }

    fn new(
        door: &'static str,
        shares: Shares,
        listener: TcpListener,
        terms: Terms,
        cut: &CancellationToken,
    ) -> Self {
        let guard = Guard::new(door, shares, Arc::clone(&terms.metrics));
        if let Ok(address) = listener.local_addr() {
            let (connections_max, tls) = (guard.connections_max(), terms.tls.is_some());
            tracing::info!(door, %address, connections_max, tls, "listening");
        }
        let cut = cut.clone();
        let (back_off, backing_off, logged_at) = (BACK_OFF_MIN, None, None);
        Self { listener, guard, terms, cut, back_off, backing_off, logged_at }
    }

    fn back_off(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self.logged_at.is_none_or(|at| now.saturating_duration_since(at) >= LOG_INTERVAL) {
            tracing::warn!(%error, "cannot accept");
            self.logged_at = Some(now);
        }
        self.backing_off = Some(Box::pin(sleep(self.back_off)));
        self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(sleep) = &mut self.backing_off {
                std::task::ready!(sleep.as_mut().poll(context));
                self.backing_off = None;
            }
            match std::task::ready!(self.listener.poll_accept(context)) {
                Ok((stream, address)) => {
                    self.back_off = BACK_OFF_MIN;
                    if let Ok(share) = self.guard.admit(address, Instant::now()) {
                        let connection = Connection::new(stream, address, share, &self.terms, &self.cut);
                        return Poll::Ready(Some(Ok(connection)));
                    }
                    // Reset rather than closed: nothing of it is kept, not even by the kernel.
                    let _ = stream.set_zero_linger();
                }
                // That one connection has gone before it was taken.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => self.back_off(&error),
            }
        }
    }
}
