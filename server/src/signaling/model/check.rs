//! The invariants by name, and how often each was checked.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::test_runner::TestCaseError;

macro_rules! invariants {
    ($($name:ident),* $(,)?) => {
        /// What always holds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Invariant { $($name),* }

        impl Invariant {
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }

        pub static CHECKED: [AtomicU64; Invariant::ALL.len()] =
            [const { AtomicU64::new(0) }; Invariant::ALL.len()];
    };
}

invariants! {
    JoinedComesFirst,
    FromIsNeverForged,
    NothingCrossesRooms,
    EachPairIsInOrder,
    NothingComesTwice,
    PeerLeftOncePerPeerJoined,
    NumbersHaveNoGap,
    EachIsToldExactlyWhatHappened,
    ReplayIsWhatWasUnacknowledged,
    CompleteSaysTheTruth,
    LossIsTold,
    AffectedAreExactlyThose,
    RequestsAreCarriedOutOnce,
    AcknowledgedIsWhatWasTaken,
    OutboxIsBounded,
    RetainedIsBounded,
    ARelayIsLostOnlyWhenFull,
    VoidTokensResumeNothing,
    GoodTokensResume,
    DetachedKeepTheirPlace,
    MembershipIsAsTheReferenceSays,
    RostersEqualMembership,
    EndsSayWhy,
    NothingIsLeftBehind,
}

pub type Checked = Result<(), TestCaseError>;

/// Fails with the invariant's name.
pub fn ensure(invariant: Invariant, holds: bool, what: impl FnOnce() -> String) -> Checked {
    CHECKED[invariant as usize].fetch_add(1, Ordering::Relaxed);
    if holds { Ok(()) } else { Err(TestCaseError::fail(format!("{invariant:?}: {}", what()))) }
}
