//! Makes links, or adopts those that are already there: each `ensure_*` leaves the link as its spec
//! says, and touches only what differs. New links are down, carry their alias, and get no IPv6
//! address of the kernel's making.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;

use rtnetlink::LinkBridge;
use rtnetlink::LinkMessageBuilder;
use rtnetlink::LinkUnspec;
use rtnetlink::LinkVeth;
use rtnetlink::LinkVxlan;
use rtnetlink::packet_route::link::InfoData;
use rtnetlink::packet_route::link::InfoVeth;
use rtnetlink::packet_route::link::LinkMessage;

use super::Alias;
use super::Cause;
use super::Device;
use super::IfName;
use super::Link;
use super::LinkKind;
use super::Mac;
use super::Netlink;
use super::NetlinkError;
use super::Operation;
use super::Vni;
use super::VxlanState;

/// Hop limit of outer packets: they cross routers between nodes; Linux's own default for packets.
const VXLAN_TTL: u8 = 64;

/// A bridge to make: without group snooping, so that it needs no querier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeSpec {
    /// Its name.
    pub name: IfName,
    /// Whom it is for.
    pub alias: Alias,
    /// Largest packet in bytes.
    pub mtu: u32,
}

/// A VXLAN device to make: no learning, an explicit source address, UDP checksums always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VxlanSpec {
    /// Its name.
    pub name: IfName,
    /// Whom it is for.
    pub alias: Alias,
    /// The network identifier.
    pub vni: Vni,
    /// Source of outer packets; decides between an IPv4 and an IPv6 underlay.
    pub local: IpAddr,
    /// UDP port at both ends.
    pub port: u16,
    /// Largest inner packet in bytes.
    pub mtu: u32,
    /// Ethernet address; the kernel draws one if absent.
    pub mac: Option<Mac>,
}

/// One end of a veth pair to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VethEnd {
    /// Its name.
    pub name: IfName,
    /// Whom it is for.
    pub alias: Alias,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Ethernet address; the kernel draws one if absent.
    pub mac: Option<Mac>,
}

impl Netlink {
    /// Makes or adopts a bridge.
    ///
    /// # Errors
    /// A conflict when another kind of link has the name; otherwise what the kernel refused.
    pub async fn ensure_bridge(&self, spec: &BridgeSpec) -> Result<Device, NetlinkError> {
        let operation = || Operation::CreateBridge {
            link: spec.name.clone(),
        };
        let found = match self.link(&spec.name).await? {
            Some(link) => {
                let same = matches!(
                    link.kind,
                    LinkKind::Bridge {
                        mcast_snooping: false
                    }
                );
                self.judge(operation, fits(same, &link))?;
                link
            }
            None => {
                let message = LinkMessageBuilder::<LinkBridge>::new(spec.name.as_str())
                    .mtu(spec.mtu)
                    .mcast_snooping(false)
                    .build();
                self.make(operation, message).await?;
                self.device(&spec.name).await?.observe().await?
            }
        };
        self.dress(&found, &spec.alias, spec.mtu, None).await
    }

    /// Makes a VXLAN device inside the namespace of `into`, or adopts it there. The UDP socket of
    /// its outer packets belongs to the namespace of `self`, now and for good: nothing in `into`
    /// can reach the underlay by it.
    ///
    /// # Errors
    /// A conflict when the link there has another identifier, source or port: delete it first.
    /// That an identifier is taken on this port in the underlay's namespace shows as `EEXIST`.
    pub async fn ensure_vxlan(
        &self,
        spec: &VxlanSpec,
        into: &Netlink,
    ) -> Result<Device, NetlinkError> {
        let operation = || Operation::CreateVxlan {
            link: spec.name.clone(),
            vni: spec.vni,
        };
        let found = match into.link(&spec.name).await? {
            Some(link) => {
                let wanted = VxlanState {
                    vni: spec.vni,
                    local: Some(spec.local),
                    port: spec.port,
                    learning: false,
                };
                into.judge(operation, fits(link.kind == LinkKind::Vxlan(wanted), &link))?;
                link
            }
            None => {
                self.make(operation, vxlan_message(spec, into)).await?;
                into.device(&spec.name).await?.observe().await?
            }
        };
        into.dress(&found, &spec.alias, spec.mtu, spec.mac).await
    }

    /// Makes a veth pair with one end here and the other directly in the namespace of `there`, or
    /// adopts it. Returns this end and the other.
    ///
    /// # Errors
    /// A conflict when one of the names belongs to a link that is not an end of this pair.
    pub async fn ensure_veth(
        &self,
        here: &VethEnd,
        there: &Netlink,
        peer: &VethEnd,
    ) -> Result<(Device, Device), NetlinkError> {
        let operation = || Operation::CreateVeth {
            link: here.name.clone(),
            peer: peer.name.clone(),
        };
        if self.link(&here.name).await?.is_none() && there.link(&peer.name).await?.is_none() {
            self.make(operation, veth_message(here, there, peer))
                .await?;
        }
        let (Some(mine), Some(other)) =
            (self.link(&here.name).await?, there.link(&peer.name).await?)
        else {
            let found = "the end of another pair, or no end at all".to_owned();
            return Err(self.failed(
                operation(),
                Cause::Differs {
                    what: "peer",
                    found,
                },
            ));
        };
        let linked = mine.peer == Some(other.index) && other.peer == Some(mine.index);
        self.judge(
            operation,
            fits(linked && mine.kind == LinkKind::Veth, &mine),
        )?;
        Ok((
            self.dress(&mine, &here.alias, here.mtu, here.mac).await?,
            there.dress(&other, &peer.alias, peer.mtu, peer.mac).await?,
        ))
    }

    async fn make(
        &self,
        operation: impl FnOnce() -> Operation,
        message: LinkMessage,
    ) -> Result<(), NetlinkError> {
        let answer = self.handle.link().add(message).execute().await;
        self.judge(operation, answer)
    }

    /// Brings what may change during a link's life to what is wanted, where it differs.
    async fn dress(
        &self,
        link: &Link,
        alias: &Alias,
        mtu: u32,
        mac: Option<Mac>,
    ) -> Result<Device, NetlinkError> {
        let device = Device::new(self, link.name.clone(), link.index);
        // First the mark: if the rest fails, the leftover is recognised.
        if link.alias.as_deref() != Some(alias.as_str()) || link.generates_addresses == Some(true) {
            device.mark_owned(alias).await?;
        }
        if link.mtu != mtu {
            device.set_mtu(mtu).await?;
        }
        if let Some(mac) = mac.filter(|mac| link.mac != Some(*mac)) {
            device.set_mac(mac).await?;
        }
        Ok(device)
    }
}

fn fits(same: bool, link: &Link) -> Result<(), Cause> {
    if same {
        return Ok(());
    }
    Err(Cause::Differs {
        what: "kind or options",
        found: link.kind.to_string(),
    })
}

/// The target namespace is named at creation rather than moved to afterwards: the device never
/// appears under its name in the underlay's namespace, so nothing there can clash with it, and the
/// kernel takes the sender's namespace for the socket in both cases.
fn vxlan_message(spec: &VxlanSpec, into: &Netlink) -> LinkMessage {
    let message = LinkVxlan::new(spec.name.as_str(), spec.vni.get())
        .port(spec.port)
        .learning(false)
        .ttl(VXLAN_TTL)
        .udp_csum(true)
        .udp_zero_csum6_tx(false)
        .udp_zero_csum6_rx(false)
        .mtu(spec.mtu)
        .setns_by_fd(into.netns().as_fd().as_raw_fd());
    let message = match spec.local {
        IpAddr::V4(local) => message.local(local),
        IpAddr::V6(local) => message.local6(local),
    };
    match spec.mac {
        Some(mac) => message.address(mac.0.to_vec()).build(),
        None => message.build(),
    }
}

fn veth_message(here: &VethEnd, there: &Netlink, peer: &VethEnd) -> LinkMessage {
    let mut other = LinkMessageBuilder::<LinkUnspec>::new()
        .name(peer.name.as_str())
        .mtu(peer.mtu)
        .setns_by_fd(there.netns().as_fd().as_raw_fd());
    if let Some(mac) = peer.mac {
        other = other.address(mac.0.to_vec());
    }
    let mut message = LinkVeth::new(here.name.as_str(), peer.name.as_str())
        .mtu(here.mtu)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(other.build())));
    if let Some(mac) = here.mac {
        message = message.address(mac.0.to_vec());
    }
    message.build()
}
