//! How much of one response stream the transport holds. It would take 400 KiB of each, whoever reads, and tonic has
//! no setting for that; so what it was given counts here until it has written it, and more is given only then.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tonic::{Status, body::Body};

/// Above this the transport is given nothing more. It holds one chunk more at most.
const BYTES_MAX: usize = 32 * 1024;

#[derive(Default)]
struct InTransit {
    bytes: usize,
    /// Who waits for it to become less.
    waker: Option<Waker>,
}

/// What counts until it is dropped.
struct Counted {
    bytes: Bytes,
    in_transit: Arc<Mutex<InTransit>>,
}

/// A response body that is read only as fast as the transport writes it.
pub struct PacedBody {
    body: Body,
    in_transit: Arc<Mutex<InTransit>>,
}

impl PacedBody {
    /// Around a whole body.
    pub fn wrap(body: Body) -> Body {
        Body::new(Self { body, in_transit: Arc::default() })
    }

    fn count(&self, bytes: Bytes) -> Bytes {
        self.in_transit.lock().bytes += bytes.len();
        Bytes::from_owner(Counted { bytes, in_transit: Arc::clone(&self.in_transit) })
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut in_transit = self.in_transit.lock();
        in_transit.bytes -= self.bytes.len();
        let waker = if in_transit.bytes < BYTES_MAX { in_transit.waker.take() } else { None };
        drop(in_transit);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl http_body::Body for PacedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        {
            let mut in_transit = self.in_transit.lock();
            if in_transit.bytes >= BYTES_MAX {
                in_transit.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        let polled = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(polled.map(|frame| frame.map(|frame| frame.map_data(|bytes| self.count(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicBool, Ordering},
        task::Wake,
    };

    use http_body::Body as _;

    use super::*;

    /// Chunks without end.
    struct Endless;

    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 10_000])))))
        }
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn more_is_given_only_when_enough_was_written() {
        let mut body = PacedBody::wrap(Body::new(Endless));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut poll = || match Pin::new(&mut body).poll_frame(&mut context) {
            Poll::Ready(frame) => Some(frame.unwrap().unwrap().into_data().unwrap()),
            Poll::Pending => None,
        };
        let mut held: Vec<Bytes> = std::iter::from_fn(&mut poll).collect();
        assert_eq!(held.len(), BYTES_MAX.div_ceil(10_000));
        // A part that is kept keeps the whole.
        let mut first = held.remove(0);
        let rest = first.split_off(1);
        drop(first);
        assert!(poll().is_none() && !woken.0.load(Ordering::Relaxed));
        drop(rest);
        assert!(woken.0.load(Ordering::Relaxed));
        let again = poll().unwrap();
        assert!(again == [7; 10_000][..] && poll().is_none());
    }
}
