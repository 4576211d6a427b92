//! What a TURN server gives us: an allocation is made, a permission for another relayed peer is asked for, and
//! the allocation is ended (RFC 8656).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use rtc_stun::message::Message;
use tokio::time::{Instant, timeout};

use super::{Trouble, ice_url::IceUrl, line::Line, stun, stun::Credential, survey::local_address};
use crate::{CaCertificate, IceServer, endpoint::printable};

const ALLOCATE_TIMEOUT: Duration = Duration::from_secs(4);

/// For ending what was begun; the server ends it by itself a little later.
const DEALLOCATE_TIMEOUT: Duration = Duration::from_secs(1);

/// RFC 8489 section 14.8.
const UNAUTHENTICATED: u16 = 401;
const STALE_NONCE: u16 = 438;

/// Nonces that may be stale one after another.
const ATTEMPTS_MAX: usize = 2;

/// What a TURN server gave, and took back when it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Where peers would send to.
    pub relayed: SocketAddr,
    /// How long it would have lasted without being refreshed.
    pub lifetime: Option<Duration>,
    /// From the first packet to the allocation.
    pub took: Duration,
    /// Why two peers that both need this relay cannot reach each other through it, if so.
    pub peer_refused: Option<Trouble>,
}

/// Tries the addresses of a server one after another.
pub(super) async fn allocate(
    url: &IceUrl,
    addresses: &[SocketAddr],
    server: &IceServer,
    local_addresses: &[IpAddr],
    ca_certificate: Option<&CaCertificate>,
) -> Result<Allocation, Trouble> {
    let each = ALLOCATE_TIMEOUT / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let mut trouble = Trouble::NoAnswer(ALLOCATE_TIMEOUT);
    for address in addresses {
        let begun = Instant::now();
        let local = SocketAddr::new(local_address(local_addresses, address.is_ipv6()), 0);
        let attempt = async {
            let mut line = Line::open(url, *address, local, ca_certificate).await?;
            let (credential, allocation) = begin(&mut line, server).await?;
            Ok((line, credential, allocation))
        };
        match timeout(each, attempt).await {
            Ok(Ok((mut line, credential, mut allocation))) => {
                allocation.took = begun.elapsed();
                // An answer that does not come leaves open what it would have been.
                let end = finish(&mut line, &credential, &mut allocation);
                let _ = timeout(DEALLOCATE_TIMEOUT, end).await;
                return Ok(allocation);
            }
            Ok(Err(known)) => trouble = known,
            Err(_) => {}
        }
    }
    Err(trouble)
}

/// Allocates: first without a credential, which the server answers with what it wants one for.
async fn begin(line: &mut Line, server: &IceServer) -> Result<(Option<Credential>, Allocation), Trouble> {
    let (mut response, _) = line.exchange(&stun::allocate()).await?;
    let mut credential = None;
    for _ in 0..ATTEMPTS_MAX {
        match stun::error(&response) {
            Some(Trouble::ErrorResponse { code: UNAUTHENTICATED, .. }) if credential.is_none() => {}
            Some(Trouble::ErrorResponse { code: STALE_NONCE, .. }) => {}
            _ => break,
        }
        let Some((realm, nonce)) = stun::challenge(&response) else { break };
        let signer = Credential {
            username: server.username.clone(),
            realm,
            nonce,
            password: server.credential.clone(),
            crypto: rtc_crypto::default_provider()
                .map_err(|error| Trouble::Network(printable(&error.to_string())))?,
        };
        response = line.exchange(&sign(Some(&signer), stun::allocate())?).await?.0;
        credential = Some(signer);
    }
    match (stun::error(&response), stun::relayed_address(&response)) {
        (Some(trouble), _) => Err(trouble),
        (None, Some(relayed)) => {
            let lifetime = stun::lifetime(&response);
            let allocation = Allocation { relayed, lifetime, took: Duration::ZERO, peer_refused: None };
            Ok((credential, allocation))
        }
        (None, None) => Err(Trouble::OtherProtocol {
            expected: "a TURN server",
            said: "its answer has no relayed address".into(),
        }),
    }
}

/// Whether a peer behind the same relay may send to us; then the end of the allocation.
async fn finish(line: &mut Line, credential: &Option<Credential>, allocation: &mut Allocation) {
    let peer = stun::create_permission(allocation.relayed);
    if let Some(Ok(request)) = peer.map(|request| sign(credential.as_ref(), request))
        && let Ok((response, _)) = line.exchange(&request).await
    {
        allocation.peer_refused = stun::error(&response);
    }
    if let Ok(request) = sign(credential.as_ref(), stun::deallocate()) {
        let _ = line.exchange(&request).await;
    }
}

fn sign(credential: Option<&Credential>, request: Message) -> Result<Message, Trouble> {
    match credential {
        None => Ok(request),
        Some(credential) => credential
            .sign(request)
            .ok_or(Trouble::InvalidUrl("its credential cannot be used with this system's cryptography")),
    }
}
