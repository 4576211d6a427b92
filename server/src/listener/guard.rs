//! Who may connect: so many in all, so many of one address, so often. Whoever may not is closed at once,
//! counted by reason, and told of in the log a line in ten seconds at most.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::files;
use crate::{
    addresses::{AddressKey, Addresses, Denied},
    config::{Allowances, CONNECTION_BURST_S, Config},
    metrics::{Counted, Metrics},
    rate::Rate,
};

const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The door has as many connections as it may.
    DoorFull,
    /// Its address has as many connections as it may.
    AddressFull,
    /// Its address connects too often.
    TooOften,
    /// Too many addresses are busy to count another.
    TableFull,
}

impl Refused {
    /// For metrics and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DoorFull => "too_many",
            Self::AddressFull => "too_many_of_address",
            Self::TooOften => "too_often",
            Self::TableFull => "too_many_addresses",
        }
    }
}

/// What a door takes.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    connections_max: usize,
    of_address_max: Option<usize>,
    of_address_rate: Option<Rate>,
}

impl Shares {
    /// For the whole world.
    pub fn public(config: &Config) -> Self {
        let Allowances { connections_max, connections_per_address_max: of_address_max, .. } =
            config.allowances;
        Self {
            connections_max: files::connections_max().min(connections_max),
            of_address_max: (of_address_max > 0).then_some(of_address_max),
            of_address_rate: Rate::per_second(
                config.allowances.connections_per_address_rate,
                CONNECTION_BURST_S,
            ),
        }
    }

    /// For operators: a share of its own, which nothing at the public door can use up. One address leaves half of it to
    /// others, or whoever reaches the door could shut it.
    pub fn admin() -> Self {
        let connections_max = files::admin_connections_max();
        Self { connections_max, of_address_max: Some((connections_max / 2).max(1)), of_address_rate: None }
    }
}

struct State {
    addresses: Addresses,
    open: usize,
    refused_unlogged: u64,
    logged_at: Option<Instant>,
}

/// Takes connections or refuses them.
pub struct Guard {
    door: &'static str,
    connections_max: usize,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

/// A connection's share, until dropped.
pub struct Share {
    guard: Arc<Guard>,
    address: AddressKey,
    _counted: Counted,
}

impl Guard {
    /// With nothing open.
    pub fn new(door: &'static str, shares: Shares, metrics: Arc<Metrics>) -> Arc<Self> {
        let Shares { connections_max, of_address_max, of_address_rate } = shares;
        let addresses = Addresses::new(of_address_max, of_address_rate, connections_max);
        let state = Mutex::new(State { addresses, open: 0, refused_unlogged: 0, logged_at: None });
        Arc::new(Self { door, connections_max, state, metrics })
    }

    /// How many connections it takes in all.
    pub fn connections_max(&self) -> usize {
        self.connections_max
    }

    /// A share for one more connection.
    pub fn admit(self: &Arc<Self>, address: SocketAddr, now: Instant) -> Result<Share, Refused> {
        let key = AddressKey::from(address.ip());
        let mut state = self.state.lock();
        let outcome = match state.open >= self.connections_max {
            true => Err(Refused::DoorFull),
            false => state.addresses.open(key, now).map_err(|denied| match denied {
                Denied::TooMany => Refused::AddressFull,
                Denied::TooOften(_) => Refused::TooOften,
                Denied::TableFull => Refused::TableFull,
            }),
        };
        match outcome {
            Ok(()) => {
                state.open += 1;
                let counted = Counted::new(&self.metrics.connections);
                Ok(Share { guard: Arc::clone(self), address: key, _counted: counted })
            }
            Err(refused) => {
                self.metrics.count_refused_connection(refused.as_str());
                self.log(&mut state, refused, address.ip(), now);
                Err(refused)
            }
        }
    }

    fn log(&self, state: &mut State, refused: Refused, address: IpAddr, now: Instant) {
        state.refused_unlogged += 1;
        if state.logged_at.is_none_or(|at| now.saturating_duration_since(at) >= LOG_INTERVAL) {
            let (door, reason, count) = (self.door, refused.as_str(), state.refused_unlogged);
            tracing::warn!(door, reason, %address, count, "connections refused");
            state.logged_at = Some(now);
            state.refused_unlogged = 0;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.guard.state.lock();
        state.open -= 1;
        state.addresses.close(self.address, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(connections_max: usize, of_address_max: usize, rate: u32) -> Arc<Guard> {
        let of_address_rate = Rate::per_second(rate, CONNECTION_BURST_S);
        let shares = Shares { connections_max, of_address_max: Some(of_address_max), of_address_rate };
        Guard::new("public", shares, Arc::default())
    }

    fn from(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 1))
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let (guard, now) = (guard(3, 2, 1), Instant::now());
        let _one = guard.admit(from(1), now).ok().unwrap();
        let two = guard.admit(from(1), now).ok().unwrap();
        assert_eq!(guard.admit(from(1), now).err(), Some(Refused::AddressFull));
        let _three = guard.admit(from(2), now).ok().unwrap();
        assert_eq!(guard.admit(from(3), now).err(), Some(Refused::DoorFull));
        drop(two);
        let mut last = None;
        for _ in 0..10 {
            // Each is gone at once; only how often counts.
            last = guard.admit(from(1), now).err();
        }
        assert_eq!(last, Some(Refused::TooOften));
        let text = guard.metrics.encode();
        assert!(text.contains("patchcord_connections_refused_total{reason=\"too_many\"} 1"), "{text}");
        assert!(text.contains("patchcord_connections 2"), "{text}");
    }

    #[test]
    fn a_share_comes_back_however_often() {
        let (guard, start) = (guard(1, 1, 1000), Instant::now());
        for number in 0..10_000 {
            let now = start + Duration::from_millis(1) * number;
            let _share = guard.admit(from(1), now).ok().unwrap();
            assert_eq!(guard.admit(from(2), now).err(), Some(Refused::DoorFull));
        }
        assert_eq!(guard.state.lock().open, 0);
    }
}
