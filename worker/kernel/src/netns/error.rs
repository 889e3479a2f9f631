use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use super::Place;

/// What went wrong with a namespace: one variant per operation.
#[derive(Debug, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the message of each variant says what it is and names its fields"
)]
pub enum NetnsError {
    #[error("a network namespace is already mounted at {}", path.display())]
    Exists { path: PathBuf },
    #[error("{} is not a network namespace", path.display())]
    NotANamespace { path: PathBuf },
    #[error("failed to make the mount point {} for a network namespace", path.display())]
    PreparePath {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("failed to make a network namespace at {}", path.display())]
    Create {
        path: PathBuf,
        #[source]
        cause: Errno,
    },
    #[error("failed to bring up the loopback of the new network namespace {}", path.display())]
    Loopback {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("failed to open network namespace {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("failed to delete network namespace {}", path.display())]
    Delete {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("failed to list the network namespaces in {}", dir.display())]
    List {
        dir: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("failed to enter {place}")]
    Enter {
        place: Place,
        #[source]
        cause: Errno,
    },
    #[error("failed to identify {place}")]
    Identify {
        place: Place,
        #[source]
        cause: Errno,
    },
    #[error("failed to start a thread for work in a network namespace")]
    Thread {
        #[source]
        cause: io::Error,
    },
}
