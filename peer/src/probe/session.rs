//! A visit to the signaling service: join a room that nobody else can know, ping, leave.

use std::time::{Duration, SystemTime};

use patchcord_proto::{
    limits::SIGNAL_RESPONSE_BYTES_MAX,
    v1::{
        SignalRequest, SignalResponse, signal_request as request,
        signal_response::{self as response, rejected::Code},
        signaling_service_client::SignalingServiceClient,
    },
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

use super::{Signaled, Trouble, server::other_protocol};
use crate::{
    Config, IceServer,
    endpoint::{may_carry_secret, printable},
};

const VISIT_TIMEOUT: Duration = Duration::from_secs(4);

/// What was learnt.
pub(super) struct Visit {
    pub signaled: Signaled,
    pub ice_servers: Vec<IceServer>,
    pub credentials_expire_at: Option<SystemTime>,
}

pub(super) async fn visit(channel: Channel, config: &Config) -> Result<Visit, Trouble> {
    let visit = timeout(VISIT_TIMEOUT, converse(channel, config)).await;
    visit.unwrap_or(Err(Trouble::NoAnswer(VISIT_TIMEOUT)))
}

async fn converse(channel: Channel, config: &Config) -> Result<Visit, Trouble> {
    // Dropping it closes our half of the stream, which is a leave as well.
    let (requests, request_rx) = mpsc::channel(4);
    let say = async |seq, message| {
        // The server's answer tells when this fails.
        let _ = requests.send(SignalRequest { seq, ack: 0, message: Some(message) }).await;
    };
    let join = request::Join {
        room: unguessable_room()?,
        display_name: "doctor".into(),
        user_agent: config.user_agent.clone(),
        access_token: access_token(config).await?,
    };
    say(1, request::Message::Join(join)).await;
    let mut responses = SignalingServiceClient::new(channel)
        .max_decoding_message_size(SIGNAL_RESPONSE_BYTES_MAX)
        .signal(ReceiverStream::new(request_rx))
        .await
        .map_err(|status| other_protocol(&status))?
        .into_inner();
    let joined = loop {
        match answer(&mut responses).await?.message {
            Some(response::Message::Joined(joined)) => break joined,
            Some(response::Message::Rejected(rejected)) => {
                return Err(refused(&rejected));
            }
            _ => {}
        }
    };
    let asked = Instant::now();
    say(2, request::Message::Ping(request::Ping { nonce: 1 })).await;
    while !matches!(answer(&mut responses).await?.message, Some(response::Message::Pong(_))) {}
    let round_trip = asked.elapsed();
    say(3, request::Message::Leave(request::Leave {})).await;
    // The server ends the stream when it has carried that out.
    while let Ok(Some(_)) = responses.message().await {}
    Ok(learnt(joined, round_trip))
}

fn refused(rejected: &response::Rejected) -> Trouble {
    let message = printable(&rejected.message);
    match rejected.code() {
        Code::NotPermitted => Trouble::NotPermitted { reason: printable(&rejected.reason), message },
        _ => Trouble::Refused(message),
    }
}

async fn access_token(config: &Config) -> Result<String, Trouble> {
    let Some(access_token) = &config.access_token else { return Ok(String::new()) };
    may_carry_secret(&config.server).map_err(|refused| Trouble::Token(refused.to_string()))?;
    access_token.get().await.map_err(|reason| Trouble::Token(printable(&reason)))
}

fn learnt(joined: response::Joined, round_trip: Duration) -> Visit {
    let servers = joined.ice_servers.into_iter();
    let ice_servers: Vec<IceServer> = servers
        .map(|server| IceServer {
            urls: server.urls,
            username: server.username,
            credential: server.credential,
        })
        .collect();
    let ice_urls = ice_servers.iter().map(|server| server.urls.len()).sum();
    let expire_at = joined.ice_servers_expire_at;
    Visit {
        signaled: Signaled {
            server: printable(&joined.server),
            round_trip,
            ice_urls,
            permissions: joined.permissions.iter().take(32).map(|name| printable(name)).collect(),
        },
        ice_servers,
        credentials_expire_at: expire_at.and_then(|at| SystemTime::try_from(at).ok()),
    }
}

async fn answer(responses: &mut Streaming<SignalResponse>) -> Result<SignalResponse, Trouble> {
    let answer = responses.message().await.map_err(|status| other_protocol(&status))?;
    answer.ok_or_else(|| Trouble::OtherProtocol {
        expected: "a Patchcord switchboard",
        said: "it ended the stream".into(),
    })
}

/// 128 random bits: nobody else is there.
fn unguessable_room() -> Result<String, Trouble> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Trouble::Network(format!("no random numbers: {error}")))?;
    Ok(format!("doctor-{:032x}", u128::from_be_bytes(random)))
}
