//! STUN and TURN servers, all at once; told in the order in which they were named.

use std::{future::Future, net::SocketAddr, time::Duration};

use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Finding, Trouble,
    ice_url::{IceUrl, Transport},
    line::Line,
    server::resolve,
    stun,
    survey::{Survey, local_address},
    turn::{self, Allocation},
};
use crate::{Config, IceServer};

/// Urls that are tried.
const URLS_MAX: usize = 24;

const STREAM_TIMEOUT: Duration = Duration::from_secs(4);

/// One url with what is needed to try it.
#[derive(Clone)]
struct Target {
    written: String,
    server: IceServer,
    resolved: Result<(IceUrl, Vec<SocketAddr>), Trouble>,
}

/// Tells what it finds. None once nobody reads.
pub(super) async fn look_into(
    servers: impl Iterator<Item = &IceServer>,
    config: &Config,
    findings: &mpsc::Sender<Finding>,
) -> Option<()> {
    let mut resolving = Vec::new();
    for server in servers {
        for url in server.urls.iter().take(URLS_MAX.saturating_sub(resolving.len())) {
            resolving.push(start(Target::resolve(url.clone(), server.clone())));
        }
    }
    let mut targets = Vec::new();
    for target in resolving {
        targets.push(target.await.ok()?);
    }
    if targets.is_empty() {
        return Some(());
    }
    let (relays, reflectors): (Vec<Target>, Vec<Target>) =
        targets.into_iter().partition(|target| target.written.to_ascii_lowercase().starts_with("turn"));
    // A TURN server answers to a STUN request as well: it helps to tell the NAT.
    let over_udp = reflectors.iter().chain(&relays).flat_map(Target::over_udp).copied().collect();

    let survey = start(Survey::take(over_udp, config.local_addresses.clone()));
    let allocating = relays.iter().map(|relay| start(relay.clone().allocate(config.clone())));
    let allocating: Vec<_> = allocating.collect();
    let streaming = reflectors.iter().map(|reflector| start(reflector.clone().bind(config.clone())));
    let streaming: Vec<_> = streaming.collect();

    let survey = survey.await.ok()?;
    for (reflector, over_stream) in reflectors.into_iter().zip(streaming) {
        let outcome = match (&reflector.resolved, over_stream.await.ok()?) {
            (_, Some(outcome)) => outcome,
            (Ok((_, addresses)), None) => survey.answer(addresses),
            (Err(trouble), None) => Err(trouble.clone()),
        };
        findings.send(Finding::Stun { url: reflector.written, outcome }).await.ok()?;
    }
    for (nat, filtering) in survey.nats() {
        findings.send(Finding::Nat { nat, filtering }).await.ok()?;
    }
    for (relay, allocation) in relays.into_iter().zip(allocating) {
        let transport = relay.resolved.ok().map(|(url, _)| url.transport);
        let outcome = allocation.await.ok()?;
        findings.send(Finding::Turn { url: relay.written, transport, outcome }).await.ok()?;
    }
    Some(())
}

/// Ends with its handle.
fn start<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

impl Target {
    async fn resolve(written: String, server: IceServer) -> Self {
        let resolved = match IceUrl::parse(&written) {
            Ok(url) => resolve(&url.host, url.port).await.map(|addresses| (url, addresses)),
            Err(trouble) => Err(trouble),
        };
        Self { written, server, resolved }
    }

    fn over_udp(&self) -> &[SocketAddr] {
        match &self.resolved {
            Ok((IceUrl { transport: Transport::Udp, .. }, addresses)) => addresses,
            _ => &[],
        }
    }

    async fn allocate(self, config: Config) -> Result<Allocation, Trouble> {
        let (url, addresses) = self.resolved?;
        let ca_certificate = config.ca_certificate.as_ref();
        turn::allocate(&url, &addresses, &self.server, &config.local_addresses, ca_certificate).await
    }

    /// Asks a STUN server over a stream; none for one that speaks UDP.
    async fn bind(self, config: Config) -> Option<Result<(SocketAddr, Duration), Trouble>> {
        let (url, addresses) = self.resolved.ok()?;
        if url.transport == Transport::Udp {
            return None;
        }
        let server = *addresses.first()?;
        let local = SocketAddr::new(local_address(&config.local_addresses, server.is_ipv6()), 0);
        let exchange = async {
            let mut line = Line::open(&url, server, local, config.ca_certificate.as_ref()).await?;
            let (response, took) = line.exchange(&stun::binding()).await?;
            match (stun::error(&response), stun::mapped_address(&response)) {
                (None, Some(mapped)) => Ok((mapped, took)),
                (trouble, _) => Err(trouble.unwrap_or(Trouble::OtherProtocol {
                    expected: "a STUN server",
                    said: "its answer has no address".into(),
                })),
            }
        };
        Some(timeout(STREAM_TIMEOUT, exchange).await.unwrap_or(Err(Trouble::NoAnswer(STREAM_TIMEOUT))))
    }
}
