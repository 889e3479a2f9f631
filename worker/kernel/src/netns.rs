//! Network namespaces kept alive by a bind mount at a path of the caller's choice.
//!
//! Nothing here forks: work inside a namespace runs on a throw-away thread that enters it and ends,
//! so no thread of the runtime ever stands in a foreign namespace, whatever fails on the way.
//!
//! What the parent directory needs: it must exist, be on a file system that is mounted writable and
//! survive as long as the namespaces should (normally below `/run`). Shared mount propagation is not
//! required for anything here. Without it, a mount namespace made by a *copy* (a container, a unit
//! with its own mounts) while ours was mounted keeps its own reference, and a namespace deleted here
//! lives until that copy is gone. Where `/` is shared, as systemd sets it up, the unmount
//! propagates and this does not happen.

mod error;
mod loopback;

use std::fmt;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::panic::resume_unwind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use nix::errno::Errno;
use nix::mount::MntFlags;
use nix::mount::MsFlags;
use nix::mount::mount;
use nix::mount::umount2;
use nix::sched::CloneFlags;
use nix::sched::setns;
use nix::sched::unshare;
use nix::sys::stat::fstat;
use nix::sys::statfs::NSFS_MAGIC;
use nix::sys::statfs::fstatfs;
use nix::sys::statfs::statfs;

pub use error::NetnsError;

/// Where a namespace is, for people: in errors and logs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The namespace of the process.
    Process,
    /// A namespace reached by a path: a bind mount or a `/proc/<pid>/ns/net`.
    Path(Arc<Path>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("the process's network namespace"),
            Self::Path(path) => write!(f, "network namespace {}", path.display()),
        }
    }
}

/// What tells one namespace from another while both live: device and inode of its handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetnsId {
    device: u64,
    inode: u64,
}

/// A handle on a network namespace. Holding it keeps the namespace alive even after [`Netns::delete`]
/// of its path; clones share one file descriptor.
#[derive(Clone, Debug)]
pub struct Netns {
    place: Place,
    handle: Arc<OwnedFd>,
}

impl Netns {
    /// The namespace of the process (of its first thread, which never enters another one).
    ///
    /// # Errors
    /// When `/proc` is not mounted or not readable.
    pub fn current() -> Result<Self, NetnsError> {
        let path = Path::new("/proc/self/ns/net");
        let file = File::open(path).map_err(|cause| open_failed(path, cause))?;
        Ok(Self {
            place: Place::Process,
            handle: Arc::new(file.into()),
        })
    }

    /// Makes a new namespace, mounts it at `path` and brings its loopback up. The parent directory
    /// must exist. A plain file left at `path` by a crash is reused.
    ///
    /// # Errors
    /// [`NetnsError::Exists`] when a namespace is mounted there already; otherwise what the kernel
    /// refused. Nothing is left behind on failure.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, NetnsError> {
        let path = path.as_ref();
        if Self::exists(path) {
            return Err(NetnsError::Exists { path: path.into() });
        }
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|cause| NetnsError::PreparePath {
                path: path.into(),
                cause,
            })?;
        let made = on_own_thread(|| make_here(path)).and_then(|made| made);
        made.and_then(|()| Self::open(path)).inspect_err(|_| {
            // The error that led here says more than a failed clean-up could.
            let _ = Self::delete(path);
        })
    }

    /// [`Netns::open`] where a namespace is mounted at `path`, [`Netns::create`] where none is.
    ///
    /// # Errors
    /// As [`Netns::create`] and [`Netns::open`].
    pub fn ensure(path: impl AsRef<Path>) -> Result<Self, NetnsError> {
        let path = path.as_ref();
        if Self::exists(path) {
            Self::open(path)
        } else {
            Self::create(path)
        }
    }

    /// Opens the namespace mounted at `path`; `/proc/<pid>/ns/net` works too.
    ///
    /// # Errors
    /// [`NetnsError::NotANamespace`] when something else is there, [`NetnsError::Open`] when nothing is.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, NetnsError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|cause| open_failed(path, cause))?;
        let kind = fstatfs(&file).map_err(|cause| open_failed(path, cause.into()))?;
        if kind.filesystem_type() != NSFS_MAGIC {
            return Err(NetnsError::NotANamespace { path: path.into() });
        }
        Ok(Self {
            place: Place::Path(path.into()),
            handle: Arc::new(file.into()),
        })
    }

    /// Unmounts and removes `path`. Absent is done. The namespace itself ends when its last process,
    /// socket and handle are gone.
    ///
    /// # Errors
    /// When the mount or the file cannot be removed.
    pub fn delete(path: impl AsRef<Path>) -> Result<(), NetnsError> {
        let path = path.as_ref();
        let failed = |cause: io::Error| NetnsError::Delete {
            path: path.into(),
            cause,
        };
        // Only namespaces are unmounted, whatever path we are given. Mounts stack: two makers may
        // have met at one path, so take away all of them.
        while Self::exists(path) {
            match umount2(path, MntFlags::MNT_DETACH) {
                // Somebody else was faster.
                Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
                Err(cause) => return Err(failed(cause.into())),
            }
        }
        match fs::remove_file(path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failed(cause)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether a namespace is mounted at `path`.
    #[must_use]
    pub fn exists(path: impl AsRef<Path>) -> bool {
        statfs(path.as_ref()).is_ok_and(|found| found.filesystem_type() == NSFS_MAGIC)
    }

    /// The paths in `dir` at which a namespace is mounted, sorted. A missing directory has none.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(dir: impl AsRef<Path>) -> Result<Vec<PathBuf>, NetnsError> {
        let dir = dir.as_ref();
        let failed = |cause| NetnsError::List {
            dir: dir.into(),
            cause,
        };
        let entries = match fs::read_dir(dir) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if Self::exists(&path) {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Runs `work` inside the namespace on a thread of its own and waits for it. Sockets made there
    /// stay in the namespace for life and may be used from anywhere. Blocks the caller for as long
    /// as `work` takes, so keep it short in async code. A panic in `work` continues in the caller.
    ///
    /// # Errors
    /// When the thread cannot start or the kernel refuses the entry.
    pub fn run_in<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        on_own_thread(|| {
            setns(self, CloneFlags::CLONE_NEWNET).map_err(|cause| NetnsError::Enter {
                place: self.place.clone(),
                cause,
            })?;
            Ok(work())
        })?
    }

    /// Where this namespace was found.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The identity of the namespace behind this handle.
    ///
    /// # Errors
    /// When the kernel refuses to describe the handle.
    pub fn id(&self) -> Result<NetnsId, NetnsError> {
        let stat = fstat(self).map_err(|cause| NetnsError::Identify {
            place: self.place.clone(),
            cause,
        })?;
        Ok(NetnsId {
            device: stat.st_dev,
            inode: stat.st_ino,
        })
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

fn open_failed(path: &Path, cause: io::Error) -> NetnsError {
    NetnsError::Open {
        path: path.into(),
        cause,
    }
}

fn make_here(path: &Path) -> Result<(), NetnsError> {
    let made = |cause| NetnsError::Create {
        path: path.into(),
        cause,
    };
    unshare(CloneFlags::CLONE_NEWNET).map_err(made)?;
    // Before the mount: a namespace that others can see always has its loopback.
    loopback::bring_up().map_err(|cause| NetnsError::Loopback {
        path: path.into(),
        cause,
    })?;
    mount(
        Some("/proc/thread-self/ns/net"),
        path,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .map_err(made)
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)
            .map_err(|cause| NetnsError::Thread { cause })?;
        worker.join().map_or_else(|panic| resume_unwind(panic), Ok)
    })
}
