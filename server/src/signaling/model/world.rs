//! What is under test: the service with its sessions, outboxes, claims, switchboard and store. Only HTTP/2 is
//! missing: requests come from a list, and responses are taken one by one, when the test wants to.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use patchcord_proto::v1::SignalRequest;
use prost::Message;
use tokio_stream::Stream;
use tonic::{Request, Status, Streaming, body::Body, codec::Codec, metadata::MetadataMap};

use super::super::*;
use crate::{
    Config,
    config::Allowances,
    store::memory::{Capacity, Memory},
};

pub const GRACE_TIME: Duration = Duration::from_secs(10);
pub const PEERS_MAX: usize = 4;
pub const ROOMS_MAX: usize = 2;

pub struct World {
    pub exchange: Arc<Exchange>,
    signaling: Signaling,
    connection: ConnectionInfo,
}

/// One stream, as its client holds it.
pub struct Wire {
    requests: Arc<Mutex<Requests>>,
    responses: Option<Responses>,
}

#[derive(Default)]
struct Requests {
    frames: VecDeque<Bytes>,
    end: Option<RequestsEnd>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy)]
enum RequestsEnd {
    Closed,
    Broken,
}

struct RequestBody(Arc<Mutex<Requests>>);

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        let mut requests = self.0.lock();
        match (requests.frames.pop_front(), requests.end) {
            (Some(frame), _) => Poll::Ready(Some(Ok(http_body::Frame::data(frame)))),
            (None, Some(RequestsEnd::Closed)) => Poll::Ready(None),
            (None, Some(RequestsEnd::Broken)) => Poll::Ready(Some(Err(Status::cancelled("reset")))),
            (None, None) => {
                requests.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// As with HTTP/2: known once the end has come.
    fn is_end_stream(&self) -> bool {
        let requests = self.0.lock();
        requests.frames.is_empty() && matches!(requests.end, Some(RequestsEnd::Closed))
    }
}

impl World {
    pub fn new() -> Self {
        let config = Config {
            grace_time_s: GRACE_TIME.as_secs(),
            peers_per_room_max: PEERS_MAX,
            rooms_max: ROOMS_MAX,
            allowances: Allowances::unlimited(),
            ..Config::default()
        };
        let metrics = Arc::new(Metrics::default());
        let switchboard = Switchboard::new(Arc::clone(&metrics));
        let capacity = Capacity { joins_per_room: None, ..Capacity::of(&config) };
        let store = Arc::new(Memory::new(Arc::clone(&switchboard), capacity));
        let exchange = crate::exchange(&config, store, switchboard, metrics).unwrap();
        let connection = ConnectionInfo::new(([192, 0, 2, 1], 1).into(), 10_000);
        Self { signaling: Signaling::new(Arc::clone(&exchange)), exchange, connection }
    }

    pub fn open(&self) -> Result<Wire, Status> {
        let requests = Arc::<Mutex<Requests>>::default();
        let body = Body::new(RequestBody(Arc::clone(&requests)));
        let (parts, body) = EndingBody::wrap(http::Request::new(body)).into_parts();
        let decoder = FrameCodec.decoder();
        let streaming = Streaming::new_request(decoder, body, None, Some(SIGNAL_REQUEST_BYTES_MAX));
        let mut request = Request::from_parts(MetadataMap::new(), parts.extensions, streaming);
        request.extensions_mut().insert(self.connection.clone());
        let responses = self.signaling.open(request)?.into_inner();
        Ok(Wire { requests, responses: Some(responses) })
    }

    /// Until nobody has anything to do: the clock, which stands still, moves only then.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

impl Wire {
    pub fn ask(&self, request: &SignalRequest) {
        let mut frame = BytesMut::with_capacity(5 + request.encoded_len());
        frame.put_u8(0);
        frame.put_u32(request.encoded_len() as u32);
        request.encode(&mut frame).unwrap();
        self.change(|requests| requests.frames.push_back(frame.freeze()));
    }

    /// Closes our half.
    pub fn half_close(&self) {
        self.change(|requests| requests.end = Some(RequestsEnd::Closed));
    }

    /// The stream was reset as far as requests go.
    pub fn break_requests(&self) {
        self.change(|requests| requests.end = Some(RequestsEnd::Broken));
    }

    /// Nobody reads any more.
    pub fn drop_responses(&mut self) {
        self.responses = None;
    }

    /// The next response that is there.
    pub fn take(&mut self) -> Poll<Option<Result<Outgoing, Status>>> {
        let Some(responses) = &mut self.responses else { return Poll::Pending };
        Pin::new(responses).poll_next(&mut Context::from_waker(Waker::noop()))
    }

    fn change(&self, change: impl FnOnce(&mut Requests)) {
        let mut requests = self.requests.lock();
        change(&mut requests);
        if let Some(waker) = requests.waker.take() {
            waker.wake();
        }
    }
}
