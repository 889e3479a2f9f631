//! Answers that end when the one who asked may not ask any more.

use futures::future::BoxFuture;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use std::fmt;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use tonic::Status;

/// The body of an answer. That of a person ends, with the reason, as soon as her rights change: a
/// stream that she opened outlives them by no more than the way of the change to this manager.
pub struct Ending<B> {
    inner: B,
    until: Until,
}

enum Until {
    /// For good, or not a person's.
    Free,
    /// Ready with the reason.
    Event(BoxFuture<'static, Status>),
    Over,
}

impl<B> Ending<B> {
    /// Goes on as long as `inner` does.
    pub(super) fn free(inner: B) -> Self {
        Ending {
            inner,
            until: Until::Free,
        }
    }

    /// Ends with the status that `event` comes to, if `inner` has not ended before.
    pub(super) fn at(inner: B, event: BoxFuture<'static, Status>) -> Self {
        Ending {
            inner,
            until: Until::Event(event),
        }
    }
}

impl<B: Default> Default for Ending<B> {
    fn default() -> Self {
        Ending::free(B::default())
    }
}

impl<B> fmt::Debug for Ending<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").finish_non_exhaustive()
    }
}

impl<B: Body + Unpin> Body for Ending<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = &mut *self;
        match &mut this.until {
            Until::Free => {}
            Until::Over => return Poll::Ready(None),
            Until::Event(event) => {
                if let Poll::Ready(status) = event.as_mut().poll(context) {
                    this.until = Until::Over;
                    // The head was sent; what follows the data says how the call ended.
                    let head: http::Response<()> = status.into_http();
                    let mut trailers = head.into_parts().0.headers;
                    trailers.remove(http::header::CONTENT_TYPE);
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
        }
        Pin::new(&mut this.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        match self.until {
            Until::Over => true,
            Until::Free | Until::Event(_) => self.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.until {
            Until::Free => self.inner.size_hint(),
            Until::Event(_) | Until::Over => SizeHint::default(),
        }
    }
}
