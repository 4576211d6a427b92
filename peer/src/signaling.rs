//! The gRPC stream to the server: opens it, numbers and acknowledges what goes over it, and turns the
//! contract's messages into our own types. Protobuf and gRPC end here.

use std::time::{Duration, SystemTime};

use patchcord_proto::{
    limits::SIGNAL_RESPONSE_BYTES_MAX,
    v1::{
        self, SignalRequest, SignalResponse, signal_request as request, signal_response as response,
        signaling_service_client::SignalingServiceClient,
    },
};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::{
    Config, IceServer, JoinError, LeaveReason, Peer, PeerId, Untrusted,
    endpoint::{NoWay, connect, printable},
    negotiation::{Candidate, DescriptionKind},
};

/// Requests that wait for the stream. When full the server does not take what we send.
const REQUESTS_MAX: usize = 256;

/// Responses that wait for the room; beyond, the stream is not read and the server's outbox fills.
const RESPONSES_MAX: usize = 64;

/// A bare acknowledgement goes out after this many responses or this long, if no request carried it.
const UNACKNOWLEDGED_MAX: u64 = 16;
const ACKNOWLEDGE_AFTER: Duration = Duration::from_millis(250);

/// What the server answered to our join.
pub(crate) struct Joined {
    pub peer_id: PeerId,
    pub peers: Vec<Peer>,
    pub ice_servers: Vec<IceServer>,
    pub server: String,
}

#[derive(Debug)]
pub(crate) enum SignalingEvent {
    PeerJoined(Peer),
    PeerUpdated(Peer),
    PeerLeft {
        peer_id: PeerId,
        reason: LeaveReason,
    },
    Description {
        from: PeerId,
        kind: DescriptionKind,
        sdp: String,
    },
    Candidate {
        from: PeerId,
        candidate: Candidate,
    },
    Rejected {
        code: response::rejected::Code,
        message: String,
    },
    IceServers(Vec<IceServer>),
    /// We were removed and must stay away.
    Removed {
        message: String,
    },
    /// The stream is over; nothing follows. The reason is free of control characters.
    Ended {
        reason: String,
    },
}

/// The room's end of the stream.
#[derive(Clone)]
pub(crate) struct Signaling {
    requests: mpsc::Sender<request::Message>,
}

impl Signaling {
    /// Opens a stream and joins `config.room`.
    pub(crate) async fn join(
        config: &Config,
    ) -> Result<(Self, Joined, mpsc::Receiver<SignalingEvent>), JoinError> {
        tokio::time::timeout(config.join_timeout, Self::open(config)).await.unwrap_or_else(|_| {
            Err(JoinError::Timeout { url: config.server.clone(), timeout: config.join_timeout })
        })
    }

    async fn open(config: &Config) -> Result<(Self, Joined, mpsc::Receiver<SignalingEvent>), JoinError> {
        let url = || config.server.clone();
        let channel =
            connect(&config.server, config.ca_certificate.as_ref()).await.map_err(|no_way| match no_way {
                NoWay::InvalidUrl => JoinError::InvalidServer { url: url() },
                NoWay::Tls(reason) => JoinError::Unreachable { url: url(), reason },
                NoWay::Network(reason) => {
                    let reason = format!("{reason}; is the server running and the address right?");
                    JoinError::Unreachable { url: url(), reason }
                }
            })?;
        let (stream_tx, stream_rx) = mpsc::channel(1);
        let mut stream = Stream { requests: stream_tx, seq: 0, handled_seq: 0, acknowledged_seq: 0 };
        stream.send(join_request(config)).await;
        let ended = |status: tonic::Status| JoinError::StreamEnded {
            url: config.server.clone(),
            reason: describe(&status),
        };
        let mut responses = SignalingServiceClient::new(channel)
            .max_decoding_message_size(SIGNAL_RESPONSE_BYTES_MAX)
            .signal(ReceiverStream::new(stream_rx))
            .await
            .map_err(ended)?
            .into_inner();
        let first = responses.message().await.map_err(ended)?;
        stream.handled_seq = first.as_ref().map_or(0, |first| first.seq);
        let joined = match first.and_then(|first| first.message) {
            Some(response::Message::Joined(joined)) => parse_joined(joined),
            Some(response::Message::Rejected(rejected)) => {
                return Err(JoinError::Refused {
                    code: rejected.code(),
                    message: printable(&rejected.message),
                    retryable: rejected.retryable,
                });
            }
            _ => None,
        };
        let joined = joined.ok_or_else(|| JoinError::StreamEnded {
            url: config.server.clone(),
            reason: "it did not answer the join as patchcord.v1 says".into(),
        })?;
        let (requests, request_rx) = mpsc::channel(REQUESTS_MAX);
        let (event_tx, events) = mpsc::channel(RESPONSES_MAX);
        tokio::spawn(stream.run(request_rx, responses, event_tx));
        Ok((Self { requests }, joined, events))
    }

    /// Takes a request without waiting; says no when the server does not take what we send, or is gone.
    pub(crate) fn try_send(&self, message: request::Message) -> bool {
        self.requests.try_send(message).is_ok()
    }
}

/// Our half of the stream and its numbers.
struct Stream {
    requests: mpsc::Sender<SignalRequest>,
    seq: u64,
    handled_seq: u64,
    acknowledged_seq: u64,
}

impl Stream {
    async fn send(&mut self, message: request::Message) -> bool {
        self.seq += 1;
        self.push(self.seq, Some(message)).await
    }

    async fn push(&mut self, seq: u64, message: Option<request::Message>) -> bool {
        self.acknowledged_seq = self.handled_seq;
        self.requests.send(SignalRequest { seq, ack: self.handled_seq, message }).await.is_ok()
    }

    async fn run(
        mut self,
        mut requests: mpsc::Receiver<request::Message>,
        mut responses: Streaming<SignalResponse>,
        events: mpsc::Sender<SignalingEvent>,
    ) {
        let mut acknowledge_at: Option<Instant> = None;
        let reason = loop {
            let unacknowledged = self.handled_seq - self.acknowledged_seq;
            if unacknowledged == 0 {
                acknowledge_at = None;
            } else if acknowledge_at.is_none() {
                acknowledge_at = Some(Instant::now() + ACKNOWLEDGE_AFTER);
            }
            tokio::select! {
                request = requests.recv() => match request {
                    Some(message) => {
                        // A closed stream is told by the response half, with its status.
                        self.send(message).await;
                    }
                    None => return,
                },
                response = responses.message() => match response {
                    Ok(Some(response)) => {
                        self.handled_seq = self.handled_seq.max(response.seq);
                        if let Some(event) = response.message.and_then(parse)
                            && events.send(event).await.is_err()
                        {
                            return;
                        }
                    }
                    Ok(None) => break "the server ended the stream".to_owned(),
                    Err(status) => break describe(&status),
                },
                () = sleep_until(acknowledge_at), if unacknowledged < UNACKNOWLEDGED_MAX => {
                    self.push(0, None).await;
                }
                () = std::future::ready(()), if unacknowledged >= UNACKNOWLEDGED_MAX => {
                    self.push(0, None).await;
                }
            }
        };
        // The room may be over.
        let _ = events.send(SignalingEvent::Ended { reason }).await;
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn join_request(config: &Config) -> request::Message {
    request::Message::Join(request::Join {
        room: config.room.clone(),
        display_name: config.display_name.clone(),
        user_agent: config.user_agent.clone(),
        access_token: String::new(),
    })
}

fn parse_joined(joined: response::Joined) -> Option<Joined> {
    Some(Joined {
        peer_id: PeerId::parse(&joined.peer_id)?,
        peers: joined.peers.into_iter().filter_map(parse_peer).collect(),
        ice_servers: joined.ice_servers.into_iter().map(parse_ice_server).collect(),
        server: printable(&joined.server),
    })
}

fn parse_peer(peer: v1::Peer) -> Option<Peer> {
    let joined_at = peer.joined_at.and_then(|at| SystemTime::try_from(at).ok());
    Some(Peer {
        id: PeerId::parse(&peer.peer_id)?,
        attached: peer.state() != v1::PeerState::Detached,
        display_name: Untrusted::new(peer.display_name),
        joined_at: joined_at.unwrap_or(SystemTime::UNIX_EPOCH),
    })
}

fn parse_ice_server(server: v1::IceServer) -> IceServer {
    IceServer { urls: server.urls, username: server.username, credential: server.credential }
}

/// What a response means to a room; none for one that it need not know or that a later version sent.
fn parse(message: response::Message) -> Option<SignalingEvent> {
    use response::Message;
    Some(match message {
        Message::PeerJoined(joined) => SignalingEvent::PeerJoined(parse_peer(joined.peer?)?),
        Message::PeerUpdated(updated) => SignalingEvent::PeerUpdated(parse_peer(updated.peer?)?),
        Message::PeerLeft(left) => SignalingEvent::PeerLeft {
            reason: leave_reason(left.reason()),
            peer_id: PeerId::parse(&left.peer_id)?,
        },
        Message::Offer(offer) => SignalingEvent::Description {
            from: PeerId::parse(&offer.from_peer_id)?,
            kind: DescriptionKind::Offer,
            sdp: offer.sdp,
        },
        Message::Answer(answer) => SignalingEvent::Description {
            from: PeerId::parse(&answer.from_peer_id)?,
            kind: DescriptionKind::Answer,
            sdp: answer.sdp,
        },
        Message::Candidate(candidate) => SignalingEvent::Candidate {
            from: PeerId::parse(&candidate.from_peer_id)?,
            candidate: Candidate {
                candidate: candidate.candidate,
                sdp_mid: candidate.sdp_mid,
                sdp_m_line_index: candidate.sdp_m_line_index,
                username_fragment: candidate.username_fragment,
            },
        },
        Message::Rejected(rejected) => {
            SignalingEvent::Rejected { code: rejected.code(), message: printable(&rejected.message) }
        }
        Message::IceServersUpdated(updated) => {
            SignalingEvent::IceServers(updated.ice_servers.into_iter().map(parse_ice_server).collect())
        }
        Message::GoAway(away) if away.action() == response::go_away::Action::Stop => {
            SignalingEvent::Removed { message: printable(&away.message) }
        }
        Message::GoAway(_)
        | Message::Joined(_)
        | Message::Resumed(_)
        | Message::Sealed(_)
        | Message::Pong(_) => return None,
    })
}

pub(crate) fn leave_reason(reason: v1::LeaveReason) -> LeaveReason {
    match reason {
        v1::LeaveReason::Left => LeaveReason::Left,
        v1::LeaveReason::Disconnected => LeaveReason::Disconnected,
        v1::LeaveReason::TooSlow => LeaveReason::TooSlow,
        v1::LeaveReason::Removed => LeaveReason::Removed,
        v1::LeaveReason::RoomClosed => LeaveReason::RoomClosed,
        v1::LeaveReason::ServerShutdown => LeaveReason::ServerShutdown,
        v1::LeaveReason::Unspecified => LeaveReason::Unknown,
    }
}

/// A status for people.
pub(crate) fn describe(status: &tonic::Status) -> String {
    // Made here by the transport, not sent by the server.
    if std::error::Error::source(status).is_some() {
        return "the connection to the server was lost".into();
    }
    let message = match status.message() {
        "" => status.code().description(),
        message => message,
    };
    printable(message)
}
