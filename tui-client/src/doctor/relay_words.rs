//! What it means when a TURN server relays, or does not. Pure.

use patchcord_peer::probe::{Allocation, Transport, Trouble};

use super::{Check, words::ms};

/// RFC 8489 section 14.8, RFC 8656 section 19.
const TRY_ALTERNATE: u16 = 300;
const UNAUTHENTICATED: u16 = 401;
const FORBIDDEN: u16 = 403;
const WRONG_CREDENTIALS: u16 = 441;
const ALLOCATION_QUOTA_REACHED: u16 = 486;
const INSUFFICIENT_CAPACITY: u16 = 508;

pub(super) fn turn(url: &str, transport: Option<Transport>, outcome: &Result<Allocation, Trouble>) -> Check {
    let check = match outcome {
        Ok(allocation) => relays(url, transport, allocation),
        Err(trouble) => Check::fail("turn", format!("{url}: {trouble}"), advice(transport, trouble)),
    };
    Check { url: Some(url.into()), ..check }
}

fn relays(url: &str, transport: Option<Transport>, allocation: &Allocation) -> Check {
    let over = transport.map(|transport| format!(" over {}", word(transport))).unwrap_or_default();
    let message = format!("{url} relays{over}, allocated in {}", ms(allocation.took));
    let check = match &allocation.peer_refused {
        None => Check::ok("turn", message),
        Some(trouble) => Check::warn(
            "turn",
            format!("{message}, but not between two of its own relays ({trouble})"),
            "Two peers that both need this relay cannot reach each other: its operator must allow its own address \
             as a peer (coturn: allowed-peer-ip).",
        ),
    };
    Check { address: Some(allocation.relayed), took: Some(allocation.took), ..check }
}

/// What differs where the user names the server, and with it the credential.
pub(super) fn advice_on_ones_own(trouble: &Trouble) -> Option<String> {
    match trouble {
        Trouble::ErrorResponse { code: UNAUTHENTICATED | WRONG_CREDENTIALS, .. } => Some(
            "It does not accept the username and credential that you gave with it: --ice-server \
             URL,USERNAME,CREDENTIAL; those that a server makes for a while may have expired."
                .into(),
        ),
        Trouble::UnknownName(_) | Trouble::InvalidUrl(_) => {
            Some("This relay is of no use: check how --ice-server names it.".into())
        }
        _ => None,
    }
}

fn advice(transport: Option<Transport>, trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::ErrorResponse { code: UNAUTHENTICATED | WRONG_CREDENTIALS, .. } => {
            "It does not accept the credential, so that nobody can use this relay: its secret must be the \
             switchboard's (PATCHCORD_TURN_SECRET; coturn: static-auth-secret), and the clocks of both must be right."
        }
        Trouble::ErrorResponse { code: FORBIDDEN, .. } => {
            "It forbids relaying for you: its operator decides who may use it."
        }
        Trouble::ErrorResponse { code: ALLOCATION_QUOTA_REACHED, .. } => {
            "All relays that it grants are in use: wait until some are free, or have its operator raise the quota."
        }
        Trouble::ErrorResponse { code: INSUFFICIENT_CAPACITY, .. } => {
            "It has no port free to relay on: its operator must give it more (coturn: min-port, max-port)."
        }
        Trouble::ErrorResponse { code: TRY_ALTERNATE, .. } => {
            "It sends us to another server, which is not supported: name that one instead."
        }
        Trouble::UnknownName(_) | Trouble::InvalidUrl(_) => {
            "This relay is of no use from here: its operator should name one that is known everywhere."
        }
        Trouble::Tls(_) => {
            "This relay is not trusted: it needs a certificate for its name, or you name its authority with --ca-file."
        }
        Trouble::NoAnswer(_) if transport == Some(Transport::Udp) => {
            "No chat can go through this relay: it is not running, or UDP to it is blocked."
        }
        Trouble::NoAnswer(_) => {
            "No chat can go through this relay: a firewall drops the packets, or the address is wrong."
        }
        Trouble::Network(_) => {
            "No chat can go through this relay: is it running, and does it listen on that port and transport?"
        }
        _ => "No chat can go through this relay: its operator should look at what it says.",
    }
}

fn word(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::check::Status, *};

    fn refused(code: u16) -> String {
        let trouble = Trouble::ErrorResponse { code, reason: "no".into() };
        let check = turn("turn:x", Some(Transport::Udp), &Err(trouble));
        assert_eq!(check.status, Status::Fail);
        check.advice.unwrap()
    }

    #[test]
    fn each_refusal_has_its_own_advice() {
        assert!(refused(401).contains("secret") && refused(401).contains("clocks"));
        assert!(refused(486).contains("quota"));
        assert!(refused(508).contains("port free"));
        assert!(refused(300).contains("another server"));
        assert!(refused(500).contains("operator should look"));
    }

    #[test]
    fn a_credential_of_ones_own_is_not_the_operators_affair() {
        let refused = Trouble::ErrorResponse { code: 401, reason: "no".into() };
        assert!(advice_on_ones_own(&refused).unwrap().contains("--ice-server"));
        assert_eq!(advice_on_ones_own(&Trouble::ErrorResponse { code: 486, reason: "no".into() }), None);
    }

    #[test]
    fn a_relay_that_refuses_its_own_kind_is_a_warning() {
        let allocation = |peer_refused| Allocation {
            relayed: ([198, 51, 100, 1], 61_000).into(),
            lifetime: Some(Duration::from_secs(600)),
            took: Duration::from_millis(3),
            peer_refused,
        };
        let relays = |peer_refused| turn("turn:x", Some(Transport::Tcp), &Ok(allocation(peer_refused)));
        assert_eq!(relays(None).message, "turn:x relays over TCP, allocated in 3.0 ms");
        let refused = relays(Some(Trouble::ErrorResponse { code: 403, reason: "Forbidden IP".into() }));
        assert_eq!(refused.status, Status::Warn);
        assert!(refused.message.contains("error 403: Forbidden IP"), "{}", refused.message);
    }
}
