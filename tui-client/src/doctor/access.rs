//! What a token is worth at a switchboard that asks for one, in plain words. Pure.

use std::time::Duration;

use patchcord_peer::probe::Signaled;

use super::{check::Check, words::ms};

/// Whether a refusal says that the token is good, only not for a room that nobody else can know.
pub(super) fn is_good_elsewhere(reason: &str) -> bool {
    matches!(reason, "other_room" | "no_create")
}

/// Whether the token permits that. One that limits nothing is told with no permissions.
pub(super) fn permits(signaled: &Signaled, name: &str) -> bool {
    signaled.permissions.is_empty() || signaled.permissions.iter().any(|one| one == name)
}

pub(super) fn signaled(signaled: &Signaled) -> Check {
    let Signaled { server, round_trip, permissions, .. } = signaled;
    let message = format!("{server}, round trip {}", ms(*round_trip));
    let took: Option<Duration> = Some(*round_trip);
    let lacks = |name: &str| !permits(signaled, name);
    let check = if permissions.is_empty() {
        Check::ok("signaling", message)
    } else {
        let message = format!("{message}; the token permits {}", permissions.join(", "));
        if lacks("send") {
            let advice =
                "You can see who is in a room, and connect to nobody: ask for a token with \"send\".";
            Check::fail("signaling", message, advice)
        } else if lacks("turn") {
            let advice = "Where no direct path is possible there is no chat: ask for a token with \"turn\".";
            Check::warn("signaling", message, advice)
        } else {
            Check::ok("signaling", message)
        }
    };
    Check { took, ..check }
}

pub(super) fn not_permitted(reason: &str, message: &str) -> Check {
    match reason {
        "other_room" => {
            Check::ok("signaling", "the token is good, for another room than the one looked at here")
        }
        "no_create" => Check::ok("signaling", "the token is good, to enter rooms that others have opened"),
        "missing" => Check::fail(
            "signaling",
            message.to_owned(),
            "Rooms cannot be joined without it: give it with --token-file PATH or PATCHCORD_TOKEN.",
        ),
        "not_yet" | "expired" => Check::fail(
            "signaling",
            message.to_owned(),
            "Rooms cannot be joined with this token. If it was made just now, a clock is wrong: see below.",
        ),
        _ => Check::fail("signaling", message.to_owned(), "Rooms cannot be joined with this token."),
    }
}

pub(super) fn not_sent(reason: &str) -> Check {
    Check::fail("signaling", reason.to_owned(), "The token was not sent, so no room can be joined.")
}

#[cfg(test)]
mod tests {
    use super::{super::check::Status, *};

    #[test]
    fn what_a_token_lacks_is_said() {
        let of = |permissions: &[&str]| {
            signaled(&Signaled {
                server: "s".into(),
                round_trip: Duration::ZERO,
                ice_urls: 0,
                permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
            })
        };
        assert_eq!(of(&[]).status, Status::Ok);
        assert_eq!(of(&["join", "create", "send", "turn"]).status, Status::Ok);
        assert!(of(&["join", "create"]).advice.unwrap().contains("\"send\""));
        assert!(of(&["join", "create", "send"]).advice.unwrap().contains("\"turn\""));
    }

    #[test]
    fn a_token_for_one_room_is_not_called_bad() {
        for reason in ["other_room", "no_create"] {
            assert!(is_good_elsewhere(reason) && not_permitted(reason, "m").status == Status::Ok);
        }
        for reason in ["missing", "expired", "revoked", "", "of a later version"] {
            assert!(!is_good_elsewhere(reason) && not_permitted(reason, "m").status == Status::Fail);
        }
    }
}
