//! Every interleaving of two sides, over a model of the engine that refuses what RFC 9429 forbids.

use std::collections::{HashSet, VecDeque};

use proptest::prelude::*;

use super::*;

mod lost_answer;

const CANDIDATES_MAX: usize = 8;

/// What an engine keeps of one connection; panics on a step that the signaling state forbids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Engine {
    fragment: String,
    restart: bool,
    described: u32,
    gathered: u32,
    pending_local: Option<String>,
    local: Option<String>,
    pending_remote: Option<String>,
    remote: Option<String>,
    candidates: Vec<String>,
}

impl Engine {
    fn describe(&mut self, what: &str) -> String {
        self.described += 1;
        format!("v={what}{}\r\na=ice-ufrag:{}\r\n", self.described, self.fragment)
    }

    /// Another ICE generation, which is gathered for anew.
    fn begin_generation(&mut self) {
        self.fragment.push('+');
        self.gathered = 0;
    }

    /// Whether this description begins another ICE generation of the peer's.
    fn is_changed(&self, sdp: &str) -> bool {
        self.remote.as_ref().is_some_and(|remote| username_fragments(remote) != username_fragments(sdp))
    }

    fn carry_out(&mut self, output: &Output) -> Option<Input> {
        match output {
            Output::CreateOffer => {
                assert!(
                    self.pending_local.is_none() && self.pending_remote.is_none(),
                    "offer while unstable"
                );
                if std::mem::take(&mut self.restart) {
                    self.begin_generation();
                }
                let sdp = self.describe("offer");
                self.pending_local = Some(sdp.clone());
                Some(Input::LocalDescription { kind: DescriptionKind::Offer, sdp })
            }
            Output::RestartIce => {
                assert!(self.remote.is_some(), "nothing to restart");
                self.restart = true;
                None
            }
            Output::Rollback => {
                assert!(self.pending_local.take().is_some(), "nothing to roll back");
                None
            }
            Output::SetRemoteDescription { kind: DescriptionKind::Offer, sdp } => {
                assert!(self.pending_local.is_none(), "remote offer in have-local-offer");
                if self.is_changed(sdp) {
                    self.begin_generation();
                    self.candidates.clear();
                }
                self.pending_remote = Some(sdp.clone());
                None
            }
            Output::SetRemoteDescription { kind: DescriptionKind::Answer, sdp } => {
                if self.is_changed(sdp) {
                    self.candidates.clear();
                }
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
                let remote = self.pending_remote.as_ref().or(self.remote.as_ref());
                let fragments = username_fragments(remote.expect("candidate came too early"));
                let fragment = candidate.username_fragment.as_ref().expect("ours name theirs");
                assert!(fragments.contains(fragment), "candidate of another generation");
                self.candidates.push(candidate.candidate.clone());
                None
            }
            Output::SendDescription { .. } | Output::SendCandidate(_) => None,
        }
    }
}

/// What may happen to the two sides in a run: per side how often it connects and restarts and how many candidates
/// each of its ICE generations has, and how many messages are lost. A loss is told to both, as the server
/// does, and makes both restart.
#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    connects: [u32; 2],
    restarts: [u32; 2],
    candidates: [u32; 2],
    losses: u32,
}

#[derive(Clone, Debug)]
struct Side {
    negotiation: Negotiation,
    engine: Engine,
    inbox: VecDeque<Input>,
    connects: u32,
    restarts: u32,
    candidates: u32,
}

impl Side {
    fn new(who: usize, plan: Plan) -> Self {
        Self {
            negotiation: Negotiation::new(who == 0, CANDIDATES_MAX),
            engine: Engine { fragment: ["a", "b"][who].into(), ..Engine::default() },
            inbox: VecDeque::new(),
            connects: plan.connects[who],
            restarts: plan.restarts[who],
            candidates: plan.candidates[who],
        }
    }

    /// Gathering starts with the first local description.
    fn gathers(&self) -> bool {
        self.engine.gathered < self.candidates && self.engine.described > 0
    }

    /// A connection restarts once it has been there.
    fn may_restart(&self) -> bool {
        self.restarts > 0 && self.engine.remote.is_some()
    }

    fn next_candidate(&mut self) -> Input {
        self.engine.gathered += 1;
        let name = format!("{}{}", self.engine.fragment, self.engine.gathered);
        Input::LocalCandidate(Candidate {
            candidate: name,
            username_fragment: Some(self.engine.fragment.clone()),
            ..Candidate::default()
        })
    }
}

fn both(plan: Plan) -> [Side; 2] {
    [Side::new(0, plan), Side::new(1, plan)]
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
    Restart(usize),
    Gather(usize),
    Deliver(usize),
    Lose(usize),
}

fn possible(sides: &[Side; 2], losses: u32) -> Vec<Step> {
    let mut steps = Vec::new();
    let both_there = sides.iter().all(|side| side.engine.remote.is_some());
    for (who, side) in sides.iter().enumerate() {
        steps.extend((side.connects > 0).then_some(Step::Connect(who)));
        steps.extend(side.may_restart().then_some(Step::Restart(who)));
        steps.extend(side.gathers().then_some(Step::Gather(who)));
        steps.extend((!side.inbox.is_empty()).then_some(Step::Deliver(who)));
        // Before both know each other a loss makes both begin anew, with another connection.
        steps.extend((losses > 0 && both_there && !side.inbox.is_empty()).then_some(Step::Lose(who)));
    }
    steps
}

fn take(sides: &mut [Side; 2], losses: &mut u32, step: Step) {
    let (who, input) = match step {
        Step::Connect(who) => {
            sides[who].connects -= 1;
            (who, Input::Connect)
        }
        Step::Restart(who) => {
            sides[who].restarts -= 1;
            (who, Input::Restart)
        }
        Step::Gather(who) => (who, sides[who].next_candidate()),
        Step::Deliver(who) => (who, sides[who].inbox.pop_front().expect("offered when not empty")),
        Step::Lose(who) => {
            *losses -= 1;
            sides[who].inbox.pop_front();
            sides.iter_mut().for_each(|side| side.restarts += 1);
            return;
        }
    };
    feed(sides, who, input);
}

fn assert_agreed(sides: &[Side; 2]) {
    for who in 0..2 {
        let (own, other) = (&sides[who], &sides[1 - who]);
        assert_eq!(own.negotiation.state, SignalingState::Stable);
        let local = own.engine.local.as_ref().expect("a side has no description");
        let remote = other.engine.remote.as_ref().expect("a side has no remote description");
        assert!(remote.starts_with(local.as_str()), "the sides disagree: {local:?}, {remote:?}");
        assert_eq!(username_fragments(local), [own.engine.fragment.as_str()], "the engine is elsewhere");
        let got: HashSet<_> = other.engine.candidates.iter().collect();
        assert_eq!(got.len() as u32, own.candidates, "a candidate was lost");
    }
}

fn explore(sides: &[Side; 2], losses: u32, seen: &mut HashSet<String>, ends: &mut usize) {
    if !seen.insert(format!("{losses} {sides:?}")) {
        return;
    }
    let steps = possible(sides, losses);
    if steps.is_empty() {
        *ends += 1;
        assert_agreed(sides);
    }
    for step in steps {
        let (mut next, mut losses) = (sides.clone(), losses);
        take(&mut next, &mut losses, step);
        explore(&next, losses, seen, ends);
    }
}

fn assert_every_interleaving_agrees(plan: Plan) {
    let (mut seen, mut ends) = (HashSet::new(), 0);
    explore(&both(plan), plan.losses, &mut seen, &mut ends);
    assert!(ends > 0 && seen.len() > 20, "{} states, {ends} ends", seen.len());
}

#[test]
fn every_interleaving_of_two_sides_agrees() {
    for (connects, candidates) in [([1, 0], [2, 2]), ([0, 1], [2, 2]), ([1, 1], [2, 2]), ([2, 1], [1, 2])] {
        assert_every_interleaving_agrees(Plan { connects, candidates, ..Plan::default() });
    }
}

#[test]
fn every_interleaving_of_restarts_agrees() {
    for (connects, restarts) in [
        ([1, 0], [1, 0]),
        ([1, 0], [0, 1]),
        ([1, 0], [1, 1]),
        ([0, 1], [1, 1]),
        ([1, 0], [2, 0]),
        ([1, 0], [0, 2]),
    ] {
        assert_every_interleaving_agrees(Plan { connects, restarts, candidates: [1, 1], losses: 0 });
    }
    for restarts in [[2, 1], [1, 2], [2, 2]] {
        assert_every_interleaving_agrees(Plan { connects: [1, 1], restarts, ..Plan::default() });
    }
}

#[test]
fn every_loss_that_both_are_told_of_is_made_good() {
    for restarts in [[1, 0], [0, 1], [1, 1]] {
        assert_every_interleaving_agrees(Plan { connects: [1, 0], restarts, losses: 1, ..Plan::default() });
    }
    assert_every_interleaving_agrees(Plan {
        connects: [1, 0],
        candidates: [1, 1],
        losses: 1,
        ..Plan::default()
    });
}

proptest! {
    #[test]
    fn any_schedule_agrees(
        connects in prop_oneof![Just([1u32, 1]), Just([3, 2]), Just([1, 0]), Just([0, 2])],
        restarts in [0u32..4, 0u32..4],
        candidates in [0u32..6, 0u32..6],
        losses in 0u32..3,
        choices in proptest::collection::vec(any::<prop::sample::Index>(), 0..400),
    ) {
        let plan = Plan { connects, restarts, candidates, losses };
        let (mut sides, mut losses) = (both(plan), plan.losses);
        let mut choices = choices.into_iter();
        loop {
            let steps = possible(&sides, losses);
            if steps.is_empty() {
                break;
            }
            let index = choices.next().map_or(0, |choice| choice.index(steps.len()));
            take(&mut sides, &mut losses, steps[index]);
        }
        assert_agreed(&sides);
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
        Just(Input::Restart),
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
fn an_answer_to_an_offer_that_was_replaced_is_ignored() {
    let mut negotiation = Negotiation::new(true, CANDIDATES_MAX);
    let offer = |fragment: &str| Input::LocalDescription {
        kind: DescriptionKind::Offer,
        sdp: format!("a=ice-ufrag:{fragment}\r\n"),
    };
    let answer = |names: &str| Input::RemoteDescription {
        kind: DescriptionKind::Answer,
        sdp: format!("a=ice-ufrag:theirs\r\n{names}"),
    };
    negotiation.handle(Input::Connect);
    negotiation.handle(offer("first"));
    assert_eq!(negotiation.handle(answer("")).len(), 1, "others name no offer");
    negotiation.handle(Input::Restart);
    negotiation.handle(offer("second"));
    assert!(negotiation.handle(answer("a=x-patchcord-answers:first\r\n")).is_empty());
    assert_eq!(negotiation.handle(answer("a=x-patchcord-answers:second\r\n")).len(), 1);
}

#[test]
fn a_fingerprint_is_compared_without_regard_to_case() {
    let upper = fingerprint("v=0\r\na=fingerprint:sha-256 AB:CD\r\n");
    assert_eq!(upper, fingerprint("a=fingerprint:SHA-256 ab:cd"));
    assert!(upper.is_some());
    assert_eq!(fingerprint("v=0\r\n"), None);
}
