//! ICE restarts of two connections whose negotiation decides as in a link.

use super::*;
use crate::negotiation::{Input, Negotiation, Output};

/// Messages on their way from one side to the other; a test may lose some.
type Wire = VecDeque<Input>;

struct Side {
    negotiation: Negotiation,
    connection: Connection,
    fragments: Vec<String>,
    heard: Vec<Bytes>,
    states: Vec<ConnectionState>,
}

impl Side {
    async fn new(polite: bool) -> Self {
        Self {
            negotiation: Negotiation::new(polite, 64),
            connection: connection().await,
            fragments: Vec::new(),
            heard: Vec::new(),
            states: Vec::new(),
        }
    }

    async fn feed(&mut self, input: Input, wire: &mut Wire) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            for output in self.negotiation.handle(input) {
                let connection = &mut self.connection;
                match output {
                    Output::CreateOffer => {
                        let kind = DescriptionKind::Offer;
                        next = Some(Input::LocalDescription {
                            kind,
                            sdp: connection.describe(kind).await.unwrap(),
                        });
                    }
                    Output::CreateAnswer => {
                        let kind = DescriptionKind::Answer;
                        next = Some(Input::LocalDescription {
                            kind,
                            sdp: connection.describe(kind).await.unwrap(),
                        });
                    }
                    Output::RestartIce => connection.restart_ice(),
                    Output::Rollback => connection.rollback().await.unwrap(),
                    Output::SetRemoteDescription { kind, sdp } => {
                        connection.set_remote(kind, sdp).await.unwrap();
                    }
                    Output::AddCandidate(candidate) => connection.add_candidate(candidate).await.unwrap(),
                    Output::SendDescription { kind, sdp } => {
                        self.fragments.extend(username_fragments(&sdp));
                        wire.push_back(Input::RemoteDescription { kind, sdp });
                    }
                    Output::SendCandidate(candidate) => wire.push_back(Input::RemoteCandidate(candidate)),
                }
            }
        }
    }

    async fn tell(&mut self, event: ConnectionEvent, wire: &mut Wire) {
        match event {
            ConnectionEvent::LocalCandidate(candidate) => {
                self.feed(Input::LocalCandidate(candidate), wire).await;
            }
            ConnectionEvent::ChannelMessage(message) => self.heard.push(message),
            ConnectionEvent::State(state) => self.states.push(state),
            ConnectionEvent::ChannelClosed | ConnectionEvent::Stopped => panic!("the channel is gone"),
            _ => {}
        }
    }

    async fn say(&self, text: &'static str) {
        self.connection.channel().send(Bytes::from_static(text.as_bytes())).await.unwrap();
    }

    fn has_heard(&self, text: &str) -> bool {
        self.heard.iter().any(|heard| heard == text)
    }
}

struct Two {
    sides: [Side; 2],
    /// To each side.
    wires: [Wire; 2],
}

impl Two {
    /// With an open channel.
    async fn open() -> Self {
        let mut two =
            Self { sides: [Side::new(true).await, Side::new(false).await], wires: Default::default() };
        two.input(0, Input::Connect).await;
        let open = |two: &Self| two.sides.iter().all(|side| side.connection.channel_open.load(Relaxed));
        two.run(open).await;
        two
    }

    async fn input(&mut self, who: usize, input: Input) {
        self.sides[who].feed(input, &mut self.wires[1 - who]).await;
    }

    async fn deliver(&mut self, who: usize) -> bool {
        let Some(input) = self.wires[who].pop_front() else { return false };
        self.input(who, input).await;
        true
    }

    async fn run(&mut self, done: impl Fn(&Self) -> bool) {
        let begun = tokio::time::Instant::now();
        while !done(self) {
            if self.deliver(0).await | self.deliver(1).await {
                continue;
            }
            let [a, b] = &mut self.sides;
            let event = async {
                tokio::select! {
                    event = a.connection.next_event(true) => (0, event),
                    event = b.connection.next_event(true) => (1, event),
                }
            };
            let Ok((who, event)) = tokio::time::timeout_at(begun + PATIENCE, event).await else {
                panic!("states {:?} and {:?}", self.sides[0].states, self.sides[1].states);
            };
            self.sides[who].tell(event, &mut self.wires[1 - who]).await;
        }
    }

    /// Both ways, which needs a new pair: a restart forgets the old one.
    async fn talk(&mut self, text: &'static str) {
        self.sides[0].say(text).await;
        self.sides[1].say(text).await;
        self.run(|two| two.sides.iter().all(|side| side.has_heard(text))).await;
    }

    fn generations(&self) -> [usize; 2] {
        [0, 1].map(|who| {
            let mut fragments = self.sides[who].fragments.clone();
            fragments.sort();
            fragments.dedup();
            fragments.len()
        })
    }
}

#[tokio::test]
async fn a_restart_of_either_side_takes_both_to_new_sockets() {
    for who in [0, 1] {
        let mut two = Two::open().await;
        two.input(who, Input::Restart).await;
        two.talk("after").await;
        assert_eq!(two.generations(), [2, 2]);
        for side in &two.sides {
            assert!(side.negotiation.local_candidates() > 0, "no candidates of the new generation");
            assert_eq!(side.states.last(), Some(&ConnectionState::Connected));
        }
    }
}

#[tokio::test]
async fn both_sides_may_restart_at_once_again_and_again() {
    let mut two = Two::open().await;
    for text in ["first", "second", "third"] {
        two.input(0, Input::Restart).await;
        two.input(1, Input::Restart).await;
        two.talk(text).await;
    }
}

#[tokio::test]
async fn a_restart_whose_answer_is_lost_is_made_good_by_another() {
    for who in [0, 1] {
        let mut two = Two::open().await;
        two.input(who, Input::Restart).await;
        assert!(two.deliver(1 - who).await, "the offer");
        let is_answer =
            |input: &Input| matches!(input, Input::RemoteDescription { kind: DescriptionKind::Answer, .. });
        assert!(two.wires[who].iter().any(is_answer), "{:?}", two.wires[who]);
        two.wires[who].retain(|input| !is_answer(input));
        two.input(who, Input::Restart).await;
        two.talk("after").await;
    }
}

#[tokio::test]
async fn the_answer_to_a_restart_that_was_replaced_does_no_harm() {
    for who in [0, 1] {
        let mut two = Two::open().await;
        two.input(who, Input::Restart).await;
        two.input(who, Input::Restart).await;
        two.talk("after").await;
    }
}
