//! How a request stream ended. tonic reports a cancelled stream as one that was closed; others in the
//! room must be told which it was.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::{Status, body::Body, codegen::http::Request};

/// What became of a request body; an extension of its request.
#[derive(Clone, Default)]
pub struct BodyEnd(Arc<AtomicBool>);

impl BodyEnd {
    /// The stream was cancelled or its connection lost. When it was not, an error is one of what is in the
    /// body, and an end is the client's closing of its half, even if there never was a body.
    pub fn is_broken(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request body that notes its end.
pub struct EndingBody {
    body: Body,
    end: BodyEnd,
}

impl EndingBody {
    /// Puts itself around the body and its end into the extensions.
    pub fn wrap(request: Request<Body>) -> Request<Self> {
        let end = BodyEnd::default();
        let mut request = request.map(|body| Self { body, end: end.clone() });
        request.extensions_mut().insert(end);
        request
    }
}

impl http_body::Body for EndingBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        // An end without END_STREAM is what is left of a connection that was given up, by keepalive for one.
        let ended_badly = matches!(polled, Poll::Ready(None)) && !self.body.is_end_stream();
        if ended_badly || matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.end.0.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
