//! What our links say they are for.

use weft_kernel::netlink::Alias;
use weft_kernel::netlink::BadName;
use weft_kernel::netlink::Link;
use weft_proto::NetworkId;
use weft_proto::TaskId;

/// A link that belongs to a network.
pub(in crate::network) fn network(id: NetworkId) -> Result<Alias, BadName> {
    Alias::new(format!("net-{id}"))
}

/// A network's port to a task.
pub(in crate::network) fn port(task: TaskId) -> Result<Alias, BadName> {
    Alias::new(format!("task-{task}"))
}

/// The task that a port leads to.
pub(super) fn task_of(link: &Link) -> Option<TaskId> {
    link.purpose()?.strip_prefix("task-")?.parse().ok()
}
