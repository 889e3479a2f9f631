//! Makes a network on this node, or brings the one that is there to what is wanted.

use super::BRIDGE;
use super::alias;
use super::guard;
use super::observe;
use super::observe::known;
use super::observe::tunnel_name;
use super::plan::Step;
use super::plan::plan;
use super::plan::stale_ports;
use crate::network::NetworkError;
use crate::network::Places;
use crate::network::wanted::Overlay;
use crate::rules::Keeper;
use std::collections::BTreeSet;
use weft_kernel::netlink::BadName;
use weft_kernel::netlink::BridgeSpec;
use weft_kernel::netlink::Device;
use weft_kernel::netlink::IfName;
use weft_kernel::netlink::Mac;
use weft_kernel::netlink::Netlink;
use weft_kernel::netlink::NetlinkError;
use weft_kernel::netlink::PortFlags;
use weft_kernel::netlink::Vni;
use weft_kernel::netlink::VxlanSpec;
use weft_kernel::netns::Netns;
use weft_proto::NetworkId;
use weft_proto::TaskId;
use weft_proto::defaults;

/// The bridge's own Ethernet address, the same everywhere: nobody ever talks to it. No address makes
/// a task's one like it.
const BRIDGE_MAC: Mac = Mac([2, 0xfe, 0, 0, 0, 1]);

/// A network that is there.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Its namespace.
    pub netlink: Netlink,
    /// The bridge that tasks are connected by.
    pub bridge: Device,
    /// The way to the other nodes.
    pub(super) tunnel: Device,
}

/// Makes the network's namespace, guard and devices, or adopts them. Outer packets belong to the
/// namespace of `host`. Who is where is left to [`settle`]. Tasks in `keep` may go on to send, even
/// when nobody knows any more what they are.
///
/// # Errors
/// When the kernel refuses; what was done stays, and the next call goes on from there.
pub async fn join(
    host: &Netlink,
    places: &Places,
    wanted: &Overlay,
    keep: &BTreeSet<TaskId>,
) -> Result<Joined, NetworkError> {
    let of = || format!("network {}", wanted.id);
    let failed = |cause| NetworkError::Link {
        of: of(),
        cause: Box::new(cause),
    };
    let named = |cause| NetworkError::Name { of: of(), cause };
    let netns = Netns::ensure(places.network(wanted.id))
        .map_err(|cause| NetworkError::Namespace { of: of(), cause })?;
    let netlink = Netlink::open(&netns).map_err(failed)?;
    // Before the first port: there is no moment in which a task can lie about who it is.
    let guard = guard::rules(wanted, keep).map_err(named)?;
    Keeper::default()
        .settle(&netns, guard)
        .await
        .map_err(|cause| NetworkError::Rules { of: of(), cause })?;
    let (bridge, tunnel) = specs(wanted).map_err(named)?;
    devices(host, netlink, &bridge, &tunnel)
        .await
        .map_err(failed)
}

fn specs(wanted: &Overlay) -> Result<(BridgeSpec, VxlanSpec), BadName> {
    let alias = alias::network(wanted.id)?;
    let bridge = BridgeSpec {
        name: IfName::new(BRIDGE)?,
        alias: alias.clone(),
        mtu: wanted.mtu,
    };
    let tunnel = VxlanSpec {
        name: tunnel_name()?,
        alias,
        vni: Vni::new(wanted.vni.get())?,
        local: wanted.local,
        port: defaults::VXLAN_PORT,
        mtu: wanted.mtu,
        mac: None,
    };
    Ok((bridge, tunnel))
}

async fn devices(
    host: &Netlink,
    netlink: Netlink,
    bridge: &BridgeSpec,
    tunnel: &VxlanSpec,
) -> Result<Joined, NetlinkError> {
    let bridge = netlink.ensure_bridge(bridge).await?;
    // Otherwise the bridge takes over the address of one port or another, and each time the kernel
    // forgets all neighbours of the bridge, also those that were set for good.
    if bridge.observe().await?.mac != Some(BRIDGE_MAC) {
        bridge.set_mac(BRIDGE_MAC).await?;
    }
    let made = host.ensure_vxlan(tunnel, &netlink).await;
    let tunnel = match made {
        // Its source or number is fixed at creation; the node has another data address now.
        Err(error) if error.is_conflict() => {
            netlink.delete_link(&tunnel.name).await?;
            host.ensure_vxlan(tunnel, &netlink).await?
        }
        Ok(_) | Err(_) => made?,
    };
    let seen = tunnel.observe().await?;
    if seen.master != Some(bridge.index()) {
        tunnel.set_master(&bridge).await?;
    }
    if seen.port != Some(PortFlags::REMOTE) {
        tunnel.set_port_flags(PortFlags::REMOTE).await?;
    }
    for device in [&tunnel, &bridge] {
        if !device.observe().await?.up {
            device.set_up().await?;
        }
    }
    Ok(Joined {
        netlink,
        bridge,
        tunnel,
    })
}

/// Tells the network who is where. Ports of tasks in `keep` stay, even when nobody knows any more
/// what they are for.
///
/// # Errors
/// The first of those the kernel did not take; it was told all others.
pub async fn settle(
    joined: &Joined,
    wanted: &Overlay,
    keep: &BTreeSet<TaskId>,
) -> Result<(), NetworkError> {
    let failed = |cause| NetworkError::Link {
        of: format!("network {}", wanted.id),
        cause: Box::new(cause),
    };
    let seen = known(joined).await.map_err(failed)?;
    let mut result = Ok(());
    for port in stale_ports(&seen, wanted, keep) {
        result = result.and(joined.netlink.delete_link(&port).await);
    }
    for step in plan(&seen, wanted) {
        result = result.and(tell(joined, step).await);
    }
    result.map_err(failed)
}

async fn tell(joined: &Joined, step: Step) -> Result<(), NetlinkError> {
    match step {
        Step::ForgetNeighbour(ip) => joined.bridge.delete_neighbour(ip).await,
        Step::ForgetTurn(mac) => joined.tunnel.delete_port_entry(mac).await,
        Step::ForgetNode(mac) => joined.tunnel.delete_tunnel_entry(mac).await,
        Step::Node(mac, node) => joined.tunnel.set_tunnel_entry(mac, node).await,
        Step::Turn(mac) => joined.tunnel.set_port_entry(mac).await,
        Step::Neighbour(ip, mac) => joined.bridge.set_neighbour(ip, mac).await,
    }
}

/// Takes the tunnel out of a network whose namespace somebody took away: its number on the wire is
/// needed for the one that takes its place.
///
/// # Errors
/// When the kernel refuses.
pub async fn abandon(joined: &Joined) -> Result<(), NetworkError> {
    let deleted = joined.tunnel.delete().await;
    deleted.map_err(|cause| NetworkError::Link {
        of: joined.netlink.netns().place().to_string(),
        cause: Box::new(cause),
    })
}

/// Removes a network from this node. Absent is done.
///
/// # Errors
/// When the kernel refuses; the next call goes on from there.
pub async fn leave(places: &Places, network: NetworkId) -> Result<(), NetworkError> {
    let of = || format!("network {network}");
    // The namespace ends some time after its last user; its number on the wire must be free now.
    if let Some(netlink) = observe::open(places, network)? {
        let failed = |cause| NetworkError::Link {
            of: of(),
            cause: Box::new(cause),
        };
        for link in netlink.links().await.map_err(failed)? {
            if link.purpose().is_some() {
                netlink.delete_link(&link.name).await.map_err(failed)?;
            }
        }
    }
    Netns::delete(places.network(network))
        .map_err(|cause| NetworkError::Namespace { of: of(), cause })
}
