//! A peer that has a channel and breaks the rules on it, in a real room of a real server: it is disconnected with a reason,
//! and the others go on.

use patchcord_proto::v1::{
    self, ChatFrame, SignalRequest, SignalResponse,
    chat_frame::Frame,
    signal_request::{Candidate as SayCandidate, Join, Message as Ask, Offer},
    signal_response::Message as Told,
    signaling_service_client::SignalingServiceClient,
};
use patchcord_server::{Allowances, Listeners, serve};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::{Config, Recipients, Room};

async fn server() -> String {
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", public.local_addr().unwrap());
    let config = patchcord_server::Config {
        no_admin: true,
        allowances: Allowances::unlimited(),
        ..patchcord_server::Config::default()
    };
    tokio::spawn(serve(config, Listeners { public, admin: None }, std::future::pending()));
    url
}

struct Member {
    room: Room,
    events: mpsc::Receiver<Event>,
}

impl Member {
    async fn join(url: &str, name: &str) -> Self {
        let local_addresses = vec![std::net::Ipv4Addr::LOCALHOST.into()];
        let config = Config { local_addresses, ..Config::new(url, "room", name) };
        let (room, events) = Room::join(config).await.unwrap();
        Self { room, events }
    }

    async fn until(&mut self, mut wanted: impl FnMut(&Event) -> bool) -> Event {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the room is not over");
                if wanted(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("the event comes")
    }

    async fn until_open(&mut self) {
        self.until(|event| matches!(event, Event::ChannelOpen { .. })).await;
    }

    async fn says(&mut self, text: &str, to: &mut Self) {
        self.room.send(Recipients::Everybody, TextKind::Plain, text).await.unwrap();
        to.until(|event| matches!(event, Event::Message(message) if message.text.as_raw() == text)).await;
    }

    /// That the peer was disconnected, and why.
    async fn reason(&mut self) -> String {
        let is_reason =
            |event: &Event| matches!(event, Event::Problem { code: ProblemCode::PeerMisbehaved, .. });
        let Event::Problem { message, .. } = self.until(is_reason).await else { unreachable!() };
        message
    }
}

/// Our own connection in the hands of somebody else.
struct Hostile {
    connection: Connection,
    _requests: mpsc::Sender<SignalRequest>,
    _responses: tonic::Streaming<SignalResponse>,
}

impl Hostile {
    /// Joins and opens a channel to whoever is called `victim`; `describe` has the last word on its offer.
    async fn join(url: &str, victim: &str, describe: fn(String) -> String) -> Self {
        let (requests, stream) = mpsc::channel(256);
        let mut client = SignalingServiceClient::connect(url.to_owned()).await.unwrap();
        let join = Join { room: "room".into(), display_name: "mallory".into(), ..Join::default() };
        let ask = |message| SignalRequest { seq: 0, ack: 0, message: Some(message) };
        requests.send(ask(Ask::Join(join))).await.unwrap();
        let mut responses = client.signal(ReceiverStream::new(stream)).await.unwrap().into_inner();
        let joined = responses.message().await.unwrap().unwrap().message;
        let Some(Told::Joined(joined)) = joined else { panic!("not joined: {joined:?}") };
        let to = joined.peers.iter().find(|peer| peer.display_name == victim).unwrap().peer_id.clone();
        let mut connection = Connection::new(&on_loopback(IceTransportPolicy::All)).await.unwrap();
        let sdp = describe(connection.describe(DescriptionKind::Offer).await.unwrap());
        requests.send(ask(Ask::Offer(Offer { to_peer_id: to.clone(), sdp }))).await.unwrap();
        let open = async {
            loop {
                tokio::select! {
                    response = responses.message() => match response.unwrap().unwrap().message {
                        Some(Told::Answer(answer)) => {
                            connection.set_remote(DescriptionKind::Answer, answer.sdp).await.unwrap();
                        }
                        Some(Told::Candidate(candidate)) => {
                            let candidate = Candidate { candidate: candidate.candidate, ..Candidate::default() };
                            let _ = connection.add_candidate(candidate).await;
                        }
                        _ => {}
                    },
                    event = connection.next_event(true) => match event {
                        ConnectionEvent::LocalCandidate(candidate) => {
                            let to_peer_id = to.clone();
                            let candidate = candidate.candidate;
                            let say = SayCandidate { to_peer_id, candidate, ..SayCandidate::default() };
                            requests.send(ask(Ask::Candidate(say))).await.unwrap();
                        }
                        ConnectionEvent::ChannelOpen => return,
                        _ => {}
                    },
                }
            }
        };
        tokio::time::timeout(PATIENCE, open).await.expect("the channel opens");
        let hostile = Self { connection, _requests: requests, _responses: responses };
        let hello = v1::ChatHello {
            session_id: vec![7; 16].into(),
            display_name: "mallory".into(),
            ..v1::ChatHello::default()
        };
        assert!(hostile.says(Frame::Hello(hello)).await);
        hostile
    }

    /// Whether the channel takes it.
    async fn sends(&self, frame: impl Into<Bytes>) -> bool {
        let channel = self.connection.channel();
        // A channel that the other side closed may take for ever.
        let sent = async { channel.writable().await.is_ok() && channel.send(frame.into()).await.is_ok() };
        tokio::time::timeout(Duration::from_secs(5), sent).await.unwrap_or(false)
    }

    async fn says(&self, frame: Frame) -> bool {
        self.sends(ChatFrame { frame: Some(frame) }.encode_to_vec()).await
    }

    fn text(seq: u64) -> Frame {
        Frame::Text(v1::ChatText { seq, text: "x".repeat(2000), message_id: seq, ..v1::ChatText::default() })
    }
}

/// The reason that the victim gives for disconnecting whoever does this, after which it goes on chatting with a friend.
async fn disconnects(describe: fn(String) -> String, attack: impl AsyncFnOnce(&Hostile)) -> String {
    let url = server().await;
    let (mut ana, mut bo) = (Member::join(&url, "ana").await, Member::join(&url, "bo").await);
    tokio::join!(ana.until_open(), bo.until_open());
    let hostile = Hostile::join(&url, "ana", describe).await;
    ana.until_open().await;
    let (reason, ()) = tokio::join!(ana.reason(), attack(&hostile));
    bo.says("still here", &mut ana).await;
    ana.says("so am I", &mut bo).await;
    reason
}

fn as_it_is(sdp: String) -> String {
    sdp
}

#[tokio::test]
async fn a_frame_over_its_limit_ends_the_channel_with_the_reason() {
    for bytes in [16 * 1024 + 1, 64 * 1024] {
        let reason =
            disconnects(as_it_is, async |hostile| assert!(hostile.sends(vec![0; bytes]).await)).await;
        assert!(reason.contains(&format!("a frame of {bytes} bytes, more than 16384")), "{reason}");
    }
}

#[tokio::test]
async fn what_is_too_long_for_the_engine_is_missed_by_the_next_text() {
    // The engine takes messages up to what both sides say, and drops longer ones without a word.
    let describe = |sdp: String| {
        let mut lines: Vec<&str> =
            sdp.lines().filter(|line| !line.starts_with("a=max-message-size")).collect();
        lines.push("a=max-message-size:1024\r\n");
        lines.join("\r\n")
    };
    let reason = disconnects(describe, async |hostile| {
        assert!(hostile.says(Hostile::text(1)).await);
        let short = v1::ChatText { seq: 2, text: "x".into(), message_id: 2, ..v1::ChatText::default() };
        assert!(hostile.says(Frame::Text(short)).await);
    })
    .await;
    assert!(reason.contains("text 2 where 1 was due"), "{reason}");
}

#[tokio::test]
async fn a_frame_that_does_not_decode_ends_the_channel() {
    let reason = disconnects(as_it_is, async |hostile| assert!(hostile.sends(vec![0xff; 100]).await)).await;
    assert!(reason.contains("a frame that does not decode"), "{reason}");
}

#[tokio::test]
async fn floods_of_frames_that_change_or_bring_nothing_end_the_channel() {
    let typing = || Frame::Typing(v1::ChatTyping { active: true });
    let receipt = || Frame::Receipt(v1::ChatReceipt { through_seq: 0 });
    let bye = || Frame::Bye(v1::ChatBye { last_seq: 0 });
    let floods: [(&dyn Fn() -> Frame, &str); 3] =
        [(&typing, "changes too often"), (&receipt, "means nothing"), (&bye, "changes too often")];
    for (flood, expected) in floods {
        let reason = disconnects(as_it_is, async |hostile| {
            let mut sent = 0;
            while sent < 20_000 && hostile.says(flood()).await {
                sent += 1;
            }
        })
        .await;
        assert!(reason.contains(expected), "{reason}");
    }
    let unknown =
        disconnects(as_it_is, async |hostile| while hostile.sends(vec![0xf8, 0x7f, 1]).await {}).await;
    assert!(unknown.contains("means nothing"), "{unknown}");
}

#[tokio::test]
async fn a_flood_of_texts_waits_for_the_user_and_does_not_keep_others_from_being_heard() {
    const TEXTS: u64 = 5000;
    let url = server().await;
    let (mut ana, mut bo) = (Member::join(&url, "ana").await, Member::join(&url, "bo").await);
    tokio::join!(ana.until_open(), bo.until_open());
    let hostile = Hostile::join(&url, "ana", as_it_is).await;
    ana.until_open().await;
    let flood = async {
        for seq in 1..=TEXTS {
            // It waits when nobody reads: what is buffered has a limit.
            let channel = hostile.connection.channel();
            if channel.writable().await.is_err()
                || channel
                    .send(ChatFrame { frame: Some(Hostile::text(seq)) }.encode_to_vec().into())
                    .await
                    .is_err()
            {
                return;
            }
        }
    };
    let others = async {
        for number in 0..20 {
            bo.says(&format!("number {number}"), &mut ana).await;
        }
    };
    tokio::select! {
        () = async { tokio::join!(flood, std::future::pending::<()>()); } => {}
        () = others => {}
    }
}
