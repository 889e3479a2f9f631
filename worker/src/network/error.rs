use crate::dns::BindError;
use crate::dns::StartError;
use std::error::Error;
use std::fmt::Write;
use weft_kernel::conntrack::ConntrackError;
use weft_kernel::netlink::BadName;
use weft_kernel::netlink::NetlinkError;
use weft_kernel::netns::NetnsError;
use weft_kernel::nft::NftError;
use weft_kernel::sysctl::SysctlError;

/// Why a network or a task's attachment is not as it should be. Every one is tried again in the
/// next round.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A link could not be named.
    #[error("failed to name a link of {of}")]
    Name {
        /// Whose link.
        of: String,
        /// What is wrong with the name.
        #[source]
        cause: BadName,
    },
    /// A namespace could not be made, opened or deleted.
    #[error("failed to prepare the namespace of {of}")]
    Namespace {
        /// Whose namespace.
        of: String,
        /// What failed.
        #[source]
        cause: NetnsError,
    },
    /// A link, address or entry could not be set.
    #[error("failed to connect {of}")]
    Link {
        /// What was being connected.
        of: String,
        /// What failed.
        #[source]
        cause: Box<NetlinkError>,
    },
    /// A link stays without function.
    #[error("the link of {of} does not come into operation")]
    NoCarrier {
        /// What was being connected.
        of: String,
    },
    /// The packet rules could not be set.
    #[error("failed to set the packet rules of {of}")]
    Rules {
        /// Whose rules.
        of: String,
        /// What failed.
        #[source]
        cause: NftError,
    },
    /// Flows of removed backends could not be forgotten.
    #[error("failed to move the flows of {of} to other backends")]
    Flows {
        /// Whose flows.
        of: String,
        /// What failed.
        #[source]
        cause: ConntrackError,
    },
    /// A kernel setting could not be made.
    #[error("failed to adjust the namespace of {of}")]
    Sysctl {
        /// Whose namespace.
        of: String,
        /// What failed.
        #[source]
        cause: SysctlError,
    },
    /// The resolver's sockets could not be made.
    #[error("failed to open the resolver of {of}")]
    ResolverSockets {
        /// Whose resolver.
        of: String,
        /// What failed.
        #[source]
        cause: BindError,
    },
    /// The resolver did not start.
    #[error("failed to start the resolver of {of}")]
    Resolver {
        /// Whose resolver.
        of: String,
        /// What failed.
        #[source]
        cause: StartError,
    },
    /// A network the task attaches to is not there.
    #[error("network {network} is not ready on this node")]
    NoOverlay {
        /// Which network.
        network: weft_proto::NetworkId,
    },
}

/// The error with all its causes, in one line.
pub fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String does not fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
