//! A reason for which an open connection is to end although both sides would go on.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

/// Something that may happen while a connection is open, and ends it.
pub(super) enum Ending {
    Awaited(Pin<Box<dyn Future<Output = io::ErrorKind> + Send>>),
    Happened(io::ErrorKind),
}

impl Ending {
    pub(super) fn new(event: impl Future<Output = io::ErrorKind> + Send + 'static) -> Self {
        Self::Awaited(Box::pin(event))
    }

    /// Fails once the connection must end. To be asked before every read: HTTP/2 always has a
    /// read outstanding, so that it is woken at once.
    pub(super) fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if let Self::Awaited(event) = self
            && let Poll::Ready(kind) = event.as_mut().poll(context)
        {
            *self = Self::Happened(kind);
        }
        match self {
            Self::Awaited(_) => Ok(()),
            Self::Happened(kind) => Err((*kind).into()),
        }
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Awaited(_) => f.write_str("Awaited"),
            Self::Happened(kind) => write!(f, "Happened({kind})"),
        }
    }
}
