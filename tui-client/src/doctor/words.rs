//! What each finding means in plain words. Pure.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use patchcord_peer::probe::{ClockOffset, Filtering, Finding, Nat, Trouble};

use super::{Check, Prognosis, access, relay_words};

/// Certificates, and what people make of the times that they are shown, bear no more.
const CLOCK_OFFSET_MAX: Duration = Duration::from_secs(30);

pub(super) fn check(finding: &Finding) -> Check {
    match finding {
        Finding::Dns { host, outcome } => dns(host, outcome),
        Finding::Tcp { outcome } => tcp(outcome),
        Finding::Tls { outcome: Ok(()) } => Check::ok("tls", "the certificate is trusted"),
        Finding::Tls { outcome: Err(trouble) } => {
            Check::fail("tls", trouble.to_string(), tls_advice(trouble))
        }
        Finding::Grpc { outcome } => grpc(outcome),
        Finding::Signaling { outcome: Ok(signaled) } => access::signaled(signaled),
        Finding::Signaling { outcome: Err(Trouble::NotPermitted { reason, message }) } => {
            access::not_permitted(reason, message)
        }
        Finding::Signaling { outcome: Err(Trouble::Token(reason)) } => access::not_sent(reason),
        Finding::Signaling { outcome: Err(trouble @ Trouble::OtherProtocol { .. }) } => Check::fail(
            "signaling",
            trouble.to_string(),
            "Rooms cannot be joined here: is this the switchboard's admin door (50052) instead of its public one \
             (50051), or a proxy that ends streams?",
        ),
        Finding::Signaling { outcome: Err(trouble) } => Check::fail(
            "signaling",
            trouble.to_string(),
            "Rooms cannot be joined: try again in a moment; if it stays so, ask its operator.",
        ),
        Finding::Clock { offset, credentials_expire_at } => {
            clock(*offset, *credentials_expire_at, SystemTime::now())
        }
        Finding::Stun { url, outcome } => stun(url, outcome),
        Finding::Nat { nat, filtering } => nat_kind(nat, *filtering),
        Finding::Turn { url, transport, outcome } => relay_words::turn(url, *transport, outcome),
        // A later version of the library may look at more.
        other => Check::ok("other", format!("{other:?}")),
    }
}

/// What a switchboard that was reached should have named and did not.
pub(super) fn lacking(prognosis: &Prognosis) -> Vec<Check> {
    let mut checks = Vec::new();
    if prognosis.lacks_stun() {
        checks.push(Check::warn(
            "stun",
            "no STUN server is named",
            "Peers beyond this network cannot be told where to reach you: the operator sets PATCHCORD_STUN_URL, or \
             you use --ice-server.",
        ));
    }
    if prognosis.lacks_turn() {
        checks.push(Check::warn(
            "turn",
            "no TURN server is named",
            match prognosis.may_relay() {
                true => {
                    "Where no direct path is possible there is no chat: the operator sets PATCHCORD_TURN_URL, or you \
                     use --ice-server."
                }
                false => {
                    "Where no direct path is possible there is no chat: ask for a token with \"turn\", or use \
                     --ice-server."
                }
            },
        ));
    }
    checks
}

fn dns(host: &str, outcome: &Result<Vec<SocketAddr>, Trouble>) -> Check {
    match outcome {
        Ok(addresses) => {
            let ips: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            let message = match ips.as_slice() {
                [ip] if host.trim_matches(['[', ']']) == ip => format!("{ip} is an address"),
                ips => format!("{host} is {}", ips.join(", ")),
            };
            Check { address: addresses.first().copied(), ..Check::ok("dns", message) }
        }
        Err(Trouble::InvalidUrl(_)) => Check::fail(
            "dns",
            "the server url names no host",
            "Nothing can be reached: write --server http://HOST:PORT or https://HOST:PORT.",
        ),
        Err(trouble) => Check::fail(
            "dns",
            format!("{host}: {trouble}"),
            "The switchboard cannot be found: check how its name is written, and whether this machine is online.",
        ),
    }
}

fn tcp(outcome: &Result<(SocketAddr, Duration), Trouble>) -> Check {
    match outcome {
        Ok((address, took)) => Check {
            address: Some(*address),
            took: Some(*took),
            ..Check::ok("tcp", format!("{address} answers in {}", ms(*took)))
        },
        Err(trouble @ Trouble::NoAnswer(_)) => Check::fail(
            "tcp",
            trouble.to_string(),
            "The switchboard cannot be reached: a firewall drops the packets, or the address is wrong.",
        ),
        Err(trouble) => Check::fail(
            "tcp",
            trouble.to_string(),
            "The switchboard cannot be reached: is it running, and are its address and port (50051 unless chosen \
             otherwise) right?",
        ),
    }
}

fn tls_advice(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Tls(reason)
            if reason.contains("certificate of yours") || reason.contains("your certificate") =>
        {
            "The switchboard lets in only who shows a certificate: name yours with --client-cert and --client-key."
        }
        Trouble::Tls(reason) if reason.contains("authority") => {
            "The switchboard is not trusted: --ca-file names a file with the certificate of its authority."
        }
        Trouble::Tls(_) => "The switchboard is not trusted, so that nothing can be said to it.",
        _ => {
            "The switchboard cannot be talked to: check that this port speaks TLS, or write http:// instead."
        }
    }
}

fn grpc(outcome: &Result<Duration, Trouble>) -> Check {
    match outcome {
        Ok(took) => Check {
            took: Some(*took),
            ..Check::ok("grpc", format!("the signaling service serves, health in {}", ms(*took)))
        },
        Err(Trouble::NotServing) => Check::fail(
            "grpc",
            "the switchboard is there but does not serve",
            "It is starting or shutting down: try again in a moment.",
        ),
        Err(trouble @ Trouble::NoAnswer(_)) => Check::fail(
            "grpc",
            trouble.to_string(),
            "Rooms cannot be joined: something accepts connections there and says nothing; is it the right port?",
        ),
        Err(trouble @ Trouble::Tls(_)) => Check::fail(
            "grpc",
            trouble.to_string(),
            "Rooms cannot be joined like that: the url of --server has to begin with https://.",
        ),
        Err(trouble) => Check::fail(
            "grpc",
            trouble.to_string(),
            "Rooms cannot be joined: this is another program, or a proxy that does not pass gRPC (HTTP/2) on; a \
             port that speaks TLS wants https://.",
        ),
    }
}

fn clock(offset: Option<ClockOffset>, expire_at: Option<SystemTime>, now: SystemTime) -> Check {
    let Some(ClockOffset { by, behind }) = offset else {
        return Check::ok("clock", "not compared: the switchboard does not tell the time");
    };
    if by > CLOCK_OFFSET_MAX {
        let word = if behind { "behind" } else { "ahead of" };
        return Check::warn(
            "clock",
            format!("this machine is {} s {word} the switchboard", by.as_secs()),
            "Others see wrong times on what you write, and certificates may be refused: set the clock (NTP), or \
             have the operator set the switchboard's, which its TURN credentials depend on.",
        );
    }
    let lasting = expire_at.map(|at| at.duration_since(now).unwrap_or_default().as_secs());
    let credentials = lasting.map(|seconds| format!("; TURN credentials last {seconds} s"));
    Check::ok("clock", format!("agrees with the switchboard's{}", credentials.unwrap_or_default()))
}

fn stun(url: &str, outcome: &Result<(SocketAddr, Duration), Trouble>) -> Check {
    let check = match outcome {
        Ok((mapped, took)) => Check {
            address: Some(*mapped),
            took: Some(*took),
            ..Check::ok("stun", format!("{url} sees {mapped}, round trip {}", ms(*took)))
        },
        Err(trouble @ (Trouble::UnknownName(_) | Trouble::InvalidUrl(_))) => Check::fail(
            "stun",
            format!("{url}: {trouble}"),
            "This server is of no use from here; its operator should name one that is known everywhere.",
        ),
        Err(trouble @ Trouble::NoAnswer(_)) => Check::fail(
            "stun",
            format!("{url}: {trouble}"),
            "Your address as others see it is not known from this server: it is not running, or UDP is blocked.",
        ),
        Err(trouble) => Check::fail(
            "stun",
            format!("{url}: {trouble}"),
            "Your address as others see it is not known from this server: its operator should look at it.",
        ),
    };
    Check { url: Some(url.into()), ..check }
}

fn nat_kind(nat: &Nat, filtering: Filtering) -> Check {
    match nat {
        Nat::None { address } => {
            Check { address: Some(*address), ..Check::ok("nat", no_nat(*address, filtering)) }
        }
        Nat::EndpointIndependent { mapped } => {
            Check { address: Some(*mapped), ..Check::ok("nat", one_address(*mapped, filtering)) }
        }
        Nat::EndpointDependent { mapped, other } => Check {
            address: Some(*mapped),
            ..Check::warn(
                "nat",
                format!("strict (symmetric): one server sees {mapped}, another {other}"),
                "Direct chats work only with peers that have an open NAT or none; with the others a TURN server is \
                 needed.",
            )
        },
        Nat::Unclear { mapped } => Check {
            address: Some(*mapped),
            ..Check::ok(
                "nat",
                format!("there is one ({mapped}); whether open or strict only a second server could tell"),
            )
        },
        Nat::Unknown => Check::warn(
            "nat",
            "cannot be known: no server says how it sees this machine",
            "Chats with peers outside this network may not work: a STUN server that answers is needed.",
        ),
    }
}

fn no_nat(address: SocketAddr, filtering: Filtering) -> String {
    let firewall = match filtering {
        Filtering::EndpointDependent => {
            ", but a firewall lets in only those that you have sent to: direct chats work with most peers, not with \
             those behind a strict NAT"
        }
        Filtering::EndpointIndependent | Filtering::Unknown => "",
    };
    format!("none on the way to those servers ({}){firewall}", address.ip())
}

/// A strict peer's checks come from a port that we have not sent to.
fn one_address(mapped: SocketAddr, filtering: Filtering) -> String {
    match filtering {
        Filtering::EndpointIndependent => format!(
            "open (full cone): everybody sees {mapped} and gets in there; direct chats work with all peers that \
             have UDP"
        ),
        Filtering::EndpointDependent => format!(
            "moderate (restricted): everybody sees {mapped}, and only those that you have sent to get in; direct \
             chats work with most peers, not with those behind a strict NAT"
        ),
        Filtering::Unknown => format!(
            "open or moderate: everybody sees {mapped}; direct chats work with most peers, perhaps not with those \
             behind a strict NAT"
        ),
    }
}

pub(super) fn ms(took: Duration) -> String {
    let milliseconds = took.as_secs_f64() * 1000.0;
    if milliseconds < 9.95 { format!("{milliseconds:.1} ms") } else { format!("{milliseconds:.0} ms") }
}

#[cfg(test)]
mod tests {
    use super::{super::check::Status, *};

    #[test]
    fn a_clock_that_is_off_is_told_with_its_direction() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let at = |seconds, behind| {
            let offset = ClockOffset { by: Duration::from_secs(seconds), behind };
            clock(Some(offset), Some(now + Duration::from_secs(300)), now)
        };
        assert_eq!(at(2, false).status, Status::Ok);
        assert!(at(2, true).message.contains("last 300 s"));
        assert_eq!(at(31, false).status, Status::Warn);
        assert!(at(31, false).message.contains("31 s ahead of"));
        assert!(at(400, true).message.contains("400 s behind"));
        assert!(clock(None, None, now).message.contains("not compared"));
    }

    #[test]
    fn each_kind_of_nat_has_its_words() {
        let [mapped, other] = [1, 2].map(|port| SocketAddr::from(([198, 51, 100, 1], port)));
        use Filtering::{EndpointDependent as Restricted, EndpointIndependent as Open, Unknown};
        for (nat, filtering, status, part) in [
            (Nat::None { address: mapped }, Open, Status::Ok, "none"),
            (Nat::None { address: mapped }, Restricted, Status::Ok, "firewall"),
            (Nat::EndpointIndependent { mapped }, Open, Status::Ok, "full cone"),
            (Nat::EndpointIndependent { mapped }, Restricted, Status::Ok, "moderate (restricted)"),
            (Nat::EndpointIndependent { mapped }, Unknown, Status::Ok, "open or moderate"),
            (Nat::EndpointDependent { mapped, other }, Restricted, Status::Warn, "symmetric"),
            (Nat::Unclear { mapped }, Unknown, Status::Ok, "only a second server could tell"),
            (Nat::Unknown, Unknown, Status::Warn, "cannot be known"),
        ] {
            let check = check(&Finding::Nat { nat, filtering });
            assert_eq!((check.status, check.message.contains(part)), (status, true), "{check:?}");
        }
    }

    #[test]
    fn what_is_not_ok_says_what_to_do() {
        let no_answer = || Trouble::NoAnswer(Duration::from_secs(3));
        let other = || Trouble::OtherProtocol { expected: "a server", said: "HTTP".into() };
        for finding in [
            Finding::Dns { host: "h".into(), outcome: Err(Trouble::UnknownName("no".into())) },
            Finding::Dns { host: String::new(), outcome: Err(Trouble::InvalidUrl("no host")) },
            Finding::Tcp { outcome: Err(no_answer()) },
            Finding::Tcp { outcome: Err(Trouble::Network("refused".into())) },
            Finding::Tls { outcome: Err(Trouble::Tls("from no authority".into())) },
            Finding::Grpc { outcome: Err(Trouble::NotServing) },
            Finding::Grpc { outcome: Err(other()) },
            Finding::Signaling { outcome: Err(Trouble::Refused("draining".into())) },
            Finding::Stun { url: "stun:x".into(), outcome: Err(no_answer()) },
            Finding::Turn { url: "turn:x".into(), transport: None, outcome: Err(other()) },
        ] {
            let check = check(&finding);
            assert_eq!(check.status, Status::Fail, "{finding:?}");
            let advice = check.advice.expect("a failure comes with what to do");
            assert!(advice.ends_with(['.', '?']), "one whole sentence: {advice}");
        }
    }
}
