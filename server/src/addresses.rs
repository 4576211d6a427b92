//! What is counted by address: the table is bounded, forgets who has nothing on the account any more, and
//! says so when it is full. IPv6 counts by /64, which is what one subscriber has.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    config::{Allowances, JOIN_BURST_S, WRONG_KEY_BURST_S, WRONG_KEYS_PER_ADDRESS_RATE},
    rate::{Bucket, Rate},
};

/// Addresses that a table holds besides those with something open.
const ADDRESSES_MAX: usize = 65_536;
/// A table this small is not worth sweeping.
const SWEEP_MIN: usize = 1_024;
/// A table that is full is not searched for what can be forgotten more often than this.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// An address as far as it tells users apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressKey {
    /// All of it.
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
}

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        // A listener for both kinds shows IPv4 as ::ffff:a.b.c.d.
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// Why an address may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It has as many open as it may.
    TooMany,
    /// It comes too often; it may again after this time.
    TooOften(Duration),
    /// More addresses than are kept count of are busy.
    TableFull,
}

#[derive(Clone, Copy, Default)]
struct Account {
    open: usize,
    bucket: Bucket,
}

/// How much each address has open and how often it came.
pub struct Addresses {
    open_max: Option<usize>,
    rate: Option<Rate>,
    accounts_max: usize,
    accounts: HashMap<AddressKey, Account>,
    sweep_at_len: usize,
    swept_at: Option<Instant>,
}

impl Addresses {
    /// An empty table; `None` for what is not limited. At most `open_total_max` are open in all.
    pub fn new(open_max: Option<usize>, rate: Option<Rate>, open_total_max: usize) -> Self {
        Self {
            open_max,
            rate,
            accounts_max: ADDRESSES_MAX.saturating_add(open_total_max),
            accounts: HashMap::new(),
            sweep_at_len: SWEEP_MIN,
            swept_at: None,
        }
    }

    /// One more is open, until [`Addresses::close`].
    pub fn open(&mut self, address: AddressKey, now: Instant) -> Result<(), Denied> {
        let (open_max, rate) = (self.open_max, self.rate);
        let account = self.account(address, now)?;
        if open_max.is_some_and(|max| account.open >= max) {
            return Err(Denied::TooMany);
        }
        if let Some(rate) = rate {
            account.bucket.take(rate, now).map_err(Denied::TooOften)?;
        }
        account.open += 1;
        Ok(())
    }

    /// One less.
    pub fn close(&mut self, address: AddressKey, now: Instant) {
        if let Some(account) = self.accounts.get_mut(&address) {
            account.open = account.open.saturating_sub(1);
            if account.can_be_forgotten(now) {
                self.accounts.remove(&address);
            }
        }
    }

    /// How long it takes until the address may come again.
    fn wait(&self, address: AddressKey, now: Instant) -> Option<Duration> {
        let mut bucket = self.accounts.get(&address)?.bucket;
        bucket.take(self.rate?, now).err()
    }

    fn account(&mut self, address: AddressKey, now: Instant) -> Result<&mut Account, Denied> {
        if self.accounts.len() >= self.sweep_at_len && !self.accounts.contains_key(&address) {
            self.sweep(now);
            if self.accounts.len() >= self.accounts_max {
                return Err(Denied::TableFull);
            }
        }
        Ok(self.accounts.entry(address).or_default())
    }

    fn sweep(&mut self, now: Instant) {
        let is_full = self.accounts.len() >= self.accounts_max;
        if is_full && self.swept_at.is_some_and(|at| now.saturating_duration_since(at) < SWEEP_INTERVAL) {
            return;
        }
        self.swept_at = Some(now);
        self.accounts.retain(|_, account| !account.can_be_forgotten(now));
        // Each sweep is paid for by as many newcomers as it leaves.
        self.sweep_at_len = (self.accounts.len() * 2).clamp(SWEEP_MIN, self.accounts_max);
        self.accounts.shrink_to(self.sweep_at_len);
    }
}

impl Account {
    fn can_be_forgotten(&self, now: Instant) -> bool {
        self.open == 0 && self.bucket.is_full(now)
    }
}

/// How often each address may do something that leaves nothing open.
pub struct AddressThrottle(Option<Mutex<Addresses>>);

impl AddressThrottle {
    /// Of attempts to join, and of as many others to resume that fail.
    pub fn joins(allowances: &Allowances) -> Self {
        Self::new(Rate::per_second(allowances.joins_per_address_rate, JOIN_BURST_S))
    }

    /// Of keys that are wrong.
    pub fn wrong_keys() -> Self {
        Self::new(Rate::per_second(WRONG_KEYS_PER_ADDRESS_RATE, WRONG_KEY_BURST_S))
    }

    /// `None` for no limit.
    fn new(rate: Option<Rate>) -> Self {
        Self(rate.map(|rate| Mutex::new(Addresses::new(None, Some(rate), 0))))
    }

    /// Whether one more would be counted, or how long to wait.
    pub fn allows(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some(addresses) = &self.0 else { return Ok(()) };
        addresses.lock().wait(AddressKey::from(address), now).map_or(Ok(()), Err)
    }

    /// Counts one more, or says how long to wait.
    pub fn take(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some(addresses) = &self.0 else { return Ok(()) };
        let mut addresses = addresses.lock();
        let key = AddressKey::from(address);
        match addresses.open(key, now) {
            Ok(()) => {
                addresses.close(key, now);
                Ok(())
            }
            Err(Denied::TooOften(wait)) => Err(wait),
            Err(Denied::TooMany | Denied::TableFull) => Err(SWEEP_INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests;
