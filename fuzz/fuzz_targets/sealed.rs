//! Payloads of a sealed room in the hands of a hostile server: only what the other side said is believed, in order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcord_fuzz::steps;
use patchcord_peer::fuzzing::Sealed;

fuzz_target!(|input: &[u8]| {
    let mut sealed = Sealed::new();
    for (what, step) in steps(input).take(64) {
        let from = usize::from(what >> 7);
        let to = 1 - from;
        match what % 8 {
            0 => sealed.begin(from),
            1 => sealed.say(from),
            // As they are, each to the other side.
            2 => {
                while !sealed.wire(from).is_empty() {
                    let payload = sealed.wire(from).remove(0);
                    sealed.take(to, &payload);
                }
            }
            3 => drop(sealed.wire(from).pop()),
            // Again, or to whoever sent it.
            4 | 5 => {
                if let Some(payload) = sealed.wire(from).last().cloned() {
                    sealed.take(if what % 8 == 4 { to } else { from }, &payload);
                }
            }
            6 => {
                if let (Some(payload), [at, bits, ..]) = (sealed.wire(from).last_mut(), step)
                    && !payload.is_empty()
                {
                    let at = usize::from(*at) % payload.len();
                    payload[at] ^= bits;
                }
            }
            _ => sealed.take(to, step),
        }
    }
});
