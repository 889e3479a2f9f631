//! Waits until something in a directory changes.

use crate::runtime::readable;
use rustix::fs::inotify;
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use tokio::io::unix::AsyncFd;

/// Watches one directory for written, created and renamed files.
#[derive(Debug)]
pub(crate) struct DirWatch(AsyncFd<OwnedFd>);

impl DirWatch {
    /// Changes from now on are noticed: look at the directory *after* making this.
    pub(crate) fn new(dir: &Path) -> io::Result<Self> {
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let events = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::DELETE_SELF;
        inotify::add_watch(&fd, dir, events)?;
        Ok(Self(readable::register(fd)?))
    }

    /// Returns after at least one change since the last call.
    pub(crate) async fn changed(&self) -> io::Result<()> {
        let mut guard = self.0.readable().await?;
        // What changed does not matter, only that the queue is empty afterwards.
        let mut events = [0u8; 4096];
        loop {
            match rustix::io::read(guard.get_inner(), &mut events) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    guard.clear_ready();
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
