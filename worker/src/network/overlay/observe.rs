//! What is there of a network, also from an earlier daemon.

use super::TUNNEL;
use super::alias;
use super::apply::Joined;
use crate::network::NetworkError;
use crate::network::Places;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use weft_kernel::netlink::FdbVia;
use weft_kernel::netlink::IfName;
use weft_kernel::netlink::Mac;
use weft_kernel::netlink::Netlink;
use weft_kernel::netlink::NetlinkError;
use weft_kernel::netns::Netns;
use weft_proto::NetworkId;
use weft_proto::TaskId;

/// Who is where, as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// To which node frames for an address are sent.
    pub(super) tunnels: BTreeMap<Mac, IpAddr>,
    /// Addresses that the bridge sends to the tunnel.
    pub(super) behind_tunnel: BTreeSet<Mac>,
    /// What the bridge answers when asked.
    pub(super) neighbours: BTreeMap<IpAddr, Mac>,
    /// Ports that lead to tasks.
    pub(super) ports: BTreeMap<IfName, TaskId>,
}

/// Reads who is where.
pub(super) async fn known(joined: &Joined) -> Result<Known, NetlinkError> {
    let mut known = Known {
        ports: ports(&joined.netlink).await?,
        ..Known::default()
    };
    for entry in joined.tunnel.forwarding().await? {
        match entry.via {
            FdbVia::Tunnel(to) => _ = known.tunnels.insert(entry.mac, to),
            FdbVia::Port => _ = known.behind_tunnel.insert(entry.mac),
            FdbVia::Learnt | FdbVia::Own => {}
        }
    }
    let neighbours = joined.bridge.neighbours().await?.into_iter();
    let permanent = neighbours.filter(|neighbour| neighbour.permanent);
    known.neighbours = permanent
        .filter_map(|neighbour| Some((neighbour.ip, neighbour.mac?)))
        .collect();
    Ok(known)
}

/// The ports that lead to tasks.
async fn ports(netlink: &Netlink) -> Result<BTreeMap<IfName, TaskId>, NetlinkError> {
    let links = netlink.links().await?;
    let ports = links
        .iter()
        .filter_map(|link| Some((link.name.clone(), alias::task_of(link)?)));
    Ok(ports.collect())
}

/// Opens the namespace of a network that is there, whatever is in it; `None` when it is not.
///
/// # Errors
/// When it cannot be opened.
pub fn open(places: &Places, network: NetworkId) -> Result<Option<Netlink>, NetworkError> {
    let path = places.network(network);
    if !Netns::exists(&path) {
        return Ok(None);
    }
    let of = || format!("network {network}");
    let netns = Netns::open(&path).map_err(|cause| NetworkError::Namespace { of: of(), cause })?;
    let netlink = Netlink::open(&netns).map_err(|cause| NetworkError::Link {
        of: of(),
        cause: Box::new(cause),
    })?;
    Ok(Some(netlink))
}

/// The tasks that are attached to a network, as its ports say.
///
/// # Errors
/// When the kernel refuses to list them.
pub async fn held_by(netlink: &Netlink) -> Result<BTreeSet<TaskId>, NetlinkError> {
    Ok(ports(netlink).await?.into_values().collect())
}

/// The name of the device that leads to the other nodes.
pub(super) fn tunnel_name() -> Result<IfName, weft_kernel::netlink::BadName> {
    IfName::new(TUNNEL)
}
