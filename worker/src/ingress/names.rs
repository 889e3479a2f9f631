//! Names, numbers and addresses of the mesh's kernel objects.

use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;

use weft_kernel::netlink::Alias;
use weft_kernel::netlink::BadName;
use weft_kernel::netlink::IfName;
use weft_kernel::netlink::Mac;
use weft_proto::TaskId;
use weft_proto::addr::NodeNumber;

/// The host's end of the pair that leads into the ingress namespace.
pub(super) const WEFT0: &str = "weft0";
/// The ingress namespace's end of it.
pub(super) const HOST0: &str = "host0";
/// The way to the ingress namespaces of other nodes.
pub(super) const VXI: &str = "vxi";
/// A task's interface for published ports and its way out, inside the task's namespace.
pub(super) const EXT0: &str = "ext0";
/// Name of our tables, in the host's and in the ingress namespace.
pub(super) const TABLE: &str = "weft";

/// Bit of a mark that says: a reply to a connection that came over the mesh. The number of the node
/// it came from stands below it.
pub(super) const ORIGIN: u32 = 0x1_0000;
/// The routing table of such replies. Only in the ingress namespace, where nobody else has tables.
pub(super) const REPLY_TABLE: u32 = 100;
/// The next hop of such replies: nobody's, since the frame's address is rewritten as it leaves.
pub(super) const REPLY_HOP: Ipv4Addr = Ipv4Addr::new(169, 254, 255, 254);
/// The Ethernet address of that next hop.
pub(super) const REPLY_MAC: Mac = Mac([2, 0xff, 0xff, 0xff, 0xff, 0xff]);

/// Where the ingress namespace is mounted.
pub(super) fn netns_path(run_dir: &Path) -> PathBuf {
    run_dir.join("netns").join("ingress")
}

/// The mark of replies to a node.
pub(super) fn mark_of(number: NodeNumber) -> u32 {
    ORIGIN + u32::from(number.get())
}

/// The address of a node's VXLAN device.
pub(super) fn node_mac(number: NodeNumber) -> Mac {
    let [high, low] = number.get().to_be_bytes();
    Mac([2, 0xff, 0, 0, high, low])
}

/// The addresses of a task's pair of interfaces: ours, and the task's.
pub(super) fn port_macs(number: NodeNumber, offset: u8) -> (Mac, Mac) {
    let [high, low] = number.get().to_be_bytes();
    let mac = |end| Mac([2, 0xff, end, high, low, offset]);
    (mac(1), mac(2))
}

/// Our end of a task's pair.
pub(super) fn port_name(offset: u8) -> Result<IfName, BadName> {
    IfName::new(format!("t{offset}"))
}

/// What marks both ends of a task's pair.
pub(super) fn port_alias(task: TaskId) -> Result<Alias, BadName> {
    Alias::new(format!("ingress {task}"))
}
