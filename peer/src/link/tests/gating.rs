//! What becomes of descriptions and payloads that are not as they should be, and who forgives whom.

use parking_lot::Mutex;
use patchcord_proto::v1::{
    SealedPayload, SealedRefusal, SealedRequest, sealed_payload::Payload, sealed_refusal::Reason,
};
use prost::Message as _;

use super::{super::handle::SEALED_BURST, *};
use crate::{
    Shown,
    seal::{Code, Guesses},
};

/// An offer of a connection of its own.
async fn offer() -> String {
    let mut connection = Connection::new(&on_loopback(IceTransportPolicy::All)).await.unwrap();
    connection.describe(DescriptionKind::Offer).await.unwrap()
}

impl End {
    async fn offered(&self, sdp: String) {
        self.command(Command::Description { kind: DescriptionKind::Offer, sdp }).await;
    }

    /// What it is, and what was told of it, when everything until now is done.
    async fn settled(&mut self) -> (ConnectionState, Vec<Event>) {
        let (report_tx, report) = oneshot::channel();
        self.command(Command::Report(report_tx)).await;
        let state = tokio::time::timeout(PATIENCE, report).await.unwrap().unwrap().state;
        (state, std::iter::from_fn(|| self.events.try_recv().ok()).collect())
    }
}

fn problems(events: &[Event], wanted: ProblemCode) -> usize {
    events.iter().filter(|event| matches!(event, Event::Problem { code, .. } if *code == wanted)).count()
}

#[tokio::test]
async fn a_third_description_that_the_engine_refuses_is_the_last_until_the_user_connects_again() {
    // It gives way when both offer.
    let mut a = end("a", "b", PATIENCE);
    let honest = offer().await;
    // The gate has no opinion about times.
    let refused = honest.replace("t=0 0\r\n", "t=now\r\n");
    assert!(refused != honest && crate::sdp_gate::check(&refused).is_ok());
    for _ in 0..3 {
        a.offered(refused.clone()).await;
    }
    let (state, events) = a.settled().await;
    assert_eq!((state, problems(&events, ProblemCode::PeerMisbehaved)), (ConnectionState::Failed, 3));
    a.offered(honest.clone()).await;
    assert_eq!(a.settled().await.0, ConnectionState::Failed, "it is not answered any more");
    // A policy's wish, as after the server came back.
    a.command(Command::Connect).await;
    a.offered(refused.clone()).await;
    let (state, events) = a.settled().await;
    assert_eq!((state, problems(&events, ProblemCode::PeerMisbehaved)), (ConnectionState::Connecting, 0));
    // The user's.
    a.command(Command::Refuse(false)).await;
    a.offered(refused).await;
    let (state, events) = a.settled().await;
    assert_eq!((state, problems(&events, ProblemCode::PeerMisbehaved)), (ConnectionState::Failed, 1));
    a.offered(honest).await;
    assert_eq!(a.settled().await.0, ConnectionState::Connecting);
}

fn sealed(payload: Payload) -> Command {
    Command::Sealed(SealedPayload { payload: Some(payload) }.encode_to_vec().into())
}

fn refusal() -> Command {
    sealed(Payload::Refusal(SealedRefusal { session_id: Bytes::new(), reason: Reason::OtherWords.into() }))
}

#[tokio::test]
async fn whoever_knows_the_locator_alone_is_told_of_once_and_answered_at_a_rate() {
    let mut a = end_changed("a", "b", PATIENCE, on_loopback(IceTransportPolicy::All), |context| {
        let code = Code::generate().unwrap();
        context.seal = Some(SealContext { code, guesses: Arc::new(Mutex::new(Guesses::default())) });
    });
    for _ in 0..20 {
        a.command(refusal()).await;
    }
    assert_eq!(problems(&a.settled().await.1, ProblemCode::OtherCode), 1);
    a.command(Command::Refuse(false)).await;
    a.command(refusal()).await;
    assert_eq!(problems(&a.settled().await.1, ProblemCode::OtherCode), 1, "and again when the user wants it");

    let mut answers = 0;
    for _ in 0..2 * SEALED_BURST {
        a.command(sealed(Payload::Request(SealedRequest {}))).await;
        while let Ok((_, notice)) = a.notices.try_recv() {
            answers += usize::from(matches!(notice, Notice::Sealed(_)));
        }
    }
    a.settled().await;
    // A token comes back every quarter of a second.
    assert!((1..=SEALED_BURST as usize + 40).contains(&answers), "{answers} answers");
}

#[tokio::test]
async fn only_a_description_that_is_used_says_whom_packets_go_to() {
    let config = on_loopback(IceTransportPolicy::All);
    let known = config.certificate.fingerprint();
    let (id, peer, context, _events, _notices) = beginning("a", "b", PATIENCE, config);
    let mut link = Link::new(&id, peer, context);
    link.standing.known = true;
    let (peer_id, display_name) = (link.peer_id.clone(), link.peer.display_name.clone());
    link.standing.shown = Some(Shown { peer_id, display_name, key: None, certificate: known });
    link.keep_to_trust().await;
    let trusts = |link: &Link| (link.named.is_none(), link.context.connection.verified);
    let other = offer().await;
    link.refused = true;
    link.remote_description(DescriptionKind::Offer, other.clone()).await;
    link.remote_description(DescriptionKind::Answer, other.clone()).await;
    assert_eq!(trusts(&link), (true, true), "it was ignored");
    link.refused = false;
    link.remote_description(DescriptionKind::Offer, other.clone()).await;
    assert_eq!(trusts(&link), (false, false), "another certificate than the one that is known");
    link.close(ConnectionState::Closed).await;
    link.connect().await;
    assert_eq!(trusts(&link), (true, true), "nobody has named another yet");
    // An answer to some other offer.
    let elsewhere = format!("{other}a=x-patchcord-answers:elsewhere\r\n");
    link.remote_description(DescriptionKind::Answer, elsewhere).await;
    assert_eq!(trusts(&link), (true, true));
    let answer = other.replace("a=setup:actpass", "a=setup:active");
    link.remote_description(DescriptionKind::Answer, answer).await;
    assert_eq!(trusts(&link), (false, false));
}
