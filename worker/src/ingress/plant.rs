//! The mesh's standing parts: the ingress namespace, the pair of interfaces that joins it with the
//! host, and the VXLAN device that joins it with the ingress namespaces of other nodes.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use weft_kernel::netlink::AddressOptions;
use weft_kernel::netlink::Alias;
use weft_kernel::netlink::Device;
use weft_kernel::netlink::IfName;
use weft_kernel::netlink::Netlink;
use weft_kernel::netlink::NetlinkError;
use weft_kernel::netlink::OperState;
use weft_kernel::netlink::VethEnd;
use weft_kernel::netlink::Vni;
use weft_kernel::netlink::VxlanSpec;
use weft_kernel::netns::Netns;
use weft_kernel::sysctl;
use weft_kernel::sysctl::SysctlError;
use weft_proto::defaults::VXLAN_PORT;

use super::error::MeshError;
use super::mesh::Mesh;
use super::names::HOST0;
use super::names::VXI;
use super::names::WEFT0;
use super::names::node_mac;

/// What VXLAN adds: an inner Ethernet header (14), its own (8), UDP (8), and the outer IP header.
const OVERHEAD_V4: u32 = 14 + 8 + 8 + 20;
const OVERHEAD_V6: u32 = 14 + 8 + 8 + 40;
/// The largest IP packet, where the underlay is a loopback.
const MAX_PACKET: u32 = 65535;

/// The kernel's link watcher works at most a second late; together these wait for three.
const CARRIER_LOOKS: u32 = 600;
const CARRIER_PAUSE: Duration = Duration::from_millis(5);

/// The mesh's own interfaces.
#[derive(Debug)]
pub(super) struct Plant {
    /// The host's end of the pair.
    pub(super) weft0: Device,
    /// The ingress namespace's end.
    pub(super) host0: Device,
    /// The VXLAN device, in the ingress namespace.
    pub(super) vxi: Device,
    /// Largest packet of all interfaces of the mesh, in bytes. One for all: where a smaller one
    /// follows a larger one, the first large packet of each path is lost.
    pub(super) mtu: u32,
}

/// Settings of a new ingress namespace, which begins with the host's values. It forwards, and
/// replies do not come back by the way that the routing table has for their source.
pub(super) fn settings(inner: &Netns) -> Result<(), SysctlError> {
    for (key, value) in [
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
        ("net/ipv4/conf/all/accept_redirects", "0"),
        ("net/ipv4/conf/all/send_redirects", "0"),
        ("net/ipv4/conf/default/send_redirects", "0"),
    ] {
        sysctl::set(inner, key, value)?;
    }
    Ok(())
}

/// Settings of the host.
///
/// It must forward between `weft0` and every interface by which clients come, and those may be any:
/// so forwarding is set as a whole, as every container engine does, and never taken back, since
/// others may rely on it by then. What is forwarded towards tasks is filtered by our own rules.
fn host_settings(host: &Netns) -> Result<(), SysctlError> {
    sysctl::set(host, "net/ipv4/ip_forward", "1")?;
    // Callers on 127.0.0.1 leave by weft0 and get their answers there.
    sysctl::set(host, &format!("net/ipv4/conf/{WEFT0}/route_localnet"), "1")?;
    Ok(())
}

/// Makes or adopts all of it, and puts it into operation.
pub(super) async fn ensure(
    host: &Netlink,
    inner: &Netlink,
    mesh: &Mesh,
    data_addr: IpAddr,
) -> Result<Plant, MeshError> {
    let underlay = host.owner_of(data_addr).await?;
    let underlay = underlay.ok_or(MeshError::NoUnderlay(data_addr))?;
    let overhead = match data_addr {
        IpAddr::V4(_) => OVERHEAD_V4,
        IpAddr::V6(_) => OVERHEAD_V6,
    };
    let mtu = underlay.mtu.min(MAX_PACKET).saturating_sub(overhead);
    let (weft0, host0) = pair(host, inner, mtu).await?;
    let vxi = vxlan(host, inner, mesh, data_addr, mtu).await?;
    for (device, ip) in [(&weft0, mesh.slice.host()), (&host0, mesh.slice.router())] {
        only_address(device, IpNet::from(IpAddr::V4(ip))).await?;
    }
    host_settings(host.netns())?;
    for device in [&host0, &vxi, &weft0] {
        up(device).await?;
    }
    carries(&weft0).await?;
    carries(&host0).await?;
    Ok(Plant {
        weft0,
        host0,
        vxi,
        mtu,
    })
}

async fn pair(host: &Netlink, inner: &Netlink, mtu: u32) -> Result<(Device, Device), MeshError> {
    let end = |name: &str| -> Result<VethEnd, MeshError> {
        Ok(VethEnd {
            name: IfName::new(name)?,
            alias: Alias::new("ingress host")?,
            mtu,
            mac: None,
        })
    };
    let (here, there) = (end(WEFT0)?, end(HOST0)?);
    match host.ensure_veth(&here, inner, &there).await {
        Err(error) if error.is_conflict() => {
            // Half of a pair whose other half went with an earlier ingress namespace.
            remove_ours(host, &here.name).await?;
            remove_ours(inner, &there.name).await?;
            Ok(host.ensure_veth(&here, inner, &there).await?)
        }
        made => Ok(made?),
    }
}

async fn vxlan(
    host: &Netlink,
    inner: &Netlink,
    mesh: &Mesh,
    data_addr: IpAddr,
    mtu: u32,
) -> Result<Device, MeshError> {
    let spec = VxlanSpec {
        name: IfName::new(VXI)?,
        alias: Alias::new("ingress")?,
        vni: Vni::new(weft_proto::addr::Vni::INGRESS.get())?,
        local: data_addr,
        port: VXLAN_PORT,
        mtu,
        mac: Some(node_mac(mesh.number)),
    };
    match host.ensure_vxlan(&spec, inner).await {
        Err(error) if error.is_conflict() => {
            // The node's data address changed, which is fixed for the device's life.
            remove_ours(inner, &spec.name).await?;
            Ok(host.ensure_vxlan(&spec, inner).await?)
        }
        made => Ok(made?),
    }
}

/// Deletes a link unless it is somebody else's.
pub(super) async fn remove_ours(netlink: &Netlink, name: &IfName) -> Result<(), NetlinkError> {
    match netlink.link(name).await? {
        Some(link) if link.purpose().is_some() => netlink.delete_link(name).await,
        Some(_) | None => Ok(()),
    }
}

/// Sets a link up unless it is.
pub(super) async fn up(device: &Device) -> Result<(), NetlinkError> {
    if device.observe().await?.up {
        return Ok(());
    }
    device.set_up().await
}

/// Waits until a link whose other end is up as well carries packets: the kernel puts it into
/// operation a little later, and drops silently what is sent before.
pub(super) async fn carries(device: &Device) -> Result<(), MeshError> {
    for _ in 0..CARRIER_LOOKS {
        if device.observe().await?.oper == OperState::Up {
            return Ok(());
        }
        tokio::time::sleep(CARRIER_PAUSE).await;
    }
    Err(MeshError::NoCarrier(device.name().clone()))
}

/// Gives a link this address and takes away others of its family.
pub(super) async fn only_address(device: &Device, wanted: IpNet) -> Result<(), NetlinkError> {
    let mut there = false;
    for found in device.addresses().await? {
        if found.net == wanted {
            there = true;
        } else if found.net.addr().is_ipv4() == wanted.addr().is_ipv4() {
            device.delete_address(found.net).await?;
        }
    }
    if there {
        return Ok(());
    }
    device.add_address(wanted, AddressOptions::default()).await
}
