//! Network namespaces with a name in the file system.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use nix::mount::MsFlags;
use weft_kernel::netns::Netns as Handle;
use weft_kernel::netns::NetnsError;

use crate::error::RigError;

/// A network namespace known by its path. Unlike a handle it keeps nothing alive: once the path
/// is unmounted and the last process and socket are gone, so is the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netns {
    path: PathBuf,
}

impl Netns {
    /// Makes a namespace with its loopback up and binds it to `path`.
    ///
    /// # Errors
    /// [`RigError::Netns`], also without root.
    pub fn create(path: &Path) -> Result<Self, RigError> {
        let made = Self::at(path);
        Handle::create(path).map_err(|source| made.fail("create", source))?;
        Ok(made)
    }

    /// A namespace somebody made before.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The namespace of this process.
    pub fn machine() -> Self {
        Self::at(Path::new("/proc/self/ns/net"))
    }

    /// The file the namespace is bound to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the namespace a second name, for `ip netns exec`.
    ///
    /// # Errors
    /// [`RigError::File`] when the name is taken or cannot be made.
    pub fn alias(&self, name: &Path) -> Result<(), RigError> {
        let fail = |source| RigError::File {
            op: "name a namespace",
            path: name.to_owned(),
            source,
        };
        if let Some(parent) = name.parent() {
            std::fs::create_dir_all(parent).map_err(fail)?;
        }
        File::create_new(name).map_err(fail)?;
        let bound = nix::mount::mount(
            Some(&self.path),
            name,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        );
        bound.map_err(|errno| fail(io::Error::from(errno)))
    }

    /// The kernel's number of the namespace, as in `/proc/PID/ns/net`; equal numbers mean the
    /// same namespace.
    ///
    /// # Errors
    /// [`RigError::File`] when the file is gone.
    pub fn inode(&self) -> Result<u64, RigError> {
        let meta = std::fs::metadata(&self.path);
        let path = self.path.clone();
        meta.map(|meta| meta.ino())
            .map_err(|source| RigError::File {
                op: "look at",
                path,
                source,
            })
    }

    /// The open namespace, to hand a link over to it.
    ///
    /// # Errors
    /// [`RigError::Netns`] when it is gone.
    pub fn open(&self) -> Result<Handle, RigError> {
        Handle::open(&self.path).map_err(|source| self.fail("open", source))
    }

    /// Runs `work` inside the namespace, on a thread that ends with it. Sockets and processes
    /// made there stay in the namespace; the caller never leaves its own.
    ///
    /// # Errors
    /// [`RigError::Netns`] when the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, RigError> {
        self.open()?
            .run_in(work)
            .map_err(|source| self.fail("enter", source))
    }

    fn fail(&self, op: &'static str, source: NetnsError) -> RigError {
        RigError::Netns {
            op,
            path: self.path.clone(),
            source,
        }
    }
}
