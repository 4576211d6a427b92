//! Whatever overtakes what: every text of our own ends in the state that is true.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

/// A text that the room has taken, as it really fares with each receiver.
struct Taken {
    entry: EntryId,
    states: BTreeMap<PeerId, DeliveryState>,
}

/// The room as the library keeps it: links tell receipts at once, the room tells who comes and goes when it gets
/// to it, answers come on a way of their own. Each way keeps its order, and between them there is none.
struct Model {
    bench: Bench,
    members: Vec<PeerId>,
    born: usize,
    asked: VecDeque<EntryId>,
    taken: Vec<Taken>,
    refused: Vec<EntryId>,
    /// From the room, on their way into `events`.
    pending: VecDeque<Event>,
    events: VecDeque<Event>,
    answers: VecDeque<AppEvent>,
}

#[derive(Clone, Debug)]
enum Step {
    Say,
    Take,
    Advance(usize),
    Join,
    Leave(usize),
    Tell,
    ReadEvent,
    ReadAnswer,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Say),
        3 => Just(Step::Take),
        6 => (0..100usize).prop_map(Step::Advance),
        1 => Just(Step::Join),
        1 => (0..100usize).prop_map(Step::Leave),
        2 => Just(Step::Tell),
        5 => Just(Step::ReadEvent),
        3 => Just(Step::ReadAnswer),
    ]
}

impl Model {
    fn new() -> Self {
        let bench = Bench::with(vec![peer("peer0", "p0"), peer("peer1", "p1")]);
        let members = vec![id("peer0"), id("peer1")];
        Self {
            bench,
            members,
            born: 2,
            asked: VecDeque::new(),
            taken: Vec::new(),
            refused: Vec::new(),
            pending: VecDeque::new(),
            events: VecDeque::new(),
            answers: VecDeque::new(),
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Say => {
                if let [Effect::Send { entry, .. }] = self.bench.enter("hello")[..] {
                    self.asked.push_back(entry);
                }
                self.bench.control('c');
            }
            Step::Take => self.take(),
            Step::Advance(which) => self.advance(which),
            Step::Join => {
                let name = format!("peer{}", self.born);
                self.born += 1;
                self.members.push(id(&name));
                self.pending.push_back(Event::PeerJoined(peer(&name, &name)));
            }
            Step::Leave(which) if !self.members.is_empty() => {
                let gone = self.members.remove(which % self.members.len());
                self.lose(&gone);
                self.pending.push_back(Event::PeerLeft { peer_id: gone, reason: LeaveReason::Left });
            }
            Step::Leave(_) => {}
            Step::Tell => self.events.extend(self.pending.pop_front()),
            Step::ReadEvent => {
                if let Some(event) = self.events.pop_front() {
                    self.bench.room(event);
                }
            }
            Step::ReadAnswer => {
                if let Some(answer) = self.answers.pop_front() {
                    self.bench.event(answer);
                }
            }
        }
    }

    fn take(&mut self) {
        let Some(entry) = self.asked.pop_front() else { return };
        if self.members.is_empty() {
            self.refused.push(entry);
            return self
                .answers
                .push_back(AppEvent::Sent { entry, result: Err(SendError::NobodyHere.into()) });
        }
        let states = self.members.iter().map(|peer_id| (peer_id.clone(), DeliveryState::Queued)).collect();
        self.taken.push(Taken { entry, states });
        let id = MessageId(self.taken.len() as u64);
        for peer_id in self.members.clone() {
            self.events.push_back(receipt(id, &peer_id, DeliveryState::Queued));
        }
        self.answers.push_back(AppEvent::Sent { entry, result: Ok(id) });
    }

    /// The link with one peer does its next step for its oldest text.
    fn advance(&mut self, which: usize) {
        if self.members.is_empty() {
            return;
        }
        let peer_id = self.members[which % self.members.len()].clone();
        for (number, text) in (1..).zip(&mut self.taken) {
            let Some(state) = text.states.get_mut(&peer_id) else { continue };
            *state = match *state {
                DeliveryState::Queued => DeliveryState::Sent,
                DeliveryState::Sent => DeliveryState::Delivered,
                _ => continue,
            };
            return self.events.push_back(receipt(MessageId(number), &peer_id, *state));
        }
    }

    /// The link with a peer ends: what it has not delivered has failed.
    fn lose(&mut self, peer_id: &PeerId) {
        for (number, text) in (1..).zip(&mut self.taken) {
            if let Some(state) =
                text.states.get_mut(peer_id).filter(|state| **state < DeliveryState::Delivered)
            {
                *state = DeliveryState::Failed;
                self.events.push_back(receipt(MessageId(number), peer_id, *state));
            }
        }
    }

    /// The room comes to rest: everybody gets everything, or goes, or we are removed.
    fn finish(&mut self, end: End) {
        match end {
            End::Delivered => {
                (0..self.asked.len()).for_each(|_| self.take());
                let steps = 2 * self.taken.len();
                for which in 0..self.members.len() {
                    (0..steps).for_each(|_| self.advance(which));
                }
            }
            End::AllLeft => {
                (0..self.asked.len()).for_each(|_| self.take());
                (0..self.members.len()).for_each(|_| self.run(Step::Leave(0)));
            }
            End::Removed => {
                self.members.clone().iter().for_each(|peer_id| self.lose(peer_id));
                let asked = std::mem::take(&mut self.asked);
                self.refused.extend(&asked);
                let refuse = |entry| AppEvent::Sent { entry, result: Err(SendError::Ended.into()) };
                self.answers.extend(asked.into_iter().map(refuse));
                self.pending.push_back(Event::Ended(EndReason::Removed { message: "be nice".into() }));
            }
        }
        self.events.append(&mut self.pending);
    }

    /// Every text is shown as it fared.
    fn check(&self) -> Result<(), TestCaseError> {
        for entry in &self.refused {
            prop_assert_eq!(self.bench.delivery(*entry), DeliveryState::Failed);
        }
        for Taken { entry, states } in &self.taken {
            let Body::Said(Said { delivery: Some(shown), .. }) =
                &self.bench.app.transcript().get(*entry).unwrap().body
            else {
                panic!("an own text has a delivery")
            };
            let delivered = states.values().filter(|state| **state == DeliveryState::Delivered).count();
            prop_assert_eq!(shown.delivered(), delivered, "{:?} {:?}", shown, states);
            let all = delivered == shown.receivers();
            let expected = if all { DeliveryState::Delivered } else { DeliveryState::Failed };
            prop_assert_eq!(shown.state(), expected, "{:?} {:?}", shown, states);
        }
        prop_assert_eq!(self.bench.app.undelivered(), 0);
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum End {
    Delivered,
    AllLeft,
    Removed,
}

fn receipt(message_id: MessageId, peer_id: &PeerId, state: DeliveryState) -> Event {
    Event::Receipt { message_id, peer_id: peer_id.clone(), state }
}

proptest! {
    #[test]
    fn every_text_ends_in_the_state_that_is_true(
        steps in prop::collection::vec(step(), 0..60),
        end in prop::sample::select(&[End::Delivered, End::AllLeft, End::Removed]),
        reads in prop::collection::vec(any::<bool>(), 60),
    ) {
        let mut model = Model::new();
        steps.into_iter().for_each(|step| model.run(step));
        model.finish(end);
        let mut reads = reads.into_iter().cycle();
        while !(model.events.is_empty() && model.answers.is_empty()) {
            model.run(if reads.next().unwrap() { Step::ReadEvent } else { Step::ReadAnswer });
            // Neither way is starved for ever.
            model.run(if model.events.is_empty() { Step::ReadAnswer } else { Step::ReadEvent });
        }
        model.check()?;
    }
}

#[test]
fn who_left_before_the_room_took_the_text_has_not_got_it() {
    let mut bench = Bench::with(vec![peer("bbbb1111", "bo"), peer("cccc1111", "cy")]);
    let gone = || Event::PeerLeft { peer_id: id("cccc1111"), reason: LeaveReason::Left };
    for news_first in [true, false] {
        bench.room(Event::PeerJoined(peer("cccc1111", "cy")));
        let entry = sent_entry(&bench.enter("hello"));
        let number = bench.app.transcript().next_id().0;
        if news_first {
            bench.room(gone());
        }
        bench.event(AppEvent::Sent { entry, result: Ok(MessageId(number)) });
        bench.receipt(number, "bbbb1111", DeliveryState::Delivered);
        if !news_first {
            bench.room(gone());
        }
        assert_eq!(bench.delivery(entry), DeliveryState::Failed, "not for ever on its way to cy");
    }
    assert_eq!(bench.app.undelivered(), 0);
}

#[test]
fn who_came_before_the_room_took_the_text_is_one_of_its_receivers() {
    let mut bench = Bench::pair();
    let entry = sent_entry(&bench.enter("hello"));
    bench.event(AppEvent::Sent { entry, result: Ok(MessageId(1)) });
    bench.receipt(1, "bbbb1111", DeliveryState::Delivered);
    assert_eq!(bench.delivery(entry), DeliveryState::Delivered);
    bench.receipt(1, "cccc1111", DeliveryState::Queued);
    assert_eq!((bench.delivery(entry), bench.app.undelivered()), (DeliveryState::Queued, 1));
    bench.receipt(1, "cccc1111", DeliveryState::Failed);
    assert_eq!((bench.delivery(entry), bench.app.undelivered()), (DeliveryState::Failed, 0));
}

#[test]
fn a_text_that_the_room_took_as_it_ended_has_failed_also_without_a_receipt() {
    let mut bench = Bench::pair();
    let entry = sent_entry(&bench.enter("hello"));
    bench.room(Event::Ended(EndReason::Removed { message: "be nice".into() }));
    bench.event(AppEvent::Sent { entry, result: Ok(MessageId(1)) });
    assert_eq!((bench.delivery(entry), bench.app.undelivered()), (DeliveryState::Failed, 0));
}
