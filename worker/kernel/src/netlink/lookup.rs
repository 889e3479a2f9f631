//! Which way the kernel would send a packet.

use std::net::IpAddr;

use futures::StreamExt;
use nix::errno::Errno;
use rtnetlink::packet_route::route::RouteAttribute;
use rtnetlink::packet_route::route::RouteMessage;

use super::Family;
use super::LinkIndex;
use super::Netlink;
use super::NetlinkError;
use super::Operation;
use super::errno_of;
use super::route_message::family_of;
use super::route_message::read;

/// The way to a destination, as `ip route get` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The address packets would be sent from.
    pub source: Option<IpAddr>,
    /// The link they would leave by.
    pub link: Option<LinkIndex>,
    /// The next hop, unless the destination is on the link itself.
    pub gateway: Option<IpAddr>,
    /// Largest packet in bytes if the route says, for instance by path discovery; otherwise the
    /// link's MTU holds.
    pub mtu: Option<u32>,
}

impl Netlink {
    /// The way to `to`; `None` when there is none.
    ///
    /// # Errors
    /// When the kernel refuses to say.
    pub async fn path_to(&self, to: IpAddr) -> Result<Option<Lookup>, NetlinkError> {
        let mut question = RouteMessage::default();
        question.header.address_family = family_of(Family::of(to));
        question.header.destination_prefix_length = if to.is_ipv4() { 32 } else { 128 };
        question
            .attributes
            .push(RouteAttribute::Destination(to.into()));
        let mut answers = std::pin::pin!(self.handle.route().get(question).execute());
        let Some(answer) = answers.next().await else {
            return Ok(None);
        };
        let no_way = [Errno::ENETUNREACH, Errno::EHOSTUNREACH];
        if errno_of(&answer).is_some_and(|errno| no_way.contains(&errno)) {
            return Ok(None);
        }
        let message = self.judge(|| Operation::LookUpPath { to }, answer)?;
        Ok(read(&message).map(|route| Lookup {
            source: route.source,
            link: route.link,
            gateway: route.gateway,
            mtu: route.mtu,
        }))
    }
}
