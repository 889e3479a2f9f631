//! Links, addresses, routes, rules, neighbours and forwarding entries of one namespace, over route
//! netlink. Settings replace what is there and deletions take absent for done, so every call may be
//! repeated.

mod address;
mod change;
mod create;
mod error;
mod fdb;
mod link;
mod lookup;
mod name;
mod neighbour;
mod observe;
mod port;
mod route;
mod route_message;
mod rule;
mod watch;

use std::sync::Arc;

use futures::TryStreamExt;
use futures::stream::Stream;
use nix::errno::Errno;
use rtnetlink::Handle;
use tokio::task::AbortHandle;

use crate::netns::Netns;

pub use address::Address;
pub use address::AddressOptions;
pub use change::Device;
pub use create::BridgeSpec;
pub use create::VethEnd;
pub use create::VxlanSpec;
pub use error::Cause;
pub use error::NetlinkError;
pub use error::Operation;
pub use fdb::FdbEntry;
pub use fdb::FdbVia;
pub use link::Counters;
pub use link::Link;
pub use link::LinkIndex;
pub use link::LinkKind;
pub use link::OperState;
pub use link::VxlanState;
pub use lookup::Lookup;
pub use name::Alias;
pub use name::BadName;
pub use name::IfName;
pub use name::Mac;
pub use name::Vni;
pub use neighbour::Neighbour;
pub use port::PortFlags;
pub use route::Family;
pub use route::PROTOCOL_OURS;
pub use route::Route;
pub use route::RouteFilter;
pub use route::RouteKind;
pub use route::TABLE_LOCAL;
pub use route::TABLE_MAIN;
pub use rule::Rule;
pub use watch::Hint;
pub use watch::Hints;

/// A netlink connection into one namespace. Clones share the connection, which ends with the last.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: Handle,
    netns: Netns,
    _driver: Arc<Driver>,
}

/// Ends the task that reads the socket when nobody can ask any more.
#[derive(Debug)]
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Netlink {
    /// Connects to `netns`: the socket is made inside by a throw-away thread and served by the
    /// runtime that calls this.
    ///
    /// # Errors
    /// Outside a runtime, when the namespace cannot be entered, or without a netlink socket.
    pub fn open(netns: &Netns) -> Result<Self, NetlinkError> {
        let failed = |cause| NetlinkError {
            operation: Operation::Connect,
            place: netns.place().clone(),
            cause,
        };
        let runtime =
            tokio::runtime::Handle::try_current().map_err(|_| failed(Cause::NoRuntime))?;
        // Strict checking lets the kernel filter dumps by link and table, so that looking at one
        // device does not copy the entries of all.
        let (connection, handle, _) = netns
            .run_in(|| {
                let _inside = runtime.enter();
                rtnetlink::new_connection_with_strict_check()
            })
            .map_err(|cause| failed(Cause::Namespace(cause)))?
            .map_err(|cause| failed(Cause::Kernel(cause)))?;
        let driver = Arc::new(Driver(runtime.spawn(connection).abort_handle()));
        Ok(Self {
            handle,
            netns: netns.clone(),
            _driver: driver,
        })
    }

    /// Connects to the namespace of the process.
    ///
    /// # Errors
    /// As [`Netlink::open`].
    pub fn current() -> Result<Self, NetlinkError> {
        let netns = Netns::current().map_err(|cause| NetlinkError {
            operation: Operation::Connect,
            place: crate::netns::Place::Process,
            cause: Cause::Namespace(cause),
        })?;
        Self::open(&netns)
    }

    /// The namespace this connection leads to.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    fn failed(&self, operation: Operation, cause: impl Into<Cause>) -> NetlinkError {
        NetlinkError {
            operation,
            place: self.netns.place().clone(),
            cause: cause.into(),
        }
    }

    /// Names the operation in the error of `result`, if it has one.
    fn judge<T>(
        &self,
        operation: impl FnOnce() -> Operation,
        result: Result<T, impl Into<Cause>>,
    ) -> Result<T, NetlinkError> {
        result.map_err(|cause| self.failed(operation(), cause))
    }
}

/// Collects a dump.
async fn collect<T>(
    dump: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Vec<T>, rtnetlink::Error> {
    dump.try_collect().await
}

/// Takes the refusals in `done` for success: the kernel says that there is nothing left to do.
fn settled(result: Result<(), rtnetlink::Error>, done: &[Errno]) -> Result<(), rtnetlink::Error> {
    match errno_of(&result) {
        Some(errno) if done.contains(&errno) => Ok(()),
        Some(_) | None => result,
    }
}

/// The kernel's refusal in `result`, if it is one.
fn errno_of<T>(result: &Result<T, rtnetlink::Error>) -> Option<Errno> {
    if let Err(rtnetlink::Error::NetlinkError(refusal)) = result {
        return Some(Errno::from_raw(refusal.raw_code().wrapping_neg()));
    }
    None
}
