//! The resolver every task finds at 127.0.0.11: names of the services and tasks it shares a
//! network with, and everything else forwarded to the node's own resolvers.
//!
//! - [`DnsTable`] (pure): what one task can see, built with [`DnsTableBuilder`].
//! - [`bind_in`]: sockets made inside the task's network namespace.
//! - [`DnsServer`]: answers on them from the agent's own threads; the table is swapped live.
//! - [`Forwarding`], [`ResolvConf`]: where unknown names go, and whether they may go anywhere.

mod answer;
mod builder;
mod forward;
mod resolv_conf;
mod server;
mod sockets;
mod table;
mod tcp;
mod udp;

#[cfg(test)]
mod tests;

pub use builder::DnsTableBuilder;
pub use builder::InvalidName;
pub use builder::SrvTarget;
pub use forward::Forwarding;
pub use forward::Upstreams;
pub use resolv_conf::ResolvConf;
pub use resolv_conf::task_resolv_conf;
pub use server::DnsHandle;
pub use server::DnsServer;
pub use server::StartError;
pub use sockets::BindError;
pub use sockets::Sockets;
pub use sockets::bind;
pub use sockets::bind_in;
pub use table::Answer;
pub use table::DnsTable;
pub use table::Outcome;

use std::net::Ipv4Addr;

/// Where a task finds its resolver. All of 127.0.0.0/8 is local once loopback is up, so no
/// address has to be added; the last number is the one Docker's users know.
pub const RESOLVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// The port the sockets really listen on, inside the task's namespace. Not 53: that would break
/// every task that is itself a DNS server on 0.0.0.0:53. A rule in the namespace redirects
/// 127.0.0.11:53 here (udp and tcp). It lies inside Linux' default range of
/// ephemeral ports (32768-60999), which does no harm: we bind it before the task's first process
/// starts, and the kernel hands out only free ones.
pub const RESOLVER_PORT: u16 = 40053;

/// How long an answer may be kept, in seconds. The server is on the task's own loopback, so a
/// cache saves nothing, while a dead task stays in a cached answer for this long. Not 0, which
/// some caches read as "no limit given".
pub const DEFAULT_TTL_SECONDS: u32 = 1;
