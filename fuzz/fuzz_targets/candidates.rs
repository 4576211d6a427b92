//! Candidates of a peer, against a gate written another way: what is let in names an address that a peer can have, and what
//! reaches the engine is that and no more.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use patchcord_peer::fuzzing::{candidate_for_engine, candidate_is_fit};

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let of_a_stranger = candidate_for_engine(&text, false);
    let Some(taken) = candidate_for_engine(&text, true) else {
        assert_eq!(of_a_stranger, None, "with trust more is fit, not less");
        return;
    };
    assert!(candidate_is_fit(&text, true), "with loopback more is fit, not less");
    assert_eq!(candidate_for_engine(&taken, true).as_ref(), Some(&taken), "what passed passes unchanged");
    if taken.is_empty() {
        return;
    }
    // However blanks are told from white space.
    let fields: Vec<&str> = taken.split_whitespace().collect();
    assert_eq!(fields, taken.split(' ').collect::<Vec<_>>());
    assert_eq!((fields.len(), fields[1], fields[2], fields[6]), (8, "1", "udp", "typ"));
    assert!(fields[5].parse::<u16>().expect("a port") >= 1024);
    let is_private = match fields[4].parse().expect("an address, not a name") {
        IpAddr::V4(v4) => {
            let [first, second, third, _] = v4.octets();
            assert!(!matches!(first, 0 | 127 | 224..=255) && (first, second) != (169, 254));
            assert!(!matches!((first, second, third), (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113)));
            v4.is_private() || (first == 100 && second & 0xc0 == 64) || (first == 198 && second & 0xfe == 18)
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            let is_nat64 = v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
            assert!(is_nat64 || first & 0xe000 == 0x2000 || first & 0xfe00 == 0xfc00, "{v6}");
            first & 0xfe00 == 0xfc00
        }
    };
    assert_eq!(of_a_stranger.is_some(), !is_private);
});
