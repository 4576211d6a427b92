//! Session descriptions and candidates of a peer, through the negotiation: it takes any and stays in its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcord_fuzz::steps;
use patchcord_peer::fuzzing::{Negotiation, fingerprint, username_fragments};

const CANDIDATES_MAX: usize = 8;

fuzz_target!(|input: &[u8]| {
    let mut negotiation = Negotiation::new(input.len().is_multiple_of(2), CANDIDATES_MAX);
    for (what, step) in steps(input) {
        let text = String::from_utf8_lossy(step);
        let added = match what % 8 {
            0 => negotiation.connect(),
            1 => negotiation.restart(),
            2 => negotiation.local_description(&text),
            3 => negotiation.local_candidate(&text),
            4 => negotiation.remote_offer(&text),
            5 => negotiation.remote_answer(&text),
            _ => negotiation.remote_candidate(&text),
        };
        assert!(added <= CANDIDATES_MAX && negotiation.remote_candidates() <= CANDIDATES_MAX);
        for fragment in username_fragments(&text) {
            assert!(text.contains(&fragment) && !fragment.contains('\n'));
        }
        if let Some(fingerprint) = fingerprint(&text) {
            assert!(text.to_ascii_lowercase().contains(&fingerprint) && !fingerprint.contains('\n'));
        }
    }
});
