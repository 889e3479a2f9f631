//! Tasks' interfaces: one pair per task between the ingress namespace and its own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;

use ipnet::IpNet;
use ipnet::Ipv4Net;
use weft_kernel::netlink::Device;
use weft_kernel::netlink::IfName;
use weft_kernel::netlink::Link;
use weft_kernel::netlink::LinkIndex;
use weft_kernel::netlink::Netlink;
use weft_kernel::netlink::OperState;
use weft_kernel::netlink::Route;
use weft_kernel::netlink::VethEnd;
use weft_kernel::netns::Netns;
use weft_kernel::netns::NetnsId;
use weft_proto::TaskId;

use super::error::MeshError;
use super::error::told;
use super::mesh::Mesh;
use super::mesh::TaskPort;
use super::names::EXT0;
use super::names::port_alias;
use super::names::port_macs;
use super::names::port_name;
use super::plant::carries;
use super::plant::only_address;
use super::plant::remove_ours;
use super::plant::up;

/// What a finished port was made with. A port made with the same is not looked into again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    task: TaskId,
    addr: Ipv4Addr,
    router: Ipv4Addr,
    netns: NetnsId,
    mtu: u32,
    link: LinkIndex,
}

/// The ports of this node's tasks.
#[derive(Debug, Default)]
pub(super) struct Ports {
    made: BTreeMap<u8, Made>,
}

/// One change of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The pair goes.
    Remove(IfName),
    /// The pair comes, or is made whole.
    Attach(u8, TaskPort),
}

impl Ports {
    /// The links of the ports that are whole.
    pub(super) fn links(&self) -> BTreeMap<u8, LinkIndex> {
        let made = self.made.iter();
        made.map(|(offset, made)| (*offset, made.link)).collect()
    }

    /// Makes, mends and removes ports. Says what is wrong with those that are not whole.
    pub(super) async fn settle(
        &mut self,
        inner: &Netlink,
        mesh: &Mesh,
        mtu: u32,
        tasks: &BTreeMap<TaskId, Netns>,
    ) -> Result<BTreeMap<TaskId, String>, MeshError> {
        let links = inner.links().await?;
        let mut problems = BTreeMap::new();
        let whole = |offset: u8, port: &TaskPort| {
            let made = self.made.get(&offset);
            let netns = tasks.get(&port.task).and_then(|netns| netns.id().ok());
            made.is_some_and(|made| {
                let wanted = Made {
                    task: port.task,
                    addr: port.addr,
                    router: mesh.slice.router(),
                    mtu,
                    ..*made
                };
                *made == wanted && Some(made.netns) == netns
            })
        };
        let steps = plan(&mesh.tasks, &links, whole);
        self.made
            .retain(|offset, _| mesh.tasks.contains_key(offset));
        for step in steps {
            match step {
                Step::Remove(name) => inner.delete_link(&name).await?,
                Step::Attach(offset, port) => {
                    self.made.remove(&offset);
                    let Some(netns) = tasks.get(&port.task) else {
                        continue;
                    };
                    match attach(inner, netns, mesh, offset, port, mtu).await {
                        Ok(made) => _ = self.made.insert(offset, made),
                        Err(error) => _ = problems.insert(port.task, told(&error)),
                    }
                }
            }
        }
        Ok(problems)
    }
}

/// Removals first, so that an offset is free when another task has it now.
fn plan(
    wanted: &BTreeMap<u8, TaskPort>,
    links: &[Link],
    whole: impl Fn(u8, &TaskPort) -> bool,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut kept = BTreeMap::new();
    for link in links {
        let offset = link.name.as_str().strip_prefix('t').map(str::parse::<u8>);
        let Some(Ok(offset)) = offset else {
            continue;
        };
        let port = wanted.get(&offset);
        let alias = port.and_then(|port| port_alias(port.task).ok());
        if alias.is_some_and(|alias| link.alias.as_deref() == Some(alias.as_str())) {
            // A port is only up when both its ends are.
            kept.insert(offset, link.oper == OperState::Up);
        } else {
            steps.push(Step::Remove(link.name.clone()));
        }
    }
    for (offset, port) in wanted {
        if kept.get(offset) != Some(&true) || !whole(*offset, port) {
            steps.push(Step::Attach(*offset, *port));
        }
    }
    steps
}

async fn attach(
    inner: &Netlink,
    netns: &Netns,
    mesh: &Mesh,
    offset: u8,
    port: TaskPort,
    mtu: u32,
) -> Result<Made, MeshError> {
    let id = netns.id().map_err(MeshError::Namespace)?;
    let task = Netlink::open(netns)?;
    let (our_mac, their_mac) = port_macs(mesh.number, offset);
    let end = |name, mac| -> Result<VethEnd, MeshError> {
        let alias = port_alias(port.task)?;
        Ok(VethEnd {
            name,
            alias,
            mtu,
            mac: Some(mac),
        })
    };
    let here = end(port_name(offset)?, our_mac)?;
    let there = end(IfName::new(EXT0)?, their_mac)?;
    let (ours, theirs) = pair(inner, &here, &task, &there).await?;
    let (addr, router) = (IpAddr::V4(port.addr), IpAddr::V4(mesh.slice.router()));
    only_address(&theirs, IpNet::from(addr)).await?;
    up(&ours).await?;
    up(&theirs).await?;
    carries(&ours).await?;
    carries(&theirs).await?;
    // Both sides know each other for good: nothing depends on answers of the other one.
    ours.set_neighbour(addr, their_mac).await?;
    theirs.set_neighbour(router, our_mac).await?;
    let outside = Route::to(IpNet::V4(Ipv4Net::default())).via(router);
    task.replace_route(&outside.by(&theirs).onlink()).await?;
    Ok(Made {
        task: port.task,
        addr: port.addr,
        router: mesh.slice.router(),
        netns: id,
        mtu,
        link: ours.index(),
    })
}

async fn pair(
    inner: &Netlink,
    here: &VethEnd,
    task: &Netlink,
    there: &VethEnd,
) -> Result<(Device, Device), MeshError> {
    match inner.ensure_veth(here, task, there).await {
        Err(error) if error.is_conflict() => {
            // One end is left of an earlier pair: the task's namespace or ours was made anew.
            remove_ours(inner, &here.name).await?;
            remove_ours(task, &there.name).await?;
            Ok(inner.ensure_veth(here, task, there).await?)
        }
        made => Ok(made?),
    }
}
