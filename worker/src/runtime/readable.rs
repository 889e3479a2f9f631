//! Waiting for a descriptor without a thread.

use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor to be waited for until it can be read.
#[expect(
    deprecated,
    reason = "unsound only for types whose descriptor can change or close; an OwnedFd's cannot, \
              and the replacement is an unsafe function"
)]
pub(crate) fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}
