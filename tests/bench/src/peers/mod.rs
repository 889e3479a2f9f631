//! What is compared, each as a group of three members in namespaces of their own: Weft itself and
//! its peers out of Debian.

mod etcd;
mod http;
mod process;
mod socket;
mod swarm;
mod weft;

pub(crate) use etcd::Etcd;

pub(crate) use process::cpu;
pub(crate) use process::memory;
pub(crate) use swarm::Swarm;
pub(crate) use weft::Weft;
pub(crate) use weft::object_size;

use crate::load::Client;
use std::future::Future;

/// How long anything may take that is not measured itself.
pub(crate) const CEILING: std::time::Duration = std::time::Duration::from_secs(120);

/// How many clients are made at once.
const AT_ONCE: usize = 16;

/// A group of members that replicate a log.
pub(crate) trait Group {
    /// Its callers.
    type Client: Client;

    /// So many callers, each with a connection and an object of its own, spread over all members;
    /// the first one is connected to the leader.
    fn clients(
        &self,
        count: usize,
    ) -> impl Future<Output = anyhow::Result<Vec<Self::Client>>> + Send;

    /// So many callers of every member but this one, as [`Group::clients`] makes them.
    fn survivors(
        &self,
        dead: usize,
        each: usize,
    ) -> impl Future<Output = anyhow::Result<Vec<Self::Client>>> + Send;

    /// Which member leads.
    fn leader(&self) -> impl Future<Output = anyhow::Result<usize>> + Send;

    /// The processes of all members.
    fn pids(&self) -> anyhow::Result<Vec<i32>>;

    /// Ends a member without a word. On return it says nothing any more; it may not be buried yet.
    fn kill(&self, member: usize) -> anyhow::Result<()>;

    /// Waits until a killed member is gone altogether.
    fn buried(&self, member: usize) -> anyhow::Result<()>;

    /// Starts a member again and waits until it takes part.
    fn restart(&self, member: usize) -> impl Future<Output = anyhow::Result<()>> + Send;
}
