//! A network on this node: a namespace with a bridge, whose one port leads to the other nodes and
//! whose others lead to tasks. Who is where is told, not learnt: nothing is flooded between nodes.

pub(super) mod alias;
mod apply;
mod guard;
mod observe;
mod plan;

pub use apply::Joined;
pub use apply::abandon;
pub use apply::join;
pub use apply::leave;
pub use apply::settle;
pub use observe::held_by;
pub use observe::open;

use weft_kernel::netlink::BadName;
use weft_kernel::netlink::IfName;
use weft_proto::TaskId;

/// The bridge's name, the same in every network's namespace.
const BRIDGE: &str = "br0";

/// The VXLAN device's name. The guard lets everything in that comes from it.
const TUNNEL: &str = "vx0";

/// The name of a task's port, from the end of its identifier: 14 of 25 characters hold 72 bits.
pub(super) fn port_name(task: TaskId) -> Result<IfName, BadName> {
    let tail = task.as_str().get(11..).unwrap_or_default();
    IfName::new(format!("t{tail}"))
}
