//! The way to the signaling server: name, TCP, TLS, gRPC, a session. Each step stands on the one before.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use tokio::{
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout},
};
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{ClockOffset, Finding, Trouble, date, session};
use crate::{
    Config, IceServer,
    endpoint::{NoWay, connect, printable, what_failed, why_closed},
    signaling::describe,
};

const SERVICE: &str = "patchcord.v1.SignalingService";

const DNS_TIMEOUT: Duration = Duration::from_secs(3);
const TCP_TIMEOUT: Duration = Duration::from_secs(3);
const GRPC_TIMEOUT: Duration = Duration::from_secs(3);

/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 4;

/// Tells what it finds; gives the ICE servers that the server named, as many as were reached. None once nobody
/// reads.
pub(super) async fn walk(config: &Config, findings: &mpsc::Sender<Finding>) -> Option<Vec<IceServer>> {
    let tell = async |finding| findings.send(finding).await.ok();
    let nothing = Some(Vec::new());

    let uri = config.server.parse::<http::Uri>().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let secured = uri.as_ref().and_then(http::Uri::scheme_str) == Some("https");
    let port = uri.as_ref().and_then(http::Uri::port_u16).unwrap_or(if secured { 443 } else { 80 });
    let resolved = resolve(host, port).await;
    let addresses = resolved.clone().unwrap_or_default();
    tell(Finding::Dns { host: printable(host), outcome: resolved }).await?;
    if addresses.is_empty() {
        return nothing;
    }

    let outcome = reach(&addresses).await;
    let reached = outcome.is_ok();
    tell(Finding::Tcp { outcome }).await?;
    if !reached {
        return nothing;
    }

    let (ca_certificate, client_certificate) =
        (config.ca_certificate.as_ref(), config.client_certificate.as_ref());
    let channel = match connect(&config.server, ca_certificate, client_certificate).await {
        Ok(channel) => channel,
        Err(no_way) => {
            let failed = if secured {
                Finding::Tls { outcome: Err(trouble(no_way)) }
            } else {
                Finding::Grpc { outcome: Err(trouble(no_way)) }
            };
            tell(failed).await?;
            return nothing;
        }
    };
    let (outcome, offset) = match health(channel.clone()).await {
        Ok((took, offset)) => (Ok(took), offset),
        Err(trouble) => match why_closed(&config.server, ca_certificate, client_certificate).await {
            Some(reason) => (Err(Trouble::Tls(reason)), None),
            None => (Err(trouble), None),
        },
    };
    if secured {
        // In TLS 1.3 what the server thinks of our certificate comes after everything else.
        if let Err(trouble @ Trouble::Tls(_)) = outcome {
            tell(Finding::Tls { outcome: Err(trouble) }).await?;
            return nothing;
        }
        tell(Finding::Tls { outcome: Ok(()) }).await?;
    }
    let is_spoken = outcome.is_ok();
    tell(Finding::Grpc { outcome }).await?;
    if !is_spoken {
        return nothing;
    }

    visit(config, channel, offset, findings).await
}

/// Joins as somebody who stays away from everybody, and tells what the server says to that.
async fn visit(
    config: &Config,
    channel: Channel,
    offset: Option<ClockOffset>,
    findings: &mpsc::Sender<Finding>,
) -> Option<Vec<IceServer>> {
    let tell = async |finding| findings.send(finding).await.ok();
    match session::visit(channel, config).await {
        Ok(visit) => {
            tell(Finding::Signaling { outcome: Ok(visit.signaled) }).await?;
            tell(Finding::Clock { offset, credentials_expire_at: visit.credentials_expire_at }).await?;
            Some(visit.ice_servers)
        }
        Err(trouble) => {
            // What is wrong with a token may be the clock.
            let is_about_token = matches!(trouble, Trouble::NotPermitted { .. });
            tell(Finding::Signaling { outcome: Err(trouble) }).await?;
            if is_about_token {
                tell(Finding::Clock { offset, credentials_expire_at: None }).await?;
            }
            Some(Vec::new())
        }
    }
}

/// The addresses of a host, which may be one itself, in brackets or not.
pub(super) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Trouble> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.is_empty() {
        return Err(Trouble::InvalidUrl("it names no host"));
    }
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = timeout(DNS_TIMEOUT, tokio::net::lookup_host((bare, port))).await;
    let found = found.map_err(|_| Trouble::NoAnswer(DNS_TIMEOUT))?;
    let mut addresses = Vec::new();
    for address in found.map_err(|error| Trouble::UnknownName(printable(&error.to_string())))? {
        if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    match addresses.is_empty() {
        true => Err(Trouble::UnknownName("it has no address".into())),
        false => Ok(addresses),
    }
}

/// The address that answers first.
async fn reach(addresses: &[SocketAddr]) -> Result<(SocketAddr, Duration), Trouble> {
    let begun = Instant::now();
    let mut attempts = JoinSet::new();
    for address in addresses.iter().copied() {
        attempts.spawn(async move { (address, timeout(TCP_TIMEOUT, TcpStream::connect(address)).await) });
    }
    let mut trouble = Trouble::NoAnswer(TCP_TIMEOUT);
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok((address, Ok(Ok(_)))) => return Ok((address, begun.elapsed())),
            Ok((_, Ok(Err(error)))) => trouble = Trouble::Network(printable(&error.to_string())),
            // One that nobody answered says less than one that was refused.
            Ok((_, Err(_))) | Err(_) => {}
        }
    }
    Err(trouble)
}

async fn health(channel: Channel) -> Result<(Duration, Option<ClockOffset>), Trouble> {
    let begun = Instant::now();
    let mut client = HealthClient::new(channel);
    let check = client.check(HealthCheckRequest { service: SERVICE.into() });
    let answer = timeout(GRPC_TIMEOUT, check).await.map_err(|_| Trouble::NoAnswer(GRPC_TIMEOUT))?;
    let answer = answer.map_err(|status| other_protocol(&status))?;
    let offset = date::offset(answer.metadata(), SystemTime::now());
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok((begun.elapsed(), offset)),
        _ => Err(Trouble::NotServing),
    }
}

/// What a server says that does not serve our contract.
pub(super) fn other_protocol(status: &tonic::Status) -> Trouble {
    let said = match std::error::Error::source(status) {
        Some(cause) => match what_failed(cause) {
            NoWay::Network(said) | NoWay::Tls(said) => said,
            NoWay::InvalidUrl => describe(status),
        },
        None => describe(status),
    };
    Trouble::OtherProtocol { expected: "a Patchcord switchboard", said }
}

fn trouble(no_way: NoWay) -> Trouble {
    match no_way {
        NoWay::InvalidUrl => Trouble::InvalidUrl("write http://HOST:PORT or https://HOST:PORT"),
        NoWay::Network(reason) => Trouble::Network(reason),
        NoWay::Tls(reason) => Trouble::Tls(reason),
    }
}
