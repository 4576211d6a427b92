//! Whether a chat will work, judged from everything that was found. Pure.

use patchcord_peer::probe::{Filtering, Finding, Nat, Trouble};

use super::{
    access::{is_good_elsewhere, permits},
    check::{Status, Verdict},
};

/// What matters of the findings so far.
#[derive(Debug, Default)]
pub(super) struct Prognosis {
    relay_only: bool,
    signaling: bool,
    stun_named: usize,
    nats: Vec<(Nat, Filtering)>,
    turn_named: usize,
    turn_works: usize,
    /// The token is good, and shows nothing of what a room would be told.
    is_unseen: bool,
    may_send: bool,
    may_relay: bool,
}

impl Prognosis {
    pub(super) fn new(relay_only: bool) -> Self {
        Self { relay_only, may_send: true, may_relay: true, ..Self::default() }
    }

    pub(super) fn take(&mut self, finding: &Finding) {
        match finding {
            Finding::Signaling { outcome: Err(Trouble::NotPermitted { reason, .. }) } => {
                self.is_unseen = is_good_elsewhere(reason);
            }
            Finding::Signaling { outcome } => {
                self.signaling = outcome.is_ok();
                let may = |name| outcome.as_ref().map_or(true, |signaled| permits(signaled, name));
                (self.may_send, self.may_relay) = (may("send"), may("turn"));
            }
            Finding::Stun { .. } => self.stun_named += 1,
            Finding::Nat { nat, filtering } => self.nats.push((*nat, *filtering)),
            Finding::Turn { outcome, .. } => {
                self.turn_named += 1;
                self.turn_works += usize::from(outcome.is_ok());
            }
            _ => {}
        }
    }

    /// A TURN server is a STUN server as well.
    pub(super) fn lacks_stun(&self) -> bool {
        self.signaling && self.stun_named == 0 && self.turn_named == 0
    }

    pub(super) fn lacks_turn(&self) -> bool {
        self.signaling && self.turn_named == 0
    }

    /// The switchboard names TURN servers to those only whose token permits it.
    pub(super) fn may_relay(&self) -> bool {
        self.may_relay
    }

    pub(super) fn verdict(&self) -> Verdict {
        let relayed = self.turn_works > 0;
        if self.is_unseen {
            return warn(
                "the token is good, for rooms that are not looked at here: whether a chat will work in them is not seen",
                "What it permits, and STUN and TURN servers, are told in a room only: with a token for --room-prefix doctor- \
                 they are looked at.",
            );
        }
        if !self.signaling {
            return fail(
                "a chat will not work: the switchboard cannot be used",
                "Do what is said above, then ask again.",
            );
        }
        if !self.may_send {
            return fail(
                "a chat will not work: the token does not permit to connect with anybody",
                "Ask for a token with \"send\".",
            );
        }
        if self.relay_only {
            return match relayed {
                true => ok("a chat will work, through a relay"),
                false => fail(
                    "a chat will not work: --relay-only leaves only TURN, and no TURN server can be used",
                    "Leave --relay-only out, or name a TURN server that works (see above).",
                ),
            };
        }
        let unknown = self.nats.iter().all(|(nat, _)| matches!(nat, Nat::Unknown));
        let unanswered = self.stun_named + self.turn_named > 0 && unknown;
        if relayed {
            return ok(match unanswered {
                true => {
                    "a chat will work, beyond this network always through a relay: nothing answers over UDP"
                }
                false => "a chat will work, through a relay where there is no direct path",
            });
        }
        if unanswered {
            return fail(
                "a chat will not work beyond this network: no STUN server answers, and no TURN server can be used",
                "UDP is blocked here, or those servers are down: use another network, or ask the operator for TURN \
                 over TCP or TLS.",
            );
        }
        self.without_relay(unknown)
    }

    /// The verdict where what remains are direct paths.
    fn without_relay(&self, unknown: bool) -> Verdict {
        if unknown {
            return warn(
                "a chat will work within this network; beyond it only with peers that have a public address",
                match self.may_relay {
                    true => {
                        "The operator can name STUN and TURN servers (PATCHCORD_STUN_URL, PATCHCORD_TURN_URL), or you \
                         with --ice-server."
                    }
                    false => {
                        "The operator can name STUN servers (PATCHCORD_STUN_URL) and give you a token with \"turn\"; or \
                         you name servers with --ice-server."
                    }
                },
            );
        }
        let symmetric = |nat: &Nat| matches!(nat, Nat::EndpointDependent { .. } | Nat::Unknown);
        let lets_all_in = |filtering: &Filtering| *filtering == Filtering::EndpointIndependent;
        let message = if self.nats.iter().all(|(nat, _)| symmetric(nat)) {
            "a chat will work only with peers that have an open NAT or none"
        } else if self.nats.iter().any(|(nat, filtering)| !symmetric(nat) && lets_all_in(filtering)) {
            "a chat will work with most peers; not with those without UDP"
        } else {
            "a chat will work with most peers; not with those behind a strict NAT or without UDP"
        };
        warn(
            message,
            match self.may_relay {
                true => {
                    "A TURN server that works would make it work with all: ask the operator, or use --ice-server."
                }
                false => {
                    "A TURN server would make it work with all: ask for a token with \"turn\", or use --ice-server."
                }
            },
        )
    }
}

fn ok(message: &str) -> Verdict {
    Verdict { status: Status::Ok, message: message.into(), advice: None }
}

fn warn(message: &str, advice: &str) -> Verdict {
    Verdict { status: Status::Warn, message: message.into(), advice: Some(advice.into()) }
}

fn fail(message: &str, advice: &str) -> Verdict {
    Verdict { status: Status::Fail, ..warn(message, advice) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use patchcord_peer::probe::{Allocation, Signaled, Trouble};

    use super::*;

    fn signaling(works: bool) -> Finding {
        if works { permitted(&[]) } else { Finding::Signaling { outcome: Err(Trouble::NotServing) } }
    }

    fn permitted(permissions: &[&str]) -> Finding {
        let signaled = Signaled {
            server: "patchcord-server".into(),
            round_trip: Duration::ZERO,
            ice_urls: 0,
            permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        };
        Finding::Signaling { outcome: Ok(signaled) }
    }

    fn stun(works: bool) -> Finding {
        let outcome = if works { Ok((address(1), Duration::ZERO)) } else { Err(Trouble::NotServing) };
        Finding::Stun { url: "stun:x".into(), outcome }
    }

    fn turn(works: bool) -> Finding {
        let allocation =
            Allocation { relayed: address(1), lifetime: None, took: Duration::ZERO, peer_refused: None };
        let outcome = if works { Ok(allocation) } else { Err(Trouble::NotServing) };
        Finding::Turn { url: "turn:x".into(), transport: None, outcome }
    }

    fn address(port: u16) -> std::net::SocketAddr {
        ([198, 51, 100, 1], port).into()
    }

    fn verdict(relay_only: bool, findings: &[Finding]) -> (Status, String) {
        let mut prognosis = Prognosis::new(relay_only);
        findings.iter().for_each(|finding| prognosis.take(finding));
        let Verdict { status, message, advice } = prognosis.verdict();
        assert_eq!(
            advice.is_none(),
            status == Status::Ok,
            "what is not well comes with what to do: {message}"
        );
        (status, message)
    }

    #[test]
    fn the_verdict_follows_from_what_is_left_to_chat_over() {
        use Status::{Fail, Ok, Warn};
        let found = |nat, filtering| Finding::Nat { nat, filtering };
        let restricted = Filtering::EndpointDependent;
        let symmetric =
            || found(Nat::EndpointDependent { mapped: address(1), other: address(2) }, restricted);
        let easy = |filtering| found(Nat::EndpointIndependent { mapped: address(1) }, filtering);
        let (moderate, full_cone) = (|| easy(restricted), || easy(Filtering::EndpointIndependent));
        let unknown = || found(Nat::Unknown, Filtering::Unknown);
        for (relay_only, findings, status, part) in [
            (false, vec![], Fail, "switchboard"),
            (false, vec![signaling(false), stun(true), turn(true)], Fail, "switchboard"),
            (false, vec![signaling(true)], Warn, "within this network"),
            (false, vec![signaling(true), stun(false), unknown()], Fail, "beyond this network"),
            (false, vec![signaling(true), stun(false), unknown(), turn(true)], Ok, "always through a relay"),
            (
                false,
                vec![signaling(true), stun(true), moderate()],
                Warn,
                "not with those behind a strict NAT",
            ),
            (false, vec![signaling(true), stun(true), full_cone()], Warn, "not with those without UDP"),
            (false, vec![signaling(true), stun(true), symmetric()], Warn, "open NAT"),
            (false, vec![signaling(true), stun(true), symmetric(), turn(false)], Warn, "open NAT"),
            (false, vec![signaling(true), stun(true), symmetric(), turn(false), turn(true)], Ok, "relay"),
            (true, vec![signaling(true), stun(true), moderate()], Fail, "--relay-only"),
            (true, vec![signaling(true), stun(true), moderate(), turn(false)], Fail, "--relay-only"),
            (true, vec![signaling(true), unknown(), turn(true)], Ok, "relay"),
        ] {
            let (found, message) = verdict(relay_only, &findings);
            assert_eq!(found, status, "{message}: {findings:?}");
            assert!(message.contains(part), "{message}: {findings:?}");
        }
    }
    #[test]
    fn a_token_that_lacks_something_is_not_promised_a_chat_that_takes_it() {
        let refused = |reason: &str| {
            let trouble = Trouble::NotPermitted { reason: reason.into(), message: "m".into() };
            Finding::Signaling { outcome: Err(trouble) }
        };
        let (status, message) = verdict(false, &[permitted(&["join", "create", "turn"]), turn(true)]);
        assert_eq!(status, Status::Fail, "{message}");
        assert!(message.contains("does not permit to connect"), "{message}");
        for reason in ["other_room", "no_create"] {
            let (status, message) = verdict(false, &[refused(reason)]);
            assert_eq!(status, Status::Warn, "{message}");
            assert!(message.contains("is not seen") && !message.starts_with("a chat will work"), "{message}");
        }
        let mut prognosis = Prognosis::new(false);
        prognosis.take(&permitted(&["join", "create", "send"]));
        let lacking = super::super::words::lacking(&prognosis);
        let advice = lacking.iter().filter_map(|check| check.advice.as_deref());
        let advice: Vec<_> = advice.map(str::to_owned).chain(prognosis.verdict().advice).collect();
        assert!(advice.iter().all(|advice| !advice.contains("PATCHCORD_TURN_URL")), "{advice:?}");
        assert!(advice.iter().any(|advice| advice.contains("a token with \"turn\"")), "{advice:?}");
    }
}
