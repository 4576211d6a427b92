//! What the engine is told: ICE servers, and timers that fit a chat rather than a call.

use std::{net::IpAddr, time::Duration};

use rtc::ice::mdns::MulticastDnsMode;
use webrtc::peer_connection::{
    RTCConfiguration, RTCConfigurationBuilder, RTCIceServer, RTCIceTransportPolicy, SettingEngine,
    SettingEngineBuilder,
};

use super::ConnectionConfig;
use crate::{IceServer, address_gate::Network};

/// Silence until the state is disconnected, and from there until it is failed (the engine's defaults are
/// 5 and 25 s), and the interval of keepalives.
const ICE_DISCONNECTED_TIMEOUT: Duration = Duration::from_secs(5);
const ICE_FAILED_TIMEOUT: Duration = Duration::from_secs(15);
const ICE_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// Between two rounds of connectivity checks (RFC 8445 section 14.2 permits 5 ms), and how many a pair gets. On a fast
/// path the engine often nominates in the round after the one that succeeded, so its default of 200 ms is felt,
/// and its default of 7 rounds gives up a pair before a distant peer may have begun.
const ICE_CHECK_INTERVAL: Duration = Duration::from_millis(20);
const ICE_CHECKS_MAX: u16 = 500;

/// How long a better pair may take to show up before one of this kind is accepted. A peer-reflexive pair is
/// often the direct path itself, seen before its candidate came.
const SRFLX_ACCEPTANCE_WAIT: Duration = Duration::from_millis(100);
const RELAY_ACCEPTANCE_WAIT: Duration = Duration::from_millis(500);

/// Addresses to gather candidates on; each costs a socket a connection.
const LOCAL_ADDRESSES_MAX: usize = 8;

/// With what a connection is made.
pub(super) fn first_configuration(
    servers: Vec<IceServer>,
    config: &ConnectionConfig,
    relay_only: bool,
) -> RTCConfiguration {
    builder(servers, relay_only).with_certificates(vec![config.certificate.engine.clone()]).build()
}

/// For a connection that is there: the engine refuses to be told its certificate again.
pub(super) fn configuration(servers: Vec<IceServer>, relay_only: bool) -> RTCConfiguration {
    builder(servers, relay_only).build()
}

fn builder(servers: Vec<IceServer>, relay_only: bool) -> RTCConfigurationBuilder {
    let ice_servers = servers.into_iter().map(|server| RTCIceServer {
        urls: server.urls,
        username: server.username,
        credential: server.credential,
    });
    let policy = if relay_only { RTCIceTransportPolicy::Relay } else { RTCIceTransportPolicy::All };
    RTCConfigurationBuilder::new().with_ice_servers(ice_servers.collect()).with_ice_transport_policy(policy)
}

pub(super) fn settings(relay_only: bool, local_addresses: &[IpAddr]) -> SettingEngine {
    // Under a relay-only policy there is no better pair to wait for.
    let relay_wait = if relay_only { Duration::ZERO } else { RELAY_ACCEPTANCE_WAIT };
    SettingEngineBuilder::new()
        .with_ice_timeouts(
            Some(ICE_DISCONNECTED_TIMEOUT),
            Some(ICE_FAILED_TIMEOUT),
            Some(ICE_KEEPALIVE_INTERVAL),
        )
        .with_ice_connection_attempts(Some(ICE_CHECK_INTERVAL), Some(ICE_CHECKS_MAX))
        .with_host_acceptance_min_wait(Some(Duration::ZERO))
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_srflx_acceptance_min_wait(Some(SRFLX_ACCEPTANCE_WAIT))
        .with_relay_acceptance_min_wait(Some(relay_wait))
        // A restart takes new sockets: those of an address that is gone are dead, and so may be what a NAT knows.
        .with_discard_local_candidates_during_ice_restart(true)
        // Names are never resolved, and its socket cannot be opened where no route leads to multicast groups.
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(local_addresses.iter().any(IpAddr::is_loopback))
        .build()
}

/// The addresses to gather host candidates on: those that were chosen, else every interface's but loopback
/// and link-local (RFC 8445 section 5.1.1.1) as they are now, else loopback, so that peers of one host connect
/// without a network.
pub(super) fn local_addresses(chosen: &[IpAddr]) -> Vec<IpAddr> {
    if !chosen.is_empty() {
        return chosen.to_vec();
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let (loopback, others): (Vec<_>, Vec<_>) = interfaces
        .into_iter()
        .filter(|interface| !interface.is_link_local())
        .map(|interface| interface.ip())
        .partition(IpAddr::is_loopback);
    let mut addresses = if others.is_empty() { loopback } else { others };
    // In one order, however the system lists them: a change is then one.
    addresses.sort();
    addresses.dedup();
    addresses.truncate(LOCAL_ADDRESSES_MAX);
    addresses
}

/// The networks that this host has an interface in.
pub(super) fn networks() -> Vec<Network> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let networks = interfaces.into_iter().map(|interface| match interface.addr {
        if_addrs::IfAddr::V4(v4) => Network { address: v4.ip.into(), prefix_bits: v4.prefixlen },
        if_addrs::IfAddr::V6(v6) => Network { address: v6.ip.into(), prefix_bits: v6.prefixlen },
    });
    networks.collect()
}
