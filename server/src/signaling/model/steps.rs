//! What may happen, in any order. Peers are named by numbers that are taken modulo how many there are.

use proptest::prelude::*;

#[derive(Clone, Debug)]
pub enum Step {
    Join {
        room: usize,
    },
    Leave {
        who: usize,
        politely: bool,
    },
    Rename {
        who: usize,
        name: u8,
    },
    Relay {
        who: usize,
        to: usize,
        kind: u8,
        large: bool,
        count: usize,
    },
    RepeatRequest {
        who: usize,
    },
    SkipRequest {
        who: usize,
    },
    Read {
        who: usize,
        count: usize,
    },
    Acknowledge {
        who: usize,
        lag: u64,
    },
    AcknowledgeTheFuture {
        who: usize,
    },
    /// The stream is lost, and so many responses on it that were sent before.
    Detach {
        who: usize,
        how: u8,
        lost: usize,
    },
    /// A stream is lost, and on it more than can be kept for the next.
    DetachWithALoss {
        who: usize,
        rounds: usize,
    },
    Resume {
        who: usize,
        token: Token,
        last: Last,
    },
    Wait {
        ms: u64,
    },
    Remove {
        who: usize,
    },
    Close {
        room: usize,
    },
    Drain,
}

#[derive(Clone, Copy, Debug)]
pub enum Token {
    Newest,
    Previous,
    Oldest,
    Foreign,
}

#[derive(Clone, Copy, Debug)]
pub enum Last {
    Handled,
    Older(u64),
    Future,
}

pub fn any_step() -> impl Strategy<Value = Step> {
    let who = 0usize..64;
    let token = prop_oneof![
        6 => Just(Token::Newest), 2 => Just(Token::Previous), 1 => Just(Token::Oldest), 1 => Just(Token::Foreign),
    ];
    let last =
        prop_oneof![6 => Just(Last::Handled), 2 => (1u64..8).prop_map(Last::Older), 1 => Just(Last::Future)];
    prop_oneof![
        8 => (0..super::NAMES).prop_map(|room| Step::Join { room }),
        3 => (who.clone(), any::<bool>()).prop_map(|(who, politely)| Step::Leave { who, politely }),
        3 => (who.clone(), any::<u8>()).prop_map(|(who, name)| Step::Rename { who, name }),
        16 => (who.clone(), who.clone(), 0u8..4, prop::bool::weighted(0.2), 1usize..6)
            .prop_map(|(who, to, kind, large, count)| Step::Relay { who, to, kind, large, count }),
        3 => (who.clone(), who.clone(), 0u8..4, any::<bool>(), 20usize..150)
            .prop_map(|(who, to, kind, large, count)| Step::Relay { who, to, kind, large, count }),
        3 => (who.clone(), who.clone(), 3u8..4, Just(true), 8usize..20)
            .prop_map(|(who, to, kind, large, count)| Step::Relay { who, to, kind, large, count }),
        1 => who.clone().prop_map(|who| Step::RepeatRequest { who }),
        1 => who.clone().prop_map(|who| Step::SkipRequest { who }),
        10 => (who.clone(), 1usize..150).prop_map(|(who, count)| Step::Read { who, count }),
        5 => (who.clone(), 0u64..4).prop_map(|(who, lag)| Step::Acknowledge { who, lag }),
        1 => who.clone().prop_map(|who| Step::AcknowledgeTheFuture { who }),
        4 => (who.clone(), 0u8..3).prop_map(|(who, how)| Step::Detach { who, how, lost: 0 }),
        6 => (who.clone(), 0u8..3, 1usize..200).prop_map(|(who, how, lost)| Step::Detach { who, how, lost }),
        8 => (who.clone(), 1usize..4).prop_map(|(who, rounds)| Step::DetachWithALoss { who, rounds }),
        12 => (who.clone(), token, last).prop_map(|(who, token, last)| Step::Resume { who, token, last }),
        3 => prop_oneof![Just(300u64), Just(4_000), Just(11_000)].prop_map(|ms| Step::Wait { ms }),
        1 => who.prop_map(|who| Step::Remove { who }),
        1 => (0..super::NAMES).prop_map(|room| Step::Close { room }),
        1 => prop::bool::weighted(0.2).prop_map(|drain| if drain { Step::Drain } else { Step::Wait { ms: 1 } }),
    ]
}
