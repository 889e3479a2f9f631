//! Forwarding entries: by which port, or to which tunnel end, frames for an Ethernet address go.

use std::net::IpAddr;

use nix::errno::Errno;
use rtnetlink::NeighbourAddRequest;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::neighbour::NeighbourAttribute;
use rtnetlink::packet_route::neighbour::NeighbourFlags;
use rtnetlink::packet_route::neighbour::NeighbourMessage;
use rtnetlink::packet_route::neighbour::NeighbourState;

use super::Device;
use super::Mac;
use super::NetlinkError;
use super::Operation;
use super::collect;
use super::neighbour::read_ip;
use super::neighbour::read_mac;
use super::settled;

/// Where a forwarding entry sends its frames, and who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FdbVia {
    /// The VXLAN device sends them to the tunnel end at this address.
    Tunnel(IpAddr),
    /// The bridge sends them out of this port, as it was told.
    Port,
    /// The bridge sends them out of this port, as it learnt from traffic.
    Learnt,
    /// The port's own address.
    Own,
}

/// A forwarding entry as observed on one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FdbEntry {
    /// For frames to this address.
    pub mac: Mac,
    /// Where they go.
    pub via: FdbVia,
}

impl Device {
    /// Has this VXLAN device send frames for `mac` to the tunnel end `to`, in place of another.
    ///
    /// # Errors
    /// When the link is gone or no VXLAN device, or `to` is of another family than its `local`.
    pub async fn set_tunnel_entry(&self, mac: Mac, to: IpAddr) -> Result<(), NetlinkError> {
        let request = self.entry(mac).destination(to).flags(NeighbourFlags::Own);
        let answer = request.replace().execute().await;
        let operation = || Operation::SetForwarding {
            link: self.name().clone(),
            mac,
        };
        self.netlink().judge(operation, answer)
    }

    /// Deletes the tunnel entry for `mac`. Absent is done.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn delete_tunnel_entry(&self, mac: Mac) -> Result<(), NetlinkError> {
        self.delete_entry(mac, NeighbourFlags::Own).await
    }

    /// Has the bridge of this port send frames for `mac` here: for good, and even if the port
    /// learns.
    ///
    /// # Errors
    /// When the link is gone or no port of a bridge.
    pub async fn set_port_entry(&self, mac: Mac) -> Result<(), NetlinkError> {
        // `bridge fdb .. static`: an entry that does not age; "permanent" would mean the port's own.
        let request = self.entry(mac).state(NeighbourState::Noarp);
        let answer = request
            .flags(NeighbourFlags::Controller)
            .replace()
            .execute()
            .await;
        let operation = || Operation::SetForwarding {
            link: self.name().clone(),
            mac,
        };
        self.netlink().judge(operation, answer)
    }

    /// Deletes the bridge's entry for `mac` at this port. Absent is done.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn delete_port_entry(&self, mac: Mac) -> Result<(), NetlinkError> {
        self.delete_entry(mac, NeighbourFlags::Controller).await
    }

    /// The forwarding entries of this link: its bridge's for this port and, for a VXLAN device, its
    /// tunnel entries. Sorted.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn forwarding(&self) -> Result<Vec<FdbEntry>, NetlinkError> {
        let handle = self.netlink().handle.neighbours();
        let mut request = handle.get().set_address_family(AddressFamily::Bridge);
        request.message_mut().header.ifindex = self.index().0;
        let answer = collect(request.execute()).await;
        let operation = || Operation::ListForwarding {
            link: self.name().clone(),
        };
        let messages = self.netlink().judge(operation, answer)?;
        let mut found: Vec<_> = messages
            .iter()
            // Not every kernel filters bridge entries by port.
            .filter(|message| message.header.ifindex == self.index().0)
            .filter_map(read)
            .collect();
        found.sort_unstable();
        Ok(found)
    }

    fn entry(&self, mac: Mac) -> NeighbourAddRequest {
        self.netlink()
            .handle
            .neighbours()
            .add_bridge(self.index().0, &mac.0)
    }

    async fn delete_entry(&self, mac: Mac, at: NeighbourFlags) -> Result<(), NetlinkError> {
        let message = std::mem::take(self.entry(mac).flags(at).message_mut());
        let answer = self
            .netlink()
            .handle
            .neighbours()
            .del(message)
            .execute()
            .await;
        let answer = settled(answer, &[Errno::ENOENT, Errno::ENODEV]);
        let operation = || Operation::DeleteForwarding {
            link: self.name().clone(),
            mac,
        };
        self.netlink().judge(operation, answer)
    }
}

fn read(message: &NeighbourMessage) -> Option<FdbEntry> {
    let mut mac = None;
    let mut tunnel = None;
    for attribute in &message.attributes {
        if let NeighbourAttribute::LinkLayerAddress(bytes) = attribute {
            mac = read_mac(bytes);
        } else if let NeighbourAttribute::Destination(address) = attribute {
            tunnel = read_ip(address);
        }
    }
    let state = message.header.state;
    let via = if let Some(to) = tunnel {
        FdbVia::Tunnel(to)
    } else if message.header.flags.contains(NeighbourFlags::Own) {
        // Groups a device listens to; nobody set them.
        return None;
    } else if state == NeighbourState::Permanent {
        FdbVia::Own
    } else if state == NeighbourState::Noarp {
        FdbVia::Port
    } else {
        FdbVia::Learnt
    };
    Some(FdbEntry { mac: mac?, via })
}
