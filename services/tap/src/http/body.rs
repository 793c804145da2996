//! Bodies on their way: each chunk is copied to the observer and passed on, as it comes.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use super::connect::broken;
use super::endpoint::Endpoint;
use super::watch::{Copier, Watch};
use crate::observer::Direction;
use crate::observer::http::Fate;

/// How long a body may take that is read for nobody.
const PATIENCE: Duration = Duration::from_secs(2);

/// A request's body, to the server.
#[derive(Debug)]
pub(super) struct Upload {
    inner: Incoming,
    /// Until the body was passed on.
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
    pub(super) fn new(inner: Incoming, copier: Option<Copier>) -> Self {
        let mut upload = Self { inner, copier };
        upload.look();
        upload
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

    /// Tells when the body is whole: nobody may ask for what comes after its last byte.
    fn look(&mut self) {
        if self.inner.is_end_stream() {
            self.copier.take().iter().for_each(Copier::whole);
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(copier), Some(bytes)) = (&self.copier, frame.data_ref()) {
                    copier.bytes(Direction::ToServer, bytes);
                }
                self.look();
            }
            Some(Err(_)) => self.copier = None,
            None => self.copier.take().iter().for_each(Copier::whole),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
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
            let frame = ready!(Pin::new(&mut *inner).poll_frame(context));
            if let Some(watch) = watch {
                match &frame {
                    Some(Ok(frame)) => frame.data_ref().into_iter().for_each(|b| watch.bytes(b)),
                    Some(Err(error)) => watch.end(Fate::Broken(broken(error))),
                    None => watch.end(Fate::Whole),
                }
                if inner.is_end_stream() {
                    watch.end(Fate::Whole);
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
