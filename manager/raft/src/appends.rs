//! One stream of appends as it comes from a leader, and the news of its breaking.

use crate::member::RaftId;
use crate::server::append_request;
use crate::succession::Broken;
use crate::types::TypeConfig;
use futures::Stream;
use futures::stream;
use openraft::raft::AppendEntriesRequest;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Streaming;
use weft_proto::wire;

/// Where broken streams are told.
pub(crate) type Breaks = Arc<watch::Sender<Option<Broken>>>;

/// What is left of a stream.
pub(crate) struct Appends {
    first: Option<wire::RaftAppendRequest>,
    rest: Streaming<wire::RaftAppendRequest>,
    guard: Guard,
}

impl Appends {
    /// A stream whose first message has been read. That it breaks is told to `breaks`.
    pub(crate) fn new(
        first: wire::RaftAppendRequest,
        rest: Streaming<wire::RaftAppendRequest>,
        from: Option<RaftId>,
        breaks: Breaks,
    ) -> Appends {
        Appends {
            first: Some(first),
            rest,
            guard: Guard {
                from,
                breaks: Some(breaks),
            },
        }
    }

    /// The requests. A broken stream just ends; what came before it is answered.
    pub(crate) fn stream(self) -> impl Stream<Item = AppendEntriesRequest<TypeConfig>> {
        stream::unfold(self, Appends::next)
    }

    async fn next(mut self) -> Option<(AppendEntriesRequest<TypeConfig>, Appends)> {
        let next = match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.rest.message().await,
        };
        match next {
            Ok(Some(request)) => match append_request(request) {
                Ok(request) => Some((request, self)),
                Err(error) => {
                    tracing::warn!(%error, "a stream of appends is not understood");
                    None
                }
            },
            Ok(None) => {
                self.guard.farewell();
                None
            }
            Err(status) => {
                tracing::debug!(%status, "a stream of appends ended");
                None
            }
        }
    }
}

/// Tells that a stream broke when it is dropped before its sender ended it. Whoever serves a lost
/// connection drops its streams, often before anybody could read the error out of them.
struct Guard {
    from: Option<RaftId>,
    breaks: Option<Breaks>,
}

impl Guard {
    /// The sender ended the stream in good order.
    fn farewell(mut self) {
        self.breaks = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(breaks) = self.breaks.take() {
            let at = Instant::now();
            breaks.send_replace(self.from.map(|from| Broken { from, at }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> (Guard, watch::Receiver<Option<Broken>>) {
        let (breaks, told) = watch::channel(None);
        let guard = Guard {
            from: Some(RaftId(3)),
            breaks: Some(Arc::new(breaks)),
        };
        (guard, told)
    }

    #[test]
    fn a_stream_that_is_dropped_before_its_end_is_told_to_be_broken() {
        let (guard, told) = guard();
        drop(guard);
        assert_eq!(told.borrow().map(|broken| broken.from), Some(RaftId(3)));
    }

    #[test]
    fn a_stream_that_its_sender_ended_is_not() {
        let (guard, told) = guard();
        guard.farewell();
        assert_eq!(*told.borrow(), None);
    }
}
