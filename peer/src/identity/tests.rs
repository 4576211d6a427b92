//! Proofs where they hold, and everywhere else.

use proptest::prelude::*;

use super::*;

const SESSIONS: [[u8; 16]; 2] = [[1; 16], [2; 16]];
const CERTIFICATES: [[u8; 32]; 2] = [[0xaa; 32], [0xbb; 32]];

fn place(of: usize) -> Place<'static> {
    Place {
        room: "lobby",
        own_session_id: &SESSIONS[of],
        peer_session_id: &SESSIONS[1 - of],
        own_fingerprint: CERTIFICATES[of],
        peer_fingerprint: CERTIFICATES[1 - of],
    }
}

fn identity(number: u8) -> Identity {
    Identity::from_seed(&[number; 32])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_proof_is_the_one_that_another_implementation_makes() {
    // By Python's cryptography 48 over the bytes that chat.proto names.
    let expected = [
        "fbb0715f5f5f537ef77129081f1041380308057f3e0c5c13ccbba123632194b8\
         cda13cd356425667953dd5cf512cb94dfa715aa134296b07f5927907d622a40a",
        "7c849c851993ddd275eaeeb53c20911ebecbc601c2099fb5d5f3f24c3873df33\
         f9c97325b64f1706e472e73d6399eae0ba511a891f7feceff5537aaa711ecc0c",
    ];
    for (of, expected) in expected.into_iter().enumerate() {
        assert_eq!(hex(&identity(7).prove(&place(of)).unwrap()), expected);
    }
}

#[test]
fn each_side_believes_the_proof_of_the_other() {
    for (of, number) in [(0, 7), (1, 8)] {
        let proof = identity(number).prove(&place(of)).unwrap();
        assert!(identity(number).key().is_proved(&place(1 - of), &proof));
    }
}

#[test]
fn a_proof_holds_nowhere_else() {
    let proof = identity(7).prove(&place(0)).unwrap();
    let key = identity(7).key();
    let there = || place(1);
    assert!(key.is_proved(&there(), &proof));
    let elsewhere = [
        ("another room", Place { room: "attic", ..there() }),
        ("a man in the middle towards the prover", Place { peer_fingerprint: [0xcc; 32], ..there() }),
        ("a man in the middle towards the verifier", Place { own_fingerprint: [0xcc; 32], ..there() }),
        ("another channel of the prover", Place { peer_session_id: &[0; 16], ..there() }),
        ("another channel of the verifier", Place { own_session_id: &[3; 16], ..there() }),
        ("the roles swapped", place(0)),
        ("an echo", Place { own_session_id: &SESSIONS[0], ..there() }),
        (
            "where a part of one field is in the next",
            Place { room: "lobb", own_session_id: b"y\x02\x02\x02", ..there() },
        ),
    ];
    for (what, place) in elsewhere {
        assert!(!key.is_proved(&place, &proof), "{what}");
    }
    assert!(!identity(8).key().is_proved(&there(), &proof), "of another key");
    assert_eq!(identity(7).prove(&Place { peer_session_id: &SESSIONS[0], ..place(0) }), None);
}

#[test]
fn a_key_of_small_order_proves_nothing() {
    // The neutral element: with it a signature of zeros would hold for every text under the lenient rule.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    assert!(!IdentityKey::from_bytes(neutral).is_proved(&place(1), &signature));
}

#[test]
fn a_key_is_printed_whole_and_short_and_the_secret_never() {
    let key = identity(7).key();
    let whole = key.to_string();
    assert_eq!(whole.len(), 52);
    assert_eq!(whole.parse(), Ok(key));
    assert_eq!(whole.to_ascii_uppercase().parse(), Ok(key));
    assert_eq!(key.short().replace('-', ""), whole[..20]);
    for wrong in ["", "abc", &whole[1..], &format!("{whole}a"), &whole.replace(&whole[..1], "1")] {
        assert_eq!(wrong.parse::<IdentityKey>(), Err(InvalidIdentityKey), "{wrong}");
    }
    let seed = *identity(7).seed();
    assert_eq!(Identity::from_seed(&seed).key(), key);
    assert_eq!(format!("{:?}", identity(7)), format!("Identity({key:?})"));
    assert_ne!(Identity::generate().unwrap().key(), Identity::generate().unwrap().key());
}

proptest! {
    #[test]
    fn a_changed_bit_spoils_a_proof(at in 0usize..64, bit in 0u8..8) {
        let mut proof = identity(7).prove(&place(0)).unwrap();
        proof[at] ^= 1 << bit;
        prop_assert!(!identity(7).key().is_proved(&place(1), &proof));
    }

    #[test]
    fn no_bytes_prove_anything(key: [u8; 32], signature in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(!IdentityKey::from_bytes(key).is_proved(&place(1), &signature));
    }
}
