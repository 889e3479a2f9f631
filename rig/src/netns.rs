//! Network namespaces kept alive by a bind-mounted file, and work inside them.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::thread;

use nix::mount::MsFlags;
use nix::sched::CloneFlags;

use crate::error::RigError;

/// A network namespace with a name in the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netns {
    path: PathBuf,
}

impl Netns {
    /// Makes a namespace and binds it to `path`, which must not exist yet. It lives until the
    /// path is unmounted and its last process and socket are gone.
    ///
    /// # Errors
    /// [`RigError::Netns`], also without root.
    pub fn create(path: &Path) -> Result<Self, RigError> {
        let fail = |source| RigError::Netns {
            op: "create",
            path: path.to_owned(),
            source,
        };
        File::create_new(path).map_err(fail)?;
        // A thread of its own, because a thread that has left its namespace is never used again.
        let bound = in_thread(|| {
            nix::sched::unshare(CloneFlags::CLONE_NEWNET)?;
            bind(Path::new("/proc/thread-self/ns/net"), path)
        });
        bound.map_err(fail)?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// A namespace somebody made before.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The file the namespace is bound to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the namespace a second name, for `ip netns exec`.
    ///
    /// # Errors
    /// [`RigError::Netns`] when the name is taken or cannot be made.
    pub fn alias(&self, name: &Path) -> Result<(), RigError> {
        let fail = |source| RigError::Netns {
            op: "name",
            path: name.to_owned(),
            source,
        };
        if let Some(parent) = name.parent() {
            std::fs::create_dir_all(parent).map_err(fail)?;
        }
        File::create_new(name).map_err(fail)?;
        bind(&self.path, name).map_err(fail)
    }

    /// The kernel's number of the namespace; equal numbers mean the same namespace.
    ///
    /// # Errors
    /// [`RigError::Netns`] when the file is gone.
    pub fn inode(&self) -> Result<u64, RigError> {
        let meta = std::fs::metadata(&self.path);
        meta.map(|meta| meta.ino())
            .map_err(|source| self.fail("look at", source))
    }

    /// The open namespace, to hand a link over to it.
    ///
    /// # Errors
    /// [`RigError::Netns`] when the file is gone.
    pub fn open(&self) -> Result<File, RigError> {
        File::open(&self.path).map_err(|source| self.fail("open", source))
    }

    /// Runs `work` inside the namespace, on a thread that ends with it. Sockets and processes
    /// made there stay in the namespace; the caller never leaves its own.
    ///
    /// # Errors
    /// [`RigError::Netns`] when the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, RigError> {
        let file = self.open()?;
        let entered = in_thread(|| {
            nix::sched::setns(file.as_fd(), CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        });
        entered.map_err(|source| self.fail("enter", source))
    }

    fn fail(&self, op: &'static str, source: io::Error) -> RigError {
        RigError::Netns {
            op,
            path: self.path.clone(),
            source,
        }
    }
}

fn bind(from: &Path, to: &Path) -> io::Result<()> {
    nix::mount::mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    Ok(())
}

/// Runs `work` on a fresh thread and waits for it; a panic in it goes on in the caller.
pub(crate) fn in_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
