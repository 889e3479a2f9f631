//! Brings routes, neighbours and forwarding entries to what they should be.

use std::net::IpAddr;

use weft_kernel::netlink::Family;
use weft_kernel::netlink::FdbVia;
use weft_kernel::netlink::Netlink;
use weft_kernel::netlink::NetlinkError;
use weft_kernel::netlink::RouteFilter;
use weft_kernel::netlink::Rule;

use super::mesh::Mesh;
use super::names::ORIGIN;
use super::names::REPLY_TABLE;
use super::plant::Plant;
use super::ways;
use super::ways::Links;
use super::ways::Routes;
use super::ways::arranged;
use super::ways::change;

/// Looked up before the main table; nobody else makes rules in the ingress namespace.
const REPLY_PRIORITY: u32 = 100;

/// All of the host's and the ingress namespace's.
pub(super) async fn settle(
    plant: &Plant,
    mesh: &Mesh,
    links: &Links,
    data_addr: IpAddr,
) -> Result<(), NetlinkError> {
    let (host, inner) = (plant.weft0.netlink(), plant.vxi.netlink());
    let by_weft0 = RouteFilter {
        link: Some(plant.weft0.index()),
        ..RouteFilter::default()
    };
    neighbours(plant, mesh).await?;
    tunnels(plant, mesh, data_addr).await?;
    routes(
        inner,
        &RouteFilter::default(),
        &ways::inner_routes(mesh, links),
    )
    .await?;
    inner.add_rule(&reply_rule()).await?;
    let wanted = ways::host_routes(mesh, plant.weft0.index());
    routes(host, &by_weft0, &wanted).await
}

fn reply_rule() -> Rule {
    Rule {
        family: Family::V4,
        priority: REPLY_PRIORITY,
        mark: Some((ORIGIN, ORIGIN)),
        source: None,
        table: REPLY_TABLE,
    }
}

async fn routes(netlink: &Netlink, of: &RouteFilter, wanted: &Routes) -> Result<(), NetlinkError> {
    let found = arranged(netlink.routes(of).await?);
    let change = change(wanted, &found);
    for key in change.gone {
        if let Some(route) = found.get(&key) {
            netlink.delete_route(route).await?;
        }
    }
    let mut set: Vec<_> = change.set.into_iter().map(|(_, route)| route).collect();
    // What is on the link itself first: the others may go by it.
    set.sort_by_key(|route| route.gateway.is_some());
    for route in set {
        netlink.replace_route(&route).await?;
    }
    Ok(())
}

async fn neighbours(plant: &Plant, mesh: &Mesh) -> Result<(), NetlinkError> {
    let found = plant.vxi.neighbours().await?;
    let found = found.iter().filter(|found| found.permanent);
    let found = found
        .filter_map(|found| Some((found.ip, found.mac?)))
        .collect();
    let change = change(&ways::neighbours(mesh), &found);
    for ip in change.gone {
        plant.vxi.delete_neighbour(ip).await?;
    }
    for (ip, mac) in change.set {
        plant.vxi.set_neighbour(ip, mac).await?;
    }
    Ok(())
}

async fn tunnels(plant: &Plant, mesh: &Mesh, data_addr: IpAddr) -> Result<(), NetlinkError> {
    let found = plant.vxi.forwarding().await?;
    let found = found.iter().filter_map(|entry| match entry.via {
        FdbVia::Tunnel(to) => Some((entry.mac, to)),
        FdbVia::Port | FdbVia::Learnt | FdbVia::Own => None,
    });
    let change = change(&ways::tunnels(mesh, data_addr), &found.collect());
    for mac in change.gone {
        plant.vxi.delete_tunnel_entry(mac).await?;
    }
    for (mac, to) in change.set {
        plant.vxi.set_tunnel_entry(mac, to).await?;
    }
    Ok(())
}
