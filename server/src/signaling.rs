//! SignalingService. The service is written out here rather than generated, because responses leave as
//! the bytes that wait in an outbox, and because it must be known how a request stream ended.

mod body;
mod codec;
mod in_transit;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use patchcord_proto::{
    limits::{SIGNAL_REQUEST_BYTES_MAX, SIGNAL_RESPONSE_BYTES_MAX},
    v1::{Limits, SignalRequest, signaling_service_server::SERVICE_NAME},
};
use tokio::time::timeout;
use tokio_stream::Stream;
use tokio_util::task::TaskTracker;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::{Grpc, NamedService, StreamingService},
};

use crate::{
    addresses::AddressThrottle,
    claims::Claims,
    config::STALL_TIMEOUT,
    frame::Outgoing,
    ice_servers::IceServers,
    listener::ConnectionInfo,
    metrics::{Counted, Metrics},
    outbox::Outbox,
    session::{self, Caller, Pace, Share, Stream as PeerStream},
    store::Store,
    switchboard::{Line, Switchboard},
    tokens::Tokens,
};

pub use body::BodyEnd;
use body::EndingBody;
use codec::FrameCodec;
use in_transit::PacedBody;

const SIGNAL_PATH: &str = "/patchcord.v1.SignalingService/Signal";

/// What all sessions share.
pub struct Exchange {
    /// Rooms.
    pub store: Arc<dyn Store>,
    /// Streams.
    pub switchboard: Arc<Switchboard>,
    /// What peers gather candidates with.
    pub ice_servers: IceServers,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// As peers are told them.
    pub limits: Limits,
    /// Rooms at one time.
    pub rooms_max: usize,
    /// Peers of a room at one time.
    pub peers_per_room_max: usize,
    /// Who may join; `None` for everybody.
    pub tokens: Option<Arc<Tokens>>,
    /// How often each address may try to join.
    pub join_throttle: AddressThrottle,
    /// How often each address may try to resume what is no session.
    pub resume_throttle: AddressThrottle,
    /// Requests a second of one session; 0 for no limit.
    pub requests_per_session_rate: u32,
    /// How long a session waits for another stream; zero when it does not.
    pub grace_time: Duration,
    /// Which session a stream continues.
    pub claims: Arc<Claims>,
    /// The tasks of all sessions, so that none outlives the server.
    pub tasks: TaskTracker,
}

/// The service on the public door.
#[derive(Clone)]
pub struct Signaling {
    exchange: Arc<Exchange>,
}

/// What a peer is told, as gRPC wants it. Dropped by the transport when nobody reads any more.
pub struct Responses {
    outbox: Arc<Outbox>,
    /// The number of this reader of the outbox.
    reader: u64,
    metrics: Arc<Metrics>,
}

/// What an open stream takes up, given back when dropped: at the latest when its session's task ends, and
/// then the outbox is empty and has ended too. No reader keeps it, and no panic.
struct Seat {
    outbox: Arc<Outbox>,
    _line: Line,
}

impl Signaling {
    /// The service over what its sessions share.
    pub fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange }
    }

    fn open(&self, request: Request<Streaming<SignalRequest>>) -> Result<Response<Responses>, Status> {
        let connection = request.extensions().get::<ConnectionInfo>().ok_or_else(|| missing("connection"))?;
        let body_end = request.extensions().get::<BodyEnd>().ok_or_else(|| missing("request body"))?.clone();
        let address = connection.peer_address;
        let permit = connection.stream_permit().ok_or_else(|| {
            Status::resource_exhausted(
                "this connection has as many sessions as it may; open another connection",
            )
        })?;
        let exchange = Arc::clone(&self.exchange);
        let outbox = Outbox::new();
        let (peer_id, line) = exchange
            .switchboard
            .connect(Arc::clone(&outbox))
            .map_err(|_| Status::unavailable("the server is shutting down"))?;
        let metrics = Arc::clone(&exchange.metrics);
        let counted = Counted::new(&metrics.streams);
        let seat = Seat { outbox: Arc::clone(&outbox), _line: line };
        let responses = Responses { outbox: Arc::clone(&outbox), reader: 0, metrics };
        let share = Share::new(permit, counted);
        let stream = Some(PeerStream { address, requests: request.into_inner(), body_end, share });
        let pace = Pace::new(exchange.requests_per_session_rate);
        let caller = Caller { exchange, peer_id, stream, outbox, pace, claimable: None };
        self.exchange.tasks.spawn(seat.taken_by(caller));
        Ok(Response::new(responses))
    }
}

impl Seat {
    /// Holds the seat for a session and then, while its end is read, for a little longer: one that ended
    /// still counts.
    #[expect(clippy::manual_async_fn, reason = "an async function would have memory for the caller twice")]
    fn taken_by(self, mut caller: Caller) -> impl Future<Output = ()> {
        async move {
            session::run(&mut caller).await;
            // What is left of the stream.
            let _share = caller.stream.take().map(|stream| stream.share);
            drop(caller);
            // Who does not read the end in this time does without.
            let _ = timeout(STALL_TIMEOUT, self.outbox.reader_gone()).await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.outbox.abandon();
    }
}

fn missing(what: &str) -> Status {
    Status::internal(format!("the transport tells nothing of the {what}"))
}

impl NamedService for Signaling {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<http::Request<Body>> for Signaling {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != SIGNAL_PATH {
            return Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) });
        }
        let service = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(FrameCodec)
                .max_decoding_message_size(SIGNAL_REQUEST_BYTES_MAX)
                .max_encoding_message_size(SIGNAL_RESPONSE_BYTES_MAX);
            let response = grpc.streaming(service, EndingBody::wrap(request)).await;
            Ok(response.map(PacedBody::wrap))
        })
    }
}

impl StreamingService<SignalRequest> for Signaling {
    type Response = Outgoing;
    type ResponseStream = Responses;
    type Future = std::future::Ready<Result<Response<Responses>, Status>>;

    fn call(&mut self, request: Request<Streaming<SignalRequest>>) -> Self::Future {
        std::future::ready(self.open(request))
    }
}

impl Responses {
    fn follow_redirect(&mut self) {
        if let Some((outbox, reader)) = self.outbox.take_redirect() {
            self.outbox = outbox;
            self.reader = reader;
        }
    }
}

impl Stream for Responses {
    type Item = Result<Outgoing, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.follow_redirect();
        let next = std::task::ready!(self.outbox.poll_next(self.reader, context));
        if let Some(Ok(Outgoing { relayed_at: Some(relayed_at), .. })) = &next {
            self.metrics.relay_seconds.observe(relayed_at.elapsed().as_secs_f64());
        }
        Poll::Ready(next)
    }
}

impl Drop for Responses {
    fn drop(&mut self) {
        // The session that it was to go on with has to know, also if nothing of it was read.
        self.follow_redirect();
        self.outbox.close(self.reader);
    }
}

#[cfg(test)]
mod model;
