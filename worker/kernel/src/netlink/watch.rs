//! Notices of change. They only hint: the kernel drops them when the reader is slow, so look again
//! on a timer too.

use std::sync::Arc;

use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkMessage;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::SocketAddr;

use super::Cause;
use super::Driver;
use super::NetlinkError;
use super::Operation;
use crate::netns::Netns;

/// What kind of thing changed in the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hint {
    /// A link appeared, changed or went.
    Link,
    /// An address did.
    Address,
    /// A route did.
    Route,
    /// A neighbour or forwarding entry did.
    Neighbour,
}

/// A subscription to the changes in one namespace; ends when dropped.
#[derive(Debug)]
pub struct Hints {
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    _driver: Arc<Driver>,
}

impl Hints {
    /// Subscribes to all changes in `netns`.
    ///
    /// # Errors
    /// Outside a runtime, when the namespace cannot be entered, or without a netlink socket.
    pub fn open(netns: &Netns) -> Result<Self, NetlinkError> {
        let failed = |cause| NetlinkError {
            operation: Operation::Watch,
            place: netns.place().clone(),
            cause,
        };
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ];
        let runtime =
            tokio::runtime::Handle::try_current().map_err(|_| failed(Cause::NoRuntime))?;
        let (connection, _, messages) = netns
            .run_in(|| {
                let _inside = runtime.enter();
                rtnetlink::new_multicast_connection(&groups)
            })
            .map_err(|cause| failed(Cause::Namespace(cause)))?
            .map_err(|cause| failed(Cause::Kernel(cause)))?;
        let driver = Arc::new(Driver(runtime.spawn(connection).abort_handle()));
        Ok(Self {
            messages,
            _driver: driver,
        })
    }

    /// The next hint; `None` when the subscription broke and must be opened anew. Cancel-safe.
    pub async fn next(&mut self) -> Option<Hint> {
        loop {
            let (message, _) = self.messages.next().await?;
            if let Some(hint) = read(&message) {
                return Some(hint);
            }
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only what was subscribed to"
)]
fn read(message: &NetlinkMessage<RouteNetlinkMessage>) -> Option<Hint> {
    let NetlinkPayload::InnerMessage(change) = &message.payload else {
        return None;
    };
    match change {
        RouteNetlinkMessage::NewLink(_) | RouteNetlinkMessage::DelLink(_) => Some(Hint::Link),
        RouteNetlinkMessage::NewAddress(_) | RouteNetlinkMessage::DelAddress(_) => {
            Some(Hint::Address)
        }
        RouteNetlinkMessage::NewRoute(_) | RouteNetlinkMessage::DelRoute(_) => Some(Hint::Route),
        RouteNetlinkMessage::NewNeighbour(_) | RouteNetlinkMessage::DelNeighbour(_) => {
            Some(Hint::Neighbour)
        }
        _ => None,
    }
}
