//! An answer that was lost, of which only the one who gave it knows.

use super::*;

#[test]
fn an_offer_in_place_of_an_answer_that_was_lost_is_answered_whoever_is_polite() {
    let offer = |sdp: &str| Input::LocalDescription { kind: DescriptionKind::Offer, sdp: sdp.into() };
    let received = |sdp: &str| Input::RemoteDescription { kind: DescriptionKind::Offer, sdp: sdp.into() };
    for polite in [true, false] {
        let (mut a, mut b) = (Negotiation::new(!polite, 8), Negotiation::new(polite, 8));
        a.handle(Input::Connect);
        a.handle(offer("a=ice-ufrag:a\r\n"));
        b.handle(received("a=ice-ufrag:a\r\n"));
        b.handle(Input::LocalDescription { kind: DescriptionKind::Answer, sdp: "a=ice-ufrag:b\r\n".into() });
        // The answer is lost, and only b knows.
        let mut b = b.successor();
        b.handle(Input::Connect);
        let [Output::SendDescription { sdp, .. }] = &b.handle(offer("a=ice-ufrag:c\r\n"))[..] else {
            panic!("an offer is sent")
        };
        let outputs = a.handle(received(sdp));
        assert_eq!((outputs.first(), outputs.last()), (Some(&Output::Rollback), Some(&Output::CreateAnswer)));
        // An offer in answer to another is an offer like any.
        let mut other = Negotiation::new(false, 8);
        other.handle(Input::Connect);
        other.handle(offer("a=ice-ufrag:other\r\n"));
        assert_eq!(other.handle(received(sdp)), []);
    }
}
