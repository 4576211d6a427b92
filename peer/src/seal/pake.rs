//! The password-authenticated key exchange behind a trait of our own, so that the crate that computes it can be replaced.
//!
//! CPace (draft-irtf-cfrg-cpace-21, CPACE-RISTR255-SHA512) rather than SPAKE2: it binds an identifier and associated data, needs no
//! constants that somebody chose, and its vectors are in the draft. `pakery` refuses the identity; the `spake2` crate does not.

use pakery_cpace::{CpaceInitiator, CpaceMode, CpaceResponder, InitiatorState};
use pakery_crypto::CpaceRistretto255;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Ya and Yb.
pub(super) const SHARE_BYTES: usize = 32;

/// ISK.
pub(super) type Key = Zeroizing<Vec<u8>>;

/// What both sides bring to the exchange in common.
#[derive(Clone, Copy)]
pub(super) struct Common<'a> {
    /// PRS.
    pub password: &'a [u8],
    /// CI.
    pub channel: &'a [u8],
    /// sid.
    pub session_id: &'a [u8],
}

/// The other's share is no element of the group, or one that would make the key known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadShare;

/// A balanced exchange of one message each way: both get one key when they brought the same, and else keys that tell
/// nothing of each other.
pub(super) trait Pake {
    /// What the side that begins keeps until the answer.
    type Begun;

    /// The share to send.
    fn begin(
        common: Common<'_>,
        terms_a: &[u8],
        random: &mut impl CryptoRng,
    ) -> Result<(Vec<u8>, Self::Begun), BadShare>;

    /// The share to send back, and the key.
    fn answer(
        common: Common<'_>,
        share_a: &[u8],
        terms_a: &[u8],
        terms_b: &[u8],
        random: &mut impl CryptoRng,
    ) -> Result<(Vec<u8>, Key), BadShare>;

    /// The key of the side that began.
    fn finish(begun: Self::Begun, share_b: &[u8], terms_b: &[u8]) -> Result<Key, BadShare>;
}

/// CPACE-RISTR255-SHA512.
pub(super) struct Cpace;

impl Pake for Cpace {
    type Begun = InitiatorState<CpaceRistretto255>;

    fn begin(
        common: Common<'_>,
        terms_a: &[u8],
        random: &mut impl CryptoRng,
    ) -> Result<(Vec<u8>, Self::Begun), BadShare> {
        let Common { password, channel, session_id } = common;
        CpaceInitiator::start(password, channel, session_id, terms_a, random).map_err(|_| BadShare)
    }

    fn answer(
        common: Common<'_>,
        share_a: &[u8],
        terms_a: &[u8],
        terms_b: &[u8],
        random: &mut impl CryptoRng,
    ) -> Result<(Vec<u8>, Key), BadShare> {
        let Common { password, channel, session_id } = common;
        let answered = CpaceResponder::<CpaceRistretto255>::respond(
            share_a,
            password,
            channel,
            session_id,
            terms_a,
            terms_b,
            CpaceMode::InitiatorResponder,
            random,
        );
        let (share, output) = answered.map_err(|_| BadShare)?;
        Ok((share, Zeroizing::new(output.isk.as_bytes().to_vec())))
    }

    fn finish(begun: Self::Begun, share_b: &[u8], terms_b: &[u8]) -> Result<Key, BadShare> {
        let output = begun.finish(share_b, terms_b, CpaceMode::InitiatorResponder).map_err(|_| BadShare)?;
        Ok(Zeroizing::new(output.isk.as_bytes().to_vec()))
    }
}

/// The operating system's, which a running process is never without once it had some: a room is joined with random bits.
pub(super) fn random() -> rand_core::UnwrapErr<getrandom::SysRng> {
    rand_core::UnwrapErr(getrandom::SysRng)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Gives a scalar of the vectors, which is below the order of the group, and then zeros.
    struct Given(Vec<u8>);

    impl rand_core::TryRng for Given {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(0)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(0)
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.fill(0);
            bytes[..self.0.len()].copy_from_slice(&self.0);
            Ok(())
        }
    }

    impl rand_core::TryCryptoRng for Given {}

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn the_vectors_of_the_draft_come_out() {
        // draft-irtf-cfrg-cpace-21, B.3.1 to B.3.5.
        let channel = hex("0b415f696e69746961746f720b425f726573706f6e646572");
        let session_id = hex("7e4b4791d6a8ef019b936c79fb7f2c57");
        let common = Common { password: b"Password", channel: &channel, session_id: &session_id };
        let (mut ya, mut yb) = (
            Given(hex("da3d23700a9e5699258aef94dc060dfda5ebb61f02a5ea77fad53f4ff0976d08")),
            Given(hex("d2316b454718c35362d83d69df6320f38578ed5984651435e2949762d900b80d")),
        );
        let (share_a, begun) = Cpace::begin(common, b"ADa", &mut ya).unwrap();
        assert_eq!(share_a, hex("d6bac480f2c386c394efc7c47adb9925dcd2630b64f240c50f8d0eec482b9157"));
        let (share_b, key_b) = Cpace::answer(common, &share_a, b"ADa", b"ADb", &mut yb).unwrap();
        assert_eq!(share_b, hex("3ea7e0b19560d7c0b0f5734f63b955286dfa8232b5ebe63324e2d9e7433f7258"));
        let key_a = Cpace::finish(begun, &share_b, b"ADb").unwrap();
        let expected = "b69effbf61b51d56401c0f65601abe428de8206feaaf0e32198896dcae7b35cd\
                        2b38950a39dfd5d4a79164614c2984f7daa460b588c1e80c3fa2068af7900447";
        assert_eq!(*key_a, hex(expected));
        assert_eq!(key_a, key_b);
    }

    #[test]
    fn shares_that_would_make_the_key_known_are_refused() {
        let common = Common { password: b"Password", channel: b"c", session_id: b"s" };
        // B.3.11: no element, and the neutral one; then too short, and no canonical encoding.
        for bad in [
            hex("2b3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c"),
            vec![0; 32],
            vec![1; 31],
            vec![0xff; 32],
        ] {
            let (_, begun) = Cpace::begin(common, b"", &mut random()).unwrap();
            assert!(Cpace::finish(begun, &bad, b"").is_err());
            assert!(Cpace::answer(common, &bad, b"", b"", &mut random()).is_err());
        }
    }
}
