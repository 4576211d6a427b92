//! What one address, one connection or one session may take of a server, so that nobody can hold it.
//! Bursts are so many seconds' worth of a rate, and an honest peer fits into each.

use clap::Args;

use super::in_range;
use crate::error::ConfigError;

/// Connections of the public door by default.
pub const CONNECTIONS_MAX_DEFAULT: usize = 65_536;
/// Connections of one address by default.
pub const CONNECTIONS_PER_ADDRESS_MAX_DEFAULT: usize = 256;
/// New connections of one address a second by default.
pub const CONNECTIONS_PER_ADDRESS_RATE_DEFAULT: u32 = 20;
/// Attempts to join of one address a second by default.
pub const JOINS_PER_ADDRESS_RATE_DEFAULT: u32 = 10;
/// Requests of one session a second by default.
pub const REQUESTS_PER_SESSION_RATE_DEFAULT: u32 = 200;

/// Seconds' worth of connections that may come at once.
pub const CONNECTION_BURST_S: u32 = 5;
/// Seconds' worth of joins that may come at once: three full rooms behind one address come back together.
pub const JOIN_BURST_S: u32 = 20;
/// Seconds' worth of requests that may come at once. The most that an honest peer has to say at once is to a
/// full room that it enters: 63 offers, each with 64 candidates and their end, are 4,158 requests of 8,000.
pub const REQUEST_BURST_S: u32 = 40;
/// Requests over the rate that are answered, each with how long to wait, before the session is ended: more
/// than a peer has on its way when the first answer reaches it.
pub const REFUSED_REQUESTS_MAX: u32 = 1_000;
/// For how long a refused request counts.
pub const REFUSED_REQUESTS_FORGIVEN_S: u32 = 10;
/// Resumptions of one session a second, unless its requests are unlimited: each may send again all that is kept.
pub const RESUMPTIONS_PER_SESSION_RATE: u32 = 1;
/// Seconds' worth of resumptions that may come at once: more than a client that backs off makes of a bad line.
pub const RESUMPTION_BURST_S: u32 = 20;
/// Bytes a second that a connection may send for each session it may have.
pub const BYTES_PER_SESSION_RATE: u32 = 32 * 1024;
/// Seconds' worth of bytes that may come at once: 1 MiB by default.
pub const BYTES_BURST_S: u32 = 4;

const RATE_MAX: u64 = 1_000_000;

/// What may be taken. Where many share one address, such as behind a proxy, the limits of an address have to
/// be raised, or dropped by setting them to 0.
#[derive(Args, Clone, Debug)]
pub struct Allowances {
    /// Connections at one time at the public door, 1 to 10000000; fewer where the limit of open files less
    /// 512 is lower. Further ones are closed at once.
    #[arg(long, env = "PATCHCORD_CONNECTIONS_MAX", value_name = "COUNT", default_value_t = CONNECTIONS_MAX_DEFAULT)]
    pub connections_max: usize,

    /// Connections at one time of one address (an IPv6 /64 counts as one); 0 for no limit. Behind a proxy all
    /// come from one address: there raise this and the other limits of an address, or set them to 0.
    #[arg(long, env = "PATCHCORD_CONNECTIONS_PER_ADDRESS_MAX", value_name = "COUNT",
          default_value_t = CONNECTIONS_PER_ADDRESS_MAX_DEFAULT)]
    pub connections_per_address_max: usize,

    /// New connections of one address a second, five seconds' worth at once; 0 for no limit.
    #[arg(long, env = "PATCHCORD_CONNECTIONS_PER_ADDRESS_RATE", value_name = "PER_SECOND",
          default_value_t = CONNECTIONS_PER_ADDRESS_RATE_DEFAULT)]
    pub connections_per_address_rate: u32,

    /// Attempts to join of one address a second, twenty seconds' worth at once; 0 for no limit. Further ones
    /// are rejected and told how long to wait. As many resumptions may fail; those that succeed do not count.
    #[arg(long, env = "PATCHCORD_JOINS_PER_ADDRESS_RATE", value_name = "PER_SECOND",
          default_value_t = JOINS_PER_ADDRESS_RATE_DEFAULT)]
    pub joins_per_address_rate: u32,

    /// Requests of one session a second, forty seconds' worth at once; 0 for no limit. Further ones are
    /// rejected and told how long to wait; a peer that goes on regardless is ended.
    #[arg(long, env = "PATCHCORD_REQUESTS_PER_SESSION_RATE", value_name = "PER_SECOND",
          default_value_t = REQUESTS_PER_SESSION_RATE_DEFAULT)]
    pub requests_per_session_rate: u32,
}

impl Default for Allowances {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX_DEFAULT,
            connections_per_address_max: CONNECTIONS_PER_ADDRESS_MAX_DEFAULT,
            connections_per_address_rate: CONNECTIONS_PER_ADDRESS_RATE_DEFAULT,
            joins_per_address_rate: JOINS_PER_ADDRESS_RATE_DEFAULT,
            requests_per_session_rate: REQUESTS_PER_SESSION_RATE_DEFAULT,
        }
    }
}

impl Allowances {
    /// No limit of any address or session: for a server whose clients all are its own.
    pub fn unlimited() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX_DEFAULT,
            connections_per_address_max: 0,
            connections_per_address_rate: 0,
            joins_per_address_rate: 0,
            requests_per_session_rate: 0,
        }
    }

    /// Whether each number is in its range.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        in_range("--connections-max", self.connections_max as u64, 1, 10_000_000)?;
        let of_address_max = self.connections_per_address_max as u64;
        in_range("--connections-per-address-max", of_address_max, 0, 10_000_000)?;
        let of_address_rate = u64::from(self.connections_per_address_rate);
        in_range("--connections-per-address-rate", of_address_rate, 0, RATE_MAX)?;
        in_range("--joins-per-address-rate", u64::from(self.joins_per_address_rate), 0, RATE_MAX)?;
        in_range("--requests-per-session-rate", u64::from(self.requests_per_session_rate), 0, RATE_MAX)
    }
}
