//! What can go wrong with the mesh.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use tokio::task::JoinError;
use weft_kernel::conntrack::ConntrackError;
use weft_kernel::netlink::BadName;
use weft_kernel::netlink::IfName;
use weft_kernel::netlink::NetlinkError;
use weft_kernel::netns::NetnsError;
use weft_kernel::nft::NftError;
use weft_kernel::sysctl::SysctlError;

use super::mesh::NoMesh;

/// Why the ingress could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory for namespaces is not there and cannot be made.
    #[error("failed to make the directory {} for network namespaces", path.display())]
    Directory {
        /// Which directory.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The host's namespace is not reachable.
    #[error("failed to reach the host's network namespace")]
    Host {
        /// Why not.
        #[source]
        cause: NetnsError,
    },
    /// The host's links cannot be changed.
    #[error("failed to connect to the host's network")]
    Connect {
        /// Why not.
        #[source]
        cause: NetlinkError,
    },
}

/// Why a round did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum MeshError {
    #[error("there is no routing mesh on this node yet")]
    NoMesh(#[source] NoMesh),
    #[error("no interface of this host has the data address {0}")]
    NoUnderlay(IpAddr),
    #[error("interface {0} does not come into operation")]
    NoCarrier(IfName),
    #[error("the ingress namespace cannot be used")]
    Namespace(#[source] NetnsError),
    #[error("the mesh's interfaces are not as they should be")]
    Links(#[from] NetlinkError),
    #[error("a name of the mesh is none to the kernel")]
    Name(#[from] BadName),
    #[error("the mesh's kernel settings are not as they should be")]
    Setting(#[from] SysctlError),
    #[error("UDP flows of the host cannot be forgotten")]
    Flows(#[source] ConntrackError),
    #[error("the thread that forgets UDP flows was lost")]
    Lost(#[source] JoinError),
    #[error("the rules in the host's namespace are not as they should be")]
    HostRules(#[source] NftError),
    #[error("the rules in the ingress namespace are not as they should be")]
    InnerRules(#[source] NftError),
}

/// The error and all its causes, for people.
pub(super) fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
