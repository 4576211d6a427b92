//! Every interleaving of two sides, over a model of the engine that refuses what RFC 9429 forbids.

use std::collections::{HashSet, VecDeque};

use proptest::prelude::*;

use super::*;

const CANDIDATES_MAX: usize = 8;

/// What an engine keeps of one connection; panics on a step that the signaling state forbids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Engine {
    fragment: String,
    offers: u32,
    pending_local: Option<String>,
    local: Option<String>,
    pending_remote: Option<String>,
    remote: Option<String>,
    candidates: Vec<String>,
}

impl Engine {
    fn describe(&mut self, what: &str) -> String {
        self.offers += 1;
        format!("v={what}{}\r\na=ice-ufrag:{}\r\n", self.offers, self.fragment)
    }

    fn carry_out(&mut self, output: &Output) -> Option<Input> {
        match output {
            Output::CreateOffer => {
                assert!(
                    self.pending_local.is_none() && self.pending_remote.is_none(),
                    "offer while unstable"
                );
                let sdp = self.describe("offer");
                self.pending_local = Some(sdp.clone());
                Some(Input::LocalDescription { kind: DescriptionKind::Offer, sdp })
            }
            Output::RestartIce => {
                self.fragment.push('+');
                None
            }
            Output::Rollback => {
                assert!(self.pending_local.take().is_some(), "nothing to roll back");
                None
            }
            Output::SetRemoteDescription { kind: DescriptionKind::Offer, sdp } => {
                assert!(self.pending_local.is_none(), "remote offer in have-local-offer");
                self.pending_remote = Some(sdp.clone());
                None
            }
            Output::SetRemoteDescription { kind: DescriptionKind::Answer, sdp } => {
                self.local = Some(self.pending_local.take().expect("answer without an offer"));
                self.remote = Some(sdp.clone());
                None
            }
            Output::CreateAnswer => {
                let offer = self.pending_remote.take().expect("answer to no offer");
                let sdp = self.describe("answer");
                self.remote = Some(offer);
                self.local = Some(sdp.clone());
                Some(Input::LocalDescription { kind: DescriptionKind::Answer, sdp })
            }
            Output::AddCandidate(candidate) => {
                assert!(self.remote.is_some() || self.pending_remote.is_some(), "candidate came too early");
                self.candidates.push(candidate.candidate.clone());
                None
            }
            Output::SendDescription { .. } | Output::SendCandidate(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Side {
    negotiation: Negotiation,
    engine: Engine,
    inbox: VecDeque<Input>,
    connects: u32,
    candidates_left: u32,
}

impl Side {
    fn new(polite: bool, fragment: &str, connects: u32, candidates: u32) -> Self {
        Self {
            negotiation: Negotiation::new(polite, CANDIDATES_MAX),
            engine: Engine { fragment: fragment.into(), ..Engine::default() },
            inbox: VecDeque::new(),
            connects,
            candidates_left: candidates,
        }
    }

    /// Gathering starts with the first local description.
    fn gathers(&self) -> bool {
        self.candidates_left > 0 && self.engine.offers > 0
    }

    fn next_candidate(&mut self) -> Input {
        self.candidates_left -= 1;
        let name = format!("{}{}", self.engine.fragment, self.candidates_left);
        Input::LocalCandidate(Candidate {
            candidate: name,
            username_fragment: Some(self.engine.fragment.clone()),
            ..Candidate::default()
        })
    }
}

fn feed(sides: &mut [Side; 2], who: usize, input: Input) {
    let mut inputs = VecDeque::from([input]);
    while let Some(input) = inputs.pop_front() {
        for output in sides[who].negotiation.handle(input) {
            let sent = match &output {
                Output::SendDescription { kind, sdp } => {
                    Some(Input::RemoteDescription { kind: *kind, sdp: sdp.clone() })
                }
                Output::SendCandidate(candidate) => Some(Input::RemoteCandidate(candidate.clone())),
                _ => None,
            };
            sides[1 - who].inbox.extend(sent);
            inputs.extend(sides[who].engine.carry_out(&output));
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Connect(usize),
    Gather(usize),
    Deliver(usize),
}

fn possible(sides: &[Side; 2]) -> Vec<Step> {
    let mut steps = Vec::new();
    for (who, side) in sides.iter().enumerate() {
        steps.extend((side.connects > 0).then_some(Step::Connect(who)));
        steps.extend(side.gathers().then_some(Step::Gather(who)));
        steps.extend((!side.inbox.is_empty()).then_some(Step::Deliver(who)));
    }
    steps
}

fn take(sides: &mut [Side; 2], step: Step) {
    let (who, input) = match step {
        Step::Connect(who) => {
            sides[who].connects -= 1;
            (who, Input::Connect)
        }
        Step::Gather(who) => (who, sides[who].next_candidate()),
        Step::Deliver(who) => (who, sides[who].inbox.pop_front().expect("offered when not empty")),
    };
    feed(sides, who, input);
}

fn assert_agreed(sides: &[Side; 2], candidates: [u32; 2]) {
    for who in 0..2 {
        let (own, other) = (&sides[who], &sides[1 - who]);
        assert_eq!(own.negotiation.state, SignalingState::Stable);
        assert!(own.engine.local.is_some(), "a side has no description");
        assert_eq!(own.engine.local, other.engine.remote, "the sides disagree");
        let got: HashSet<_> = other.engine.candidates.iter().collect();
        assert_eq!(got.len() as u32, candidates[who], "a candidate was lost");
    }
}

fn explore(sides: &[Side; 2], candidates: [u32; 2], seen: &mut HashSet<String>, ends: &mut usize) {
    if !seen.insert(format!("{sides:?}")) {
        return;
    }
    let steps = possible(sides);
    if steps.is_empty() {
        *ends += 1;
        assert_agreed(sides, candidates);
    }
    for step in steps {
        let mut next = sides.clone();
        take(&mut next, step);
        explore(&next, candidates, seen, ends);
    }
}

#[test]
fn every_interleaving_of_two_sides_agrees() {
    for (connects, candidates) in [([1, 0], [2, 2]), ([0, 1], [2, 2]), ([1, 1], [2, 2]), ([2, 1], [1, 2])] {
        let sides = [
            Side::new(true, "a", connects[0], candidates[0]),
            Side::new(false, "b", connects[1], candidates[1]),
        ];
        let (mut seen, mut ends) = (HashSet::new(), 0);
        explore(&sides, candidates, &mut seen, &mut ends);
        assert!(ends > 0 && seen.len() > 20, "{} states, {ends} ends", seen.len());
    }
}

proptest! {
    #[test]
    fn any_schedule_agrees(
        connects in prop_oneof![Just([1u32, 1]), Just([3, 2]), Just([1, 0]), Just([0, 2])],
        candidates in [0u32..6, 0u32..6],
        choices in proptest::collection::vec(any::<prop::sample::Index>(), 0..400),
    ) {
        let mut sides =
            [Side::new(true, "a", connects[0], candidates[0]), Side::new(false, "b", connects[1], candidates[1])];
        let mut choices = choices.into_iter();
        loop {
            let steps = possible(&sides);
            if steps.is_empty() {
                break;
            }
            let index = choices.next().map_or(0, |choice| choice.index(steps.len()));
            take(&mut sides, steps[index]);
        }
        assert_agreed(&sides, candidates);
    }

    #[test]
    fn no_input_makes_it_panic_or_exceed_its_bounds(
        polite: bool,
        inputs in proptest::collection::vec(any_input(), 0..200),
    ) {
        let mut negotiation = Negotiation::new(polite, CANDIDATES_MAX);
        for input in inputs {
            negotiation.handle(input);
            prop_assert!(negotiation.remote_candidates <= CANDIDATES_MAX);
            prop_assert!(negotiation.early_candidates.len() <= CANDIDATES_MAX);
            prop_assert!(negotiation.local_candidates.len() <= CANDIDATES_MAX + 1);
        }
    }
}

fn any_input() -> impl Strategy<Value = Input> {
    let kind = prop_oneof![Just(DescriptionKind::Offer), Just(DescriptionKind::Answer)];
    let candidate = (".{0,20}", proptest::option::of("[ab]")).prop_map(|(candidate, username_fragment)| {
        Candidate { candidate, username_fragment, ..Candidate::default() }
    });
    prop_oneof![
        Just(Input::Connect),
        (kind.clone(), ".{0,20}").prop_map(|(kind, sdp)| Input::LocalDescription { kind, sdp }),
        candidate.clone().prop_map(Input::LocalCandidate),
        (kind, "a=ice-ufrag:[ab]").prop_map(|(kind, sdp)| Input::RemoteDescription { kind, sdp }),
        candidate.prop_map(Input::RemoteCandidate),
    ]
}

#[test]
fn a_candidate_of_an_earlier_generation_is_not_added() {
    let mut negotiation = Negotiation::new(true, CANDIDATES_MAX);
    negotiation
        .handle(Input::RemoteDescription { kind: DescriptionKind::Offer, sdp: "a=ice-ufrag:new\r\n".into() });
    let candidate = |fragment: &str| Candidate {
        candidate: "candidate:1".into(),
        username_fragment: Some(fragment.into()),
        ..Candidate::default()
    };
    assert!(negotiation.handle(Input::RemoteCandidate(candidate("old"))).is_empty());
    assert_eq!(
        negotiation.handle(Input::RemoteCandidate(candidate("new"))),
        [Output::AddCandidate(candidate("new"))]
    );
}

#[test]
fn a_fingerprint_is_compared_without_regard_to_case() {
    let upper = fingerprint("v=0\r\na=fingerprint:sha-256 AB:CD\r\n");
    assert_eq!(upper, fingerprint("a=fingerprint:SHA-256 ab:cd"));
    assert!(upper.is_some());
    assert_eq!(fingerprint("v=0\r\n"), None);
}
