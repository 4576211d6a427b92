//! A server that does not pass on what a negotiation says, because its receiver does not read.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that fails by unwrap has failed as it should")]

mod support;

use patchcord_peer::{Config, ConnectPolicy, ConnectionStep, Event, ProblemCode};
use patchcord_proto::v1::{
    SignalRequest,
    signal_request::{self as request, Message},
    signal_response::{self as response, rejected::Code},
    signaling_service_client::SignalingServiceClient,
};
use support::{Member, PATIENCE, Server, wire::Wire};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// What is on its way to somebody who does not read may be this much before the server's own outbox fills.
const REQUESTS_MAX: u64 = 2_000;

/// Joins and writes to `to_peer_id` until the server takes no more for it.
async fn fill_outbox_of(to_peer_id: &str, server: &Server) -> impl Sized {
    let (requests, request_rx) = mpsc::channel(1);
    let mut client = SignalingServiceClient::connect(server.url.clone()).await.unwrap();
    let join =
        request::Join { room: "lobby".into(), display_name: "filler".into(), ..request::Join::default() };
    requests.send(SignalRequest { seq: 1, ack: 0, message: Some(Message::Join(join)) }).await.unwrap();
    let mut responses = client.signal(ReceiverStream::new(request_rx)).await.unwrap().into_inner();
    let offer = request::Offer { to_peer_id: to_peer_id.into(), sdp: "x".repeat(16 * 1024) };
    let end = request::Candidate { to_peer_id: to_peer_id.into(), ..request::Candidate::default() };
    let filling = async {
        // By the largest that there is, and then by the smallest: nothing fits in between.
        let mut filling = Message::Offer(offer);
        let (mut seq, mut small_from) = (1, None);
        loop {
            tokio::select! {
                Ok(Some(told)) = responses.message() => match told.message {
                    Some(response::Message::Rejected(rejected)) => {
                        assert_eq!(rejected.code(), Code::PeerBusy, "{rejected:?}");
                        if small_from.is_some_and(|small_from| rejected.request_seq >= small_from) {
                            return;
                        }
                        if small_from.is_none() {
                            small_from = Some(seq + 1);
                            filling = Message::Candidate(end.clone());
                        }
                    }
                    _ => continue,
                },
                permit = requests.reserve(), if seq < REQUESTS_MAX => {
                    seq += 1;
                    permit.unwrap().send(SignalRequest { seq, ack: 0, message: Some(filling.clone()) });
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, filling).await.expect("the outbox fills");
    (requests, responses)
}

#[tokio::test]
async fn an_offer_that_the_server_could_not_pass_on_is_made_again_and_the_pair_connects() {
    let server = Server::start().await;
    let wire = Wire::to(&server.url).await;
    let mut ana = Member::join(Config { server: wire.url.clone(), ..server.config("lobby", "ana") }).await;
    // Begins only when told, so that nothing but its offer is in question.
    let manual = Config { connect_policy: ConnectPolicy::Manual, ..server.config("lobby", "bo") };
    let mut bo = Member::join(manual).await;
    let (ana_id, bo_id) = (ana.id(), bo.id());
    let silence = wire.silence();
    let filler = fill_outbox_of(ana_id.as_str(), &server).await;
    bo.room.connect(ana_id.clone()).await.unwrap();
    let refused = async {
        loop {
            let reports = bo.room.connections().await;
            let steps = reports.iter().flat_map(|report| &report.timeline);
            if steps.into_iter().any(|entry| matches!(entry.step, ConnectionStep::NotRelayed(_))) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the offer is refused");
    drop((silence, filler));
    bo.until_open(&ana_id).await;
    ana.until_open(&bo_id).await;
    let is_rejection = |event: &Event| matches!(event, Event::Problem { code: ProblemCode::Rejected, .. });
    assert!(!bo.seen.iter().any(is_rejection), "what heals by itself is no problem: {:?}", bo.seen);
}
