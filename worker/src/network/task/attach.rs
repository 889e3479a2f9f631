//! Connects a task's namespace to its networks.

use super::vip;
use crate::network::NetworkError;
use crate::network::Places;
use crate::network::overlay::Joined;
use crate::network::overlay::alias;
use crate::network::overlay::port_name;
use crate::network::wanted::TaskLink;
use crate::network::wanted::TaskNet;
use crate::rules::Keeper;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use weft_kernel::conntrack;
use weft_kernel::conntrack::ConntrackError;
use weft_kernel::conntrack::Flow;
use weft_kernel::netlink::AddressOptions;
use weft_kernel::netlink::Device;
use weft_kernel::netlink::IfName;
use weft_kernel::netlink::Netlink;
use weft_kernel::netlink::NetlinkError;
use weft_kernel::netlink::OperState;
use weft_kernel::netlink::PortFlags;
use weft_kernel::netlink::VethEnd;
use weft_kernel::netns::Netns;
use weft_kernel::sysctl;
use weft_proto::NetworkId;
use weft_proto::TaskId;

/// The kernel's link watcher works at most a second late; together these wait for three.
const CARRIER_LOOKS: u32 = 600;
const CARRIER_PAUSE: Duration = Duration::from_millis(5);

/// Makes or adopts a task's namespace.
///
/// # Errors
/// When it cannot be made or set up.
pub fn open(places: &Places, task: TaskId) -> Result<Netns, NetworkError> {
    let of = || format!("task {task}");
    let netns = Netns::ensure(places.task(task))
        .map_err(|cause| NetworkError::Namespace { of: of(), cause })?;
    // A new namespace takes over the node's own setting; a task on two networks must not join them.
    sysctl::set(&netns, "net/ipv4/ip_forward", "0")
        .map_err(|cause| NetworkError::Sysctl { of: of(), cause })?;
    Ok(netns)
}

/// Leaves the namespace as wanted: links, addresses, rules.
///
/// # Errors
/// When one of its networks is not there, or the kernel refuses.
pub async fn attach(
    netns: &Netns,
    net: &TaskNet,
    overlays: &BTreeMap<NetworkId, Joined>,
) -> Result<(), NetworkError> {
    let of = || format!("task {}", net.id);
    // Rules first: the first packet already goes where it should.
    let rules = vip::rules(&net.sight.vips, turn(net.id));
    Keeper::default()
        .settle(netns, rules)
        .await
        .map_err(|cause| NetworkError::Rules { of: of(), cause })?;
    let failed = |cause| NetworkError::Link {
        of: of(),
        cause: Box::new(cause),
    };
    let inside = Netlink::open(netns).map_err(failed)?;
    for link in &net.links {
        let network = link.network;
        let joined = overlays
            .get(&network)
            .ok_or(NetworkError::NoOverlay { network })?;
        connect(&inside, net.id, link, joined).await?;
    }
    Ok(())
}

/// Makes datagrams that still go to a backend that takes no new connections go to another. Open
/// connections (TCP) are left alone: they end when their two ends say so.
///
/// # Errors
/// When the kernel refuses.
pub async fn steer(netns: &Netns, net: &TaskNet) -> Result<(), NetworkError> {
    let of = || format!("task {}", net.id);
    // Listing flows walks over those of all namespaces; most tasks have none.
    let count = sysctl::get(netns, "net/netfilter/nf_conntrack_count");
    if count.is_ok_and(|count| count == "0") {
        return Ok(());
    }
    let (netns, vips) = (netns.clone(), Arc::clone(&net.sight.vips));
    let stale = move |flow: &Flow| {
        let backends = vips.get(&flow.destination);
        flow.protocol == conntrack::UDP
            && backends.is_some_and(|backends| !backends.contains(&flow.answers_from))
    };
    let forgotten = tokio::task::spawn_blocking(move || conntrack::forget(&netns, stale)).await;
    let forgotten =
        forgotten.unwrap_or_else(|lost| Err(ConntrackError::Talk(io::Error::other(lost))));
    forgotten
        .map(|_| ())
        .map_err(|cause| NetworkError::Flows { of: of(), cause })
}

/// Whether a backend takes no new connections any more. Pure.
pub fn lost_backend(before: &TaskNet, now: &TaskNet) -> bool {
    before.sight.vips.iter().any(|(vip, backends)| {
        let now = now.sight.vips.get(vip);
        let stays = |backend| now.is_some_and(|now| now.contains(backend));
        !backends.iter().all(stays)
    })
}

async fn connect(
    inside: &Netlink,
    task: TaskId,
    link: &TaskLink,
    joined: &Joined,
) -> Result<(), NetworkError> {
    let of = || format!("task {task} to network {}", link.network);
    let named = |cause| NetworkError::Name { of: of(), cause };
    let end = |name, alias, mac| VethEnd {
        name,
        alias,
        mtu: link.mtu,
        mac,
    };
    let port = end(
        port_name(task).map_err(named)?,
        alias::port(task).map_err(named)?,
        None,
    );
    let eth = end(
        IfName::new(format!("eth{}", link.index)).map_err(named)?,
        alias::network(link.network).map_err(named)?,
        Some(link.mac),
    );
    let failed = |cause| NetworkError::Link {
        of: of(),
        cause: Box::new(cause),
    };
    let (port, eth) = pair(joined, inside, &port, &eth).await.map_err(failed)?;
    plug(&port, joined, link).await.map_err(failed)?;
    address(&eth, link).await.map_err(failed)?;
    for device in [port, eth] {
        if !carries(&device).await.map_err(failed)? {
            return Err(NetworkError::NoCarrier { of: of() });
        }
    }
    Ok(())
}

/// Whether a link carries packets in the end: the kernel puts it into operation a little after both
/// of its ends are up, and drops silently what is sent before.
async fn carries(device: &Device) -> Result<bool, NetlinkError> {
    for _ in 0..CARRIER_LOOKS {
        if device.observe().await?.oper == OperState::Up {
            return Ok(true);
        }
        tokio::time::sleep(CARRIER_PAUSE).await;
    }
    Ok(false)
}

/// Half a pair, or one that leads elsewhere, is of no use: both ends are made anew.
async fn pair(
    joined: &Joined,
    inside: &Netlink,
    port: &VethEnd,
    eth: &VethEnd,
) -> Result<(Device, Device), NetlinkError> {
    let made = joined.netlink.ensure_veth(port, inside, eth).await;
    match made {
        Err(error) if error.is_conflict() => {
            joined.netlink.delete_link(&port.name).await?;
            inside.delete_link(&eth.name).await?;
            joined.netlink.ensure_veth(port, inside, eth).await
        }
        Ok(_) | Err(_) => made,
    }
}

async fn plug(port: &Device, joined: &Joined, link: &TaskLink) -> Result<(), NetlinkError> {
    let seen = port.observe().await?;
    if seen.master != Some(joined.bridge.index()) {
        port.set_master(&joined.bridge).await?;
    }
    if seen.port != Some(PortFlags::LOCAL) {
        port.set_port_flags(PortFlags::LOCAL).await?;
    }
    port.set_port_entry(link.mac).await?;
    if !seen.up {
        port.set_up().await?;
    }
    Ok(())
}

async fn address(eth: &Device, link: &TaskLink) -> Result<(), NetlinkError> {
    let addresses = eth.addresses().await?;
    for stale in addresses.iter().filter(|seen| seen.net != link.address) {
        eth.delete_address(stale.net).await?;
    }
    if !addresses.iter().any(|seen| seen.net == link.address) {
        let at_once = AddressOptions {
            nodad: true,
            no_prefix_route: false,
        };
        eth.add_address(link.address, at_once).await?;
    }
    if !eth.observe().await?.up {
        eth.set_up().await?;
    }
    Ok(())
}

/// A number that differs from task to task.
fn turn(task: TaskId) -> usize {
    task.as_str().bytes().map(usize::from).sum()
}
