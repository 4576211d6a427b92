//! One gRPC stream to the server and its first exchange: a join, or the resumption of a session. An
//! attempt that fails leaves nothing behind.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use patchcord_proto::{
    limits::SIGNAL_RESPONSE_BYTES_MAX,
    v1::{
        SignalRequest, SignalResponse, signal_request as request,
        signal_response::{self as response, rejected::Code},
        signaling_service_client::SignalingServiceClient,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Streaming,
    transport::{Channel, Endpoint, Error},
};

use super::wire::describe;
use crate::{
    AccessToken, CaCertificate, ClientCertificate, JoinError,
    endpoint::{self, NoWay, may_carry_secret, printable},
};

/// How an endpoint is connected to: over the network, or what a simulation has for one.
pub type Connect =
    Arc<dyn Fn(Endpoint) -> Pin<Box<dyn Future<Output = Result<Channel, Error>> + Send>> + Send + Sync>;

/// Where the server is, what it is trusted by, and how it is reached.
#[derive(Clone)]
pub(super) struct Server {
    pub url: String,
    pub ca_certificate: Option<CaCertificate>,
    pub access_token: Option<AccessToken>,
    pub client_certificate: Option<ClientCertificate>,
    pub connect: Connect,
}

impl Server {
    async fn channel(&self) -> Result<Channel, NoWay> {
        let endpoint =
            endpoint::endpoint(&self.url, self.ca_certificate.as_ref(), self.client_certificate.as_ref())?;
        (self.connect)(endpoint).await.map_err(|error| endpoint::what_failed(&error))
    }

    /// Joins as asked, with the token as it is now.
    async fn join_request(&self, mut join: request::Join) -> Result<SignalRequest, JoinError> {
        if let Some(access_token) = &self.access_token {
            join.access_token = access_token
                .get()
                .await
                .map_err(|reason| JoinError::NoToken { reason: printable(&reason) })?;
        }
        Ok(SignalRequest { seq: 1, ack: 0, message: Some(request::Message::Join(join)) })
    }
}

/// The way that everybody goes but a simulation.
pub(crate) fn over_the_network() -> Connect {
    Arc::new(|endpoint| Box::pin(async move { endpoint.connect().await }))
}

/// Both halves of an open stream.
pub(super) struct Stream {
    pub requests: mpsc::Sender<SignalRequest>,
    pub responses: Streaming<SignalResponse>,
}

/// How a stream began.
pub(super) enum Opening {
    Joined { seq: u64, joined: response::Joined },
    Resumed(response::Resumed),
}

/// Why it did not.
pub(super) struct Failure {
    pub error: JoinError,
    /// The least to wait before another attempt.
    pub retry_after: Duration,
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        Self { error, retry_after: Duration::ZERO }
    }
}

/// Opens a stream with `resume`, and with `join` where there is nothing to resume or the server has
/// forgotten it.
pub(super) async fn open(
    server: Server,
    resume: Option<request::Resume>,
    join: request::Join,
) -> Result<(Stream, Opening), Failure> {
    if server.access_token.is_some() {
        may_carry_secret(&server.url).map_err(JoinError::from)?;
    }
    let channel = server.channel().await.map_err(|no_way| unreachable(server.url.clone(), no_way))?;
    let url = server.url.clone();
    let (requests, request_rx) = mpsc::channel(1);
    let resuming = resume.is_some();
    let first = match resume {
        Some(resume) => SignalRequest { seq: 0, ack: 0, message: Some(request::Message::Resume(resume)) },
        None => server.join_request(join.clone()).await?,
    };
    // The channel has room for one.
    let _ = requests.try_send(first);
    let responses = SignalingServiceClient::new(channel)
        .max_decoding_message_size(SIGNAL_RESPONSE_BYTES_MAX)
        .signal(ReceiverStream::new(request_rx))
        .await
        .map_err(|status| ended(&url, &status))?
        .into_inner();
    let mut stream = Stream { requests, responses };
    let mut answer = stream.answer(&url).await?;
    if resuming && is_session_unknown(&answer) {
        let join = server.join_request(join).await?;
        let _ = stream.requests.send(join).await;
        answer = stream.answer(&url).await?;
    }
    let opening = opening(&url, answer)?;
    Ok((stream, opening))
}

impl Stream {
    async fn answer(&mut self, url: &str) -> Result<SignalResponse, Failure> {
        let answer = self.responses.message().await.map_err(|status| ended(url, &status))?;
        Ok(answer.unwrap_or_default())
    }
}

fn opening(url: &str, answer: SignalResponse) -> Result<Opening, Failure> {
    match answer.message {
        Some(response::Message::Joined(joined)) => Ok(Opening::Joined { seq: answer.seq, joined }),
        Some(response::Message::Resumed(resumed)) => Ok(Opening::Resumed(resumed)),
        Some(response::Message::Rejected(rejected)) => Err(Failure {
            error: refused(&rejected),
            retry_after: rejected.retry_after.and_then(|after| after.try_into().ok()).unwrap_or_default(),
        }),
        _ => Err(speaks_otherwise(url).into()),
    }
}

fn refused(rejected: &response::Rejected) -> JoinError {
    let message = printable(&rejected.message);
    match rejected.code() {
        Code::NotPermitted => JoinError::NotPermitted { reason: printable(&rejected.reason), message },
        code => JoinError::Refused { code, message, retryable: rejected.retryable },
    }
}

fn unreachable(url: String, no_way: NoWay) -> JoinError {
    match no_way {
        NoWay::InvalidUrl => JoinError::InvalidServer { url },
        NoWay::Tls(reason) => JoinError::Unreachable { url, reason },
        NoWay::Network(reason) => {
            let reason = format!("{reason}; is the server running and the address right?");
            JoinError::Unreachable { url, reason }
        }
    }
}

/// The server does not speak the contract.
pub(super) fn speaks_otherwise(url: &str) -> JoinError {
    let reason = "it did not answer the join as patchcord.v1 says".into();
    JoinError::StreamEnded { url: url.to_owned(), reason }
}

fn ended(url: &str, status: &tonic::Status) -> JoinError {
    JoinError::StreamEnded { url: url.to_owned(), reason: describe(status) }
}

fn is_session_unknown(answer: &SignalResponse) -> bool {
    matches!(&answer.message, Some(response::Message::Rejected(rejected))
        // An earlier server knows no sessions at all.
        if matches!(rejected.code(), Code::SessionUnknown | Code::Unsupported))
}

/// What resumes a session.
pub(super) fn resume(resume_token: &Bytes, last_seq: u64) -> Option<request::Resume> {
    let resume = || request::Resume { resume_token: resume_token.clone(), last_seq };
    (!resume_token.is_empty()).then(resume)
}
