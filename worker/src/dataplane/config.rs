//! What a data plane is opened with, and why it may not open.

use crate::dns::ResolvConf;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use weft_kernel::netlink::NetlinkError;
use weft_kernel::netns::Netns;
use weft_kernel::netns::NetnsError;
use weft_proto::NodeId;

/// What a data plane must know of its node.
#[derive(Clone, Debug)]
pub struct DataPlaneConfig {
    /// Namespaces are mounted in `netns` below it: `/run/weft`.
    pub run_dir: PathBuf,
    /// Which node this is.
    pub me: NodeId,
    /// Where it receives VXLAN packets.
    pub data_addr: IpAddr,
    /// The node's resolvers, from its resolv.conf.
    pub resolv_conf: ResolvConf,
    /// The namespace of the underlay: the daemon's own, except in tests.
    pub host: Netns,
}

impl DataPlaneConfig {
    /// A data plane in the daemon's own network namespace.
    ///
    /// # Errors
    /// When `/proc` is not mounted.
    pub fn new(
        run_dir: PathBuf,
        me: NodeId,
        data_addr: IpAddr,
        resolv_conf: ResolvConf,
    ) -> Result<Self, NetnsError> {
        Ok(Self {
            run_dir,
            me,
            data_addr,
            resolv_conf,
            host: Netns::current()?,
        })
    }
}

/// Why a data plane cannot work at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory for namespaces could not be made.
    #[error("failed to make the directory {} for network namespaces", dir.display())]
    Directory {
        /// Which directory.
        dir: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The kernel cannot be talked to.
    #[error("failed to reach the node's own network")]
    Host {
        /// What failed.
        #[source]
        cause: NetlinkError,
    },
}
