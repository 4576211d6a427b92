//! Session descriptions and candidates of a peer, through their gate and through the negotiation, which takes any and stays in
//! its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcord_fuzz::steps;
use patchcord_peer::fuzzing::{Negotiation, described, fingerprint, read_by_engine, username_fragments};

const CANDIDATES_MAX: usize = 8;

fuzz_target!(|input: &[u8]| {
    // A step is too short for a whole description.
    gate(&String::from_utf8_lossy(input));
    let mut negotiation = Negotiation::new(input.len().is_multiple_of(2), CANDIDATES_MAX);
    for (what, step) in steps(input) {
        let text = String::from_utf8_lossy(step);
        gate(&text);
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

fn gate(text: &str) {
    let Some((sdp, candidates)) = described(text) else { return };
    let count = |prefix: &str| sdp.lines().filter(|line| line.starts_with(prefix)).count();
    assert_eq!((count("m="), count("a=candidate"), count("o=")), (1, 0, 1));
    assert_eq!((count("a=fingerprint:"), sdp.lines().count() + candidates <= 200), (1, true));
    assert!(matches!(read_by_engine(&sdp), None | Some((0, 1))), "the engine finds what the gate does not");
    assert!(sdp.lines().all(|line| line.len() <= 1024 && text.contains(line)));
    assert_eq!(described(&sdp), Some((sdp.clone(), 0)), "what passed passes unchanged");
}
