//! Neighbour entries: which Ethernet address an IP address has on a link.

use std::net::IpAddr;

use nix::errno::Errno;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::neighbour::NeighbourAddress;
use rtnetlink::packet_route::neighbour::NeighbourAttribute;
use rtnetlink::packet_route::neighbour::NeighbourMessage;
use rtnetlink::packet_route::neighbour::NeighbourState;

use super::Device;
use super::Mac;
use super::NetlinkError;
use super::Operation;
use super::collect;
use super::settled;

/// A neighbour as observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub ip: IpAddr,
    /// Its Ethernet address; absent while being looked for.
    pub mac: Option<Mac>,
    /// Whether it was set (by us or an administrator) rather than learnt.
    pub permanent: bool,
}

impl Device {
    /// Sets a permanent neighbour, in place of what was known about `ip` here.
    ///
    /// # Errors
    /// When the link is gone.
    pub async fn set_neighbour(&self, ip: IpAddr, mac: Mac) -> Result<(), NetlinkError> {
        let request = self.netlink().handle.neighbours().add(self.index().0, ip);
        let answer = request.link_layer_address(&mac.0).replace().execute().await;
        let operation = || Operation::SetNeighbour {
            link: self.name().clone(),
            ip,
        };
        self.netlink().judge(operation, answer)
    }

    /// Deletes a neighbour. Absent is done.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn delete_neighbour(&self, ip: IpAddr) -> Result<(), NetlinkError> {
        let handle = self.netlink().handle.neighbours();
        let message = std::mem::take(handle.add(self.index().0, ip).message_mut());
        let answer = handle.del(message).execute().await;
        let answer = settled(answer, &[Errno::ENOENT, Errno::ENODEV, Errno::ENXIO]);
        let operation = || Operation::DeleteNeighbour {
            link: self.name().clone(),
            ip,
        };
        self.netlink().judge(operation, answer)
    }

    /// The neighbours on this link, IPv4 and IPv6, without group addresses and the like.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn neighbours(&self) -> Result<Vec<Neighbour>, NetlinkError> {
        let operation = || Operation::ListNeighbours {
            link: self.name().clone(),
        };
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = self
                .netlink()
                .handle
                .neighbours()
                .get()
                .set_address_family(family);
            request
                .message_mut()
                .attributes
                .push(NeighbourAttribute::IfIndex(self.index().0));
            let answer = collect(request.execute()).await;
            let messages = self.netlink().judge(operation, answer)?;
            found.extend(messages.iter().filter_map(read));
        }
        Ok(found)
    }
}

fn read(message: &NeighbourMessage) -> Option<Neighbour> {
    if message.header.state == NeighbourState::Noarp {
        return None;
    }
    let mut ip = None;
    let mut mac = None;
    for attribute in &message.attributes {
        if let NeighbourAttribute::Destination(address) = attribute {
            ip = read_ip(address);
        } else if let NeighbourAttribute::LinkLayerAddress(bytes) = attribute {
            mac = read_mac(bytes);
        }
    }
    let permanent = message.header.state == NeighbourState::Permanent;
    Some(Neighbour {
        ip: ip?,
        mac,
        permanent,
    })
}

/// Forwarding entries come without a family: there the length tells.
pub(super) fn read_ip(address: &NeighbourAddress) -> Option<IpAddr> {
    if let NeighbourAddress::Inet(ip) = address {
        return Some(IpAddr::V4(*ip));
    }
    if let NeighbourAddress::Inet6(ip) = address {
        return Some(IpAddr::V6(*ip));
    }
    let NeighbourAddress::Other(bytes) = address else {
        return None;
    };
    let v4 = <[u8; 4]>::try_from(bytes.as_slice()).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from))
        .ok()
}

pub(super) fn read_mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}
