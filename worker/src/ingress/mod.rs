//! The routing mesh and the tasks' way out: published ports answer on every node, tasks see the
//! client's own address, and reach the outside with the node's.
//!
//! Each node has one ingress namespace. It is joined with the host by a pair of interfaces, with the
//! ingress namespaces of other nodes by a routed VXLAN, and with each task by a pair of its own. The
//! node that a client calls rewrites the destination only; the node of the task remembers by the
//! frame which node the connection came through, and sends the replies back there, whatever the
//! client's address.
//!
//! What should be there is worked out by pure functions (`mesh`, `host_rules`, `inner_rules`,
//! `ways`); the rest brings the kernel there and changes only what differs.

mod error;
mod flows;
mod host_ports;
mod host_rules;
mod inner_rules;
mod mesh;
mod names;
mod plant;
mod ports;
mod roads;
mod ways;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;

use tracing::warn;
use weft_kernel::netlink::IfName;
use weft_kernel::netlink::Netlink;
use weft_kernel::netns::Netns;
use weft_kernel::netns::NetnsId;
use weft_kernel::nft::Batch;
use weft_kernel::nft::Nft;
use weft_proto::NodeId;
use weft_proto::TaskId;

use crate::dataplane::IngressPlane;
use crate::desired::Desired;
use crate::rules::Keeper;

pub use error::OpenError;

use error::MeshError;
use error::told;
use flows::Steering;
use host_ports::HostPorts;
use mesh::Mesh;
use names::WEFT0;
use names::netns_path;
use ports::Ports;
use ways::Links;

/// Where an ingress works.
#[derive(Clone, Debug)]
pub struct IngressConfig {
    /// The daemon's directory below `/run`; the namespace is `netns/ingress` in it.
    pub run_dir: PathBuf,
    /// This node.
    pub me: NodeId,
    /// Where this node receives VXLAN packets; an address of one of its interfaces.
    pub data_addr: IpAddr,
    /// The host's namespace; `None` for that of the process.
    pub host: Option<Netns>,
}

/// The routing mesh on this node. Dropping it leaves everything in place.
#[derive(Debug)]
pub struct Ingress {
    config: IngressConfig,
    host: Netlink,
    host_rules: Keeper,
    host_ports: HostPorts,
    /// What the tracked flows obey.
    steered: Option<Steering>,
    inner: Option<Inner>,
}

/// The ingress namespace while it is open.
#[derive(Debug)]
struct Inner {
    id: NetnsId,
    netlink: Netlink,
    rules: Keeper,
    reply_rules: Keeper,
    ports: Ports,
}

impl Ingress {
    /// Prepares for the first [`reconcile`](IngressPlane::reconcile), which adopts what an earlier
    /// daemon left and interrupts no connection. Changes no network by itself.
    ///
    /// # Errors
    /// When the run directory or the host's namespace cannot be used.
    pub fn open(config: IngressConfig) -> Result<Ingress, OpenError> {
        let path = netns_path(&config.run_dir);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|cause| OpenError::Directory {
                path: dir.to_owned(),
                cause,
            })?;
        }
        let host = config.host.clone().map_or_else(Netns::current, Ok);
        let host = host.map_err(|cause| OpenError::Host { cause })?;
        let host = Netlink::open(&host).map_err(|cause| OpenError::Connect { cause })?;
        Ok(Ingress {
            config,
            host,
            host_rules: Keeper::default(),
            host_ports: HostPorts::default(),
            steered: None,
            inner: None,
        })
    }

    async fn settle(
        &mut self,
        desired: &Desired,
        tasks: &BTreeMap<TaskId, Netns>,
    ) -> Result<BTreeMap<TaskId, String>, MeshError> {
        let data_addr = self.config.data_addr;
        let own = self.host.addresses().await?;
        let own = own.iter().map(|address| address.net.addr());
        let own: Vec<_> = own.filter(|ip| !ip.is_loopback()).collect();
        let active = tasks.keys().copied().collect();
        let (mut mesh, mut problems) =
            Mesh::of(desired, self.config.me, &own, &active).map_err(MeshError::NoMesh)?;
        let taken = self
            .host_ports
            .conflicts(desired, &active, self.host.netns());
        mesh.answer_for_own(desired, &active, &taken);
        problems.extend(taken);
        let inner = self.inner().await?;
        let netlink = inner.netlink.clone();
        // What keeps packets out comes before what lets them in.
        let rules = inner
            .rules
            .settle(netlink.netns(), inner_rules::rules(&mesh));
        rules.await.map_err(MeshError::InnerRules)?;
        let rules = host_rules::rules(&mesh);
        let rules = self.host_rules.settle(self.host.netns(), rules);
        rules.await.map_err(MeshError::HostRules)?;
        self.steer(Steering::of(&mesh)).await;
        let plant = plant::ensure(&self.host, &netlink, &mesh, data_addr).await?;
        let inner = self.inner().await?;
        let rules = inner_rules::reply_rules(&mesh);
        let rules = inner.reply_rules.settle(netlink.netns(), rules);
        rules.await.map_err(MeshError::InnerRules)?;
        problems.extend(
            inner
                .ports
                .settle(&netlink, &mesh, plant.mtu, tasks)
                .await?,
        );
        let links = Links {
            host0: plant.host0.index(),
            vxi: plant.vxi.index(),
            ports: inner.ports.links(),
        };
        roads::settle(&plant, &mesh, &links, data_addr).await?;
        Ok(problems)
    }

    /// After the rules: what is forgotten chooses by the new ones. A failure costs old flows only.
    async fn steer(&mut self, steering: Steering) {
        if self.steered.as_ref() == Some(&steering) {
            return;
        }
        self.steered = match flows::steer(self.host.netns(), &steering).await {
            Ok(()) => Some(steering),
            Err(error) => {
                warn!(problem = told(&error), "old UDP flows keep their tasks");
                None
            }
        };
    }

    /// The ingress namespace, made if it is not there.
    async fn inner(&mut self) -> Result<&mut Inner, MeshError> {
        let netns =
            Netns::ensure(netns_path(&self.config.run_dir)).map_err(MeshError::Namespace)?;
        let id = netns.id().map_err(MeshError::Namespace)?;
        let open = self.inner.take().filter(|inner| inner.id == id);
        let inner = match open {
            Some(inner) => inner,
            None => {
                plant::settings(&netns)?;
                Inner {
                    id,
                    netlink: Netlink::open(&netns)?,
                    rules: Keeper::default(),
                    reply_rules: Keeper::default(),
                    ports: Ports::default(),
                }
            }
        };
        Ok(self.inner.insert(inner))
    }

    /// Goes on after each failure, so that as little as possible is left; returns the failures.
    async fn remove(&mut self) -> Vec<MeshError> {
        self.inner = None;
        self.host_rules = Keeper::default();
        self.steered = None;
        let mut failures = Vec::new();
        failures.extend(self.remove_from_host().await.err());
        failures.extend(self.remove_inner().await.err());
        failures
    }

    async fn remove_from_host(&self) -> Result<(), MeshError> {
        let table = host_rules::table();
        let remove = || {
            let mut nft = Nft::open_in(self.host.netns().as_fd())?;
            if nft.tables()?.contains(&table) {
                nft.commit(Batch::new().delete_table(&table))?;
            }
            Ok(())
        };
        let removed = remove().map_err(MeshError::HostRules);
        plant::remove_ours(&self.host, &IfName::new(WEFT0)?).await?;
        removed
    }

    async fn remove_inner(&self) -> Result<(), MeshError> {
        let path = netns_path(&self.config.run_dir);
        if Netns::exists(&path) {
            let netns = Netns::open(&path).map_err(MeshError::Namespace)?;
            let inner = Netlink::open(&netns)?;
            // The kernel tears a namespace down some time after its end; tasks and the VXLAN port
            // of the host should not wait for that.
            for link in inner.links().await? {
                plant::remove_ours(&inner, &link.name).await?;
            }
        }
        Netns::delete(&path).map_err(MeshError::Namespace)
    }
}

impl IngressPlane for Ingress {
    async fn reconcile(
        &mut self,
        desired: &Desired,
        tasks: &BTreeMap<TaskId, Netns>,
    ) -> BTreeMap<TaskId, String> {
        match self.settle(desired, tasks).await {
            Ok(problems) => problems,
            Err(error) => {
                let problem = told(&error);
                warn!(%problem, "the routing mesh is not as it should be");
                let of_mesh = |id: &&TaskId| {
                    let task = desired.tasks.get(id);
                    task.is_some_and(|task| task.ingress_addr.is_some())
                };
                let tasks = tasks.keys().filter(of_mesh);
                tasks.map(|id| (*id, problem.clone())).collect()
            }
        }
    }

    async fn clear(&mut self) {
        for failure in self.remove().await {
            warn!(
                problem = told(&failure),
                "a part of the routing mesh is left"
            );
        }
    }
}
