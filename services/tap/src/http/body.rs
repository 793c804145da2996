//! Bodies on their way: each chunk is copied to the observer and passed on, as it comes.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use super::connect::broken;
use super::endpoint::Endpoint;
use super::watch::{Copier, Watch};
use crate::observer::http::Fate;

/// How long a body may take that is read for nobody.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a body gives when it is asked.
type Next = Option<Result<Frame<Bytes>, hyper::Error>>;

/// A request's body, to the server.
#[derive(Debug)]
pub(super) struct Upload {
    inner: Incoming,
    /// What had come with the head. Most bodies come whole with it.
    first: Next,
    whole: bool,
    /// Until the body was read.
    copier: Option<Copier>,
}

/// A response's body, to the client.
#[derive(Debug)]
pub(super) enum Download {
    /// The server's.
    Passing { inner: Incoming, watch: Option<Watch>, endpoint: Option<Endpoint> },
    /// The tap's own.
    Said(Option<Bytes>),
}

impl Upload {
    pub(super) fn new(mut inner: Incoming) -> Self {
        // Whoever sends it on asks again and is woken.
        let mut context = Context::from_waker(Waker::noop());
        let (first, whole) = match Pin::new(&mut inner).poll_frame(&mut context) {
            Poll::Ready(first) => {
                let whole = is_last(&first, &inner);
                (first, whole)
            }
            Poll::Pending => (None, inner.is_end_stream()),
        };
        Self { inner, first, whole, copier: None }
    }

    /// The bytes that had come with the head, which the observer gets with it.
    pub(super) fn begun(&self) -> &[u8] {
        match &self.first {
            Some(Ok(frame)) => data(frame),
            _ => &[],
        }
    }

    /// Whether they are all.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Copies all that is still to come.
    pub(super) fn observe(&mut self, copier: Option<Copier>) {
        self.copier = copier.filter(|_| !self.whole);
    }

    /// Reads what nobody will get, as far as it comes soon.
    pub(super) async fn drain(mut self) {
        let rest = async {
            while let Some(Ok(_)) = poll_fn(|context| Pin::new(&mut self).poll_frame(context)).await
            {
            }
        };
        // Late or not, the answer is the same.
        _ = timeout(PATIENCE, rest).await;
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        // Nobody may ask for what comes after the last byte.
        let last = is_last(&frame, &self.inner);
        match (&self.copier, &frame) {
            (Some(copier), Some(Ok(frame))) => copier.bytes(data(frame), last),
            (Some(copier), None) => copier.bytes(&[], last),
            _ => {}
        }
        if last || matches!(frame, Some(Err(_))) {
            self.copier = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (begun, rest) = (self.begun().len() as u64, self.inner.size_hint());
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + begun);
        }
        hint.set_lower(rest.lower() + begun);
        hint
    }
}

impl Download {
    pub(super) fn new(
        inner: Incoming,
        mut watch: Option<Watch>,
        endpoint: Option<Endpoint>,
    ) -> Self {
        if inner.is_end_stream() {
            watch.iter_mut().for_each(|watch| watch.end(Fate::Whole));
        }
        Self::Passing { inner, watch, endpoint }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let (inner, watch, endpoint) = match &mut *self {
            Self::Said(text) => return Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Passing { inner, watch, endpoint } => (inner, watch, endpoint),
        };
        loop {
            let Poll::Ready(frame) = Pin::new(&mut *inner).poll_frame(context) else {
                watch.iter_mut().for_each(Watch::pause);
                return Poll::Pending;
            };
            if let Some(watch) = watch {
                match &frame {
                    Some(Ok(passing)) => watch.bytes(data(passing), is_last(&frame, inner)),
                    Some(Err(error)) => watch.end(Fate::Broken(broken(error))),
                    None => watch.end(Fate::Whole),
                }
            }
            let Some(waiting) = endpoint else { return Poll::Ready(frame) };
            let held = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => waiting.feed(&bytes),
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                // What is held back goes first; the end comes again.
                None => waiting.take(),
                error => return Poll::Ready(error),
            };
            match held {
                Some(bytes) => {
                    *endpoint = None;
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                None => continue,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Said(text) => text.is_none(),
            Self::Passing { endpoint: Some(_), .. } => false,
            Self::Passing { inner, .. } => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Said(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Self::Passing { endpoint: Some(_), .. } => SizeHint::default(),
            Self::Passing { inner, .. } => inner.size_hint(),
        }
    }
}

fn data(frame: &Frame<Bytes>) -> &[u8] {
    frame.data_ref().map_or(&[], |bytes| bytes)
}

/// Whether nothing comes after this frame of a body.
fn is_last(frame: &Next, body: &Incoming) -> bool {
    match frame {
        Some(Ok(frame)) => frame.is_trailers() || body.is_end_stream(),
        Some(Err(_)) => false,
        None => true,
    }
}
