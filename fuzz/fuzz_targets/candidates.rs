//! Candidates of a peer, against a gate written another way: what is let in names an address that a peer can have.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use patchcord_peer::fuzzing::candidate_is_fit;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    if !candidate_is_fit(&text, false) || text.is_empty() {
        return;
    }
    assert!(candidate_is_fit(&text, true), "with loopback more is fit, not less");
    let fields: Vec<&str> = text.split(' ').collect();
    assert!(fields[2].eq_ignore_ascii_case("udp"));
    assert!(fields[5].parse::<u16>().expect("a port") >= 1024);
    let address = match fields[4].parse().expect("an address, not a name") {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    };
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            assert!(!matches!(first, 0 | 127 | 224..=239) && (first, second) != (169, 254));
            assert_ne!(v4.octets(), [255; 4]);
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            assert!(first & 0xff00 != 0xff00 && first & 0xffc0 != 0xfe80);
            assert!(u128::from(v6) > 1);
        }
    }
});
