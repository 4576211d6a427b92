//! What the STUN and TURN servers have to do with a connection that does not come about, in one sentence. Pure.

use patchcord_peer::probe::{Finding, Trouble};

/// Servers that are named.
const NAMED_MAX: usize = 4;

/// None where they have nothing to do with it, as far as can be seen from here.
pub(super) fn conclusion(findings: &[Finding], relay_only: bool) -> Option<String> {
    // Where the switchboard told nothing, nothing is known of what it names.
    let asked = findings.iter().any(|finding| matches!(finding, Finding::Signaling { outcome: Ok(_) }));
    let (mut failed, mut useful, mut turn_named) = (Vec::new(), 0, 0);
    for finding in findings {
        let (url, trouble) = match finding {
            Finding::Stun { url, outcome } if !relay_only => (url, outcome.as_ref().err()),
            Finding::Turn { url, outcome, .. } => {
                turn_named += 1;
                (url, outcome.as_ref().err())
            }
            _ => continue,
        };
        match trouble {
            Some(trouble) => failed.push(format!("{url} ({})", said(trouble))),
            None => useful += 1,
        }
    }
    let what = if failed.is_empty() {
        // Of relay-only without any TURN server the room itself has told.
        if turn_named > 0 || !asked || relay_only {
            return None;
        }
        "no TURN server is named: where both sides are behind strict NATs there is no path without one"
            .to_owned()
    } else {
        let more = failed.len().saturating_sub(NAMED_MAX);
        failed.truncate(NAMED_MAX);
        let list = failed.join(", ");
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let which =
            if useful == 0 { "no STUN or TURN server can be used from here" } else { "of no use from here" };
        format!("{which}: {list}{more}")
    };
    Some(format!("{what}; \"patchcord doctor\" says what to do"))
}

fn said(trouble: &Trouble) -> String {
    match trouble {
        Trouble::NoAnswer(_) => "does not answer".into(),
        trouble => trouble.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use patchcord_peer::probe::{Allocation, Signaled};

    use super::*;

    fn signaling() -> Finding {
        let server = "patchcord-server".into();
        Finding::Signaling {
            outcome: Ok(Signaled {
                server,
                round_trip: Duration::ZERO,
                ice_urls: 2,
                permissions: Vec::new(),
            }),
        }
    }

    fn stun(works: bool) -> Finding {
        let outcome = match works {
            true => Ok((([198, 51, 100, 1], 1).into(), Duration::ZERO)),
            false => Err(Trouble::NoAnswer(Duration::from_secs(3))),
        };
        Finding::Stun { url: "stun:s".into(), outcome }
    }

    fn turn(url: &str, trouble: Option<Trouble>) -> Finding {
        let relayed = ([198, 51, 100, 1], 1).into();
        let allocation = Allocation { relayed, lifetime: None, took: Duration::ZERO, peer_refused: None };
        let outcome = trouble.map_or(Ok(allocation), Err);
        Finding::Turn { url: url.into(), transport: None, outcome }
    }

    fn silent() -> Option<Trouble> {
        Some(Trouble::NoAnswer(Duration::from_secs(4)))
    }

    #[test]
    fn each_server_that_cannot_be_used_is_named_with_the_reason_and_the_next_step() {
        let refused = Some(Trouble::ErrorResponse { code: 401, reason: "Unauthorized".into() });
        assert_eq!(
            conclusion(&[signaling(), stun(false), turn("turn:t", silent())], false).unwrap(),
            "no STUN or TURN server can be used from here: stun:s (does not answer), turn:t (does not answer); \
             \"patchcord doctor\" says what to do"
        );
        assert_eq!(
            conclusion(&[signaling(), stun(true), turn("turn:t", refused)], false).unwrap(),
            "of no use from here: turn:t (error 401: Unauthorized); \"patchcord doctor\" says what to do"
        );
        let many: Vec<Finding> = (0..6).map(|_| turn("turn:t", silent())).collect();
        assert!(conclusion(&many, false).unwrap().contains(" and 2 more; "));
    }

    #[test]
    fn where_the_servers_are_well_nothing_is_said_of_them() {
        assert_eq!(conclusion(&[signaling(), stun(true), turn("turn:t", None)], false), None);
        assert_eq!(conclusion(&[], false), None, "the switchboard is away: nobody knows what it names");
        assert_eq!(conclusion(&[signaling(), stun(false), turn("turn:t", None)], true), None);
    }

    #[test]
    fn that_there_is_no_turn_server_is_said() {
        assert!(conclusion(&[signaling(), stun(true)], false).unwrap().contains("strict NATs"));
        assert_eq!(conclusion(&[signaling(), stun(true)], true), None);
    }
}
