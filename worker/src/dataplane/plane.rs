//! The data plane itself: what it holds, and one round of its work.

use super::DataPlaneConfig;
use super::IngressPlane;
use super::Network;
use super::OpenError;
use super::Round;
use super::held::HeldOverlay;
use super::held::HeldTask;
use super::held::attach;
use super::memory::Memory;
use crate::desired::Desired;
use crate::dns::Upstreams;
use crate::network::NetworkError;
use crate::network::Places;
use crate::network::overlay;
use crate::network::task;
use crate::network::told;
use crate::network::wanted::Here;
use crate::network::wanted::NotYet;
use crate::network::wanted::Wanted;
use crate::network::wanted::wanted;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use weft_kernel::netlink::Netlink;
use weft_kernel::netns::Netns;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::TaskId;

/// Bytes that VXLAN adds to a packet: outer IPv4 (20), UDP (8), VXLAN (8), inner Ethernet (14).
const OVERHEAD_IPV4: u32 = 50;

/// The same with an outer IPv6 header (40).
const OVERHEAD_IPV6: u32 = 70;

/// What Ethernet carries, assumed where the underlay does not say.
const ETHERNET_MTU: u32 = 1500;

/// How often everything is compared with the kernel even though nothing new was told: every so many
/// rounds. Somebody else may have changed it.
const ROUNDS_PER_CHECK: u32 = 64;

/// How many tasks are worked on at a time. Each takes a thread while its rules change.
const TASKS_AT_ONCE: usize = 8;

/// The networks of this node's tasks. Whatever an earlier daemon left is taken over as it is.
#[derive(Debug)]
pub struct DataPlane<I> {
    me: NodeId,
    data_addr: IpAddr,
    places: Places,
    upstreams: Arc<Upstreams>,
    host: Netlink,
    ingress: I,
    memory: Memory,
    overlays: BTreeMap<NetworkId, HeldOverlay>,
    tasks: BTreeMap<TaskId, HeldTask>,
    rounds: u32,
}

impl<I: IngressPlane> DataPlane<I> {
    /// Opens the data plane. Nothing is changed yet: the first round compares what is there with
    /// what is wanted.
    ///
    /// # Errors
    /// When there can be no namespaces, or no connection to the kernel.
    pub async fn open(config: DataPlaneConfig, ingress: I) -> Result<Self, OpenError> {
        let places = Places::below(&config.run_dir);
        let dir = places.dir().to_owned();
        let made = tokio::fs::create_dir_all(&dir).await;
        made.map_err(|cause| OpenError::Directory { dir, cause })?;
        let host = Netlink::open(&config.host).map_err(|cause| OpenError::Host { cause })?;
        Ok(Self {
            me: config.me,
            data_addr: config.data_addr,
            places,
            upstreams: Arc::new(Upstreams::new(config.resolv_conf.nameservers)),
            host,
            ingress,
            memory: Memory::default(),
            overlays: BTreeMap::new(),
            tasks: BTreeMap::new(),
            rounds: 0,
        })
    }

    async fn round(&mut self, desired: &Desired, active: &BTreeSet<TaskId>) -> Round {
        let mut problems = Vec::new();
        if self.rounds.is_multiple_of(ROUNDS_PER_CHECK) {
            self.doubt_everything();
        }
        self.rounds = self.rounds.wrapping_add(1);
        self.memory.update(desired, active);
        let here = Here {
            node: self.me,
            data_addr: self.data_addr,
            mtu: overlay_mtu(&self.host, self.data_addr, &mut problems).await,
        };
        let wanted = wanted(&here, &self.memory.tasks, &self.memory.networks, desired);
        // A task that nobody described since the daemon started is left as it is, and so is where it
        // is attached.
        let unknown: BTreeSet<TaskId> = active
            .iter()
            .filter(|id| !wanted.tasks.contains_key(id))
            .copied()
            .collect();
        self.join_overlays(&wanted, &unknown, &mut problems).await;
        let mut tasks = self.attach_tasks(&wanted, &unknown).await;
        self.publish(desired, &mut tasks).await;
        self.remove_tasks(active, &mut problems).await;
        self.leave_overlays(&wanted, &unknown, &mut problems).await;
        Round { tasks, problems }
    }

    /// What was applied may have been changed by others since.
    fn doubt_everything(&mut self) {
        self.overlays
            .values_mut()
            .for_each(|overlay| overlay.applied = None);
        self.tasks.values_mut().for_each(|task| task.applied = None);
    }

    async fn join_overlays(
        &mut self,
        wanted: &Wanted,
        unknown: &BTreeSet<TaskId>,
        problems: &mut Vec<String>,
    ) {
        for (id, overlay) in &wanted.overlays {
            let held = self.overlays.get(id);
            if held.is_some_and(|held| held.applied.as_ref() == Some(overlay)) {
                continue;
            }
            if let Some(held) = held.filter(|_| !Netns::exists(self.places.network(*id)))
                && let Err(error) = overlay::abandon(&held.joined).await
            {
                problems.push(told(&error));
            }
            let joined = match overlay::join(&self.host, &self.places, overlay, unknown).await {
                Ok(joined) => joined,
                Err(error) => {
                    self.overlays.remove(id);
                    problems.push(told(&error));
                    continue;
                }
            };
            let settled = overlay::settle(&joined, overlay, unknown).await;
            let applied = settled
                .map_err(|error| problems.push(told(&error)))
                .ok()
                .map(|()| overlay.clone());
            self.overlays.insert(*id, HeldOverlay { joined, applied });
        }
    }

    async fn attach_tasks(
        &mut self,
        wanted: &Wanted,
        unknown: &BTreeSet<TaskId>,
    ) -> BTreeMap<TaskId, Result<PathBuf, String>> {
        let mut answers = BTreeMap::new();
        for (id, net) in &wanted.tasks {
            let held = match net {
                Ok(net) => self.hold(net.id).map_err(|error| told(&error)),
                Err(error) => Err(NotYet::to_string(error)),
            };
            answers.insert(*id, held.map(|()| self.places.task(*id)));
        }
        let joined = self.overlays.iter();
        let joined: BTreeMap<_, _> = joined
            .map(|(id, held)| (*id, held.joined.clone()))
            .collect();
        let mut work = Vec::new();
        for (id, held) in &mut self.tasks {
            if let (Some(Ok(net)), Some(Ok(_))) = (wanted.tasks.get(id), answers.get(id)) {
                work.push(attach(held, net, &joined, &self.upstreams));
            }
        }
        // Much of the time goes into waiting for the kernel.
        let mut done = futures::stream::iter(work).buffer_unordered(TASKS_AT_ONCE);
        while let Some((id, result)) = done.next().await {
            if let Err(error) = result {
                answers.insert(id, Err(told(&error)));
            }
        }
        for id in unknown {
            let path = self.places.task(*id);
            let answer = if Netns::exists(&path) {
                Ok(path)
            } else {
                Err("no manager described this task yet".to_owned())
            };
            answers.insert(*id, answer);
        }
        answers
    }

    /// Makes or adopts a task's namespace.
    fn hold(&mut self, id: TaskId) -> Result<(), NetworkError> {
        let held = self.tasks.get(&id);
        // A namespace that somebody took away shows when everything is doubted.
        let held =
            held.filter(|held| held.applied.is_some() || Netns::exists(self.places.task(id)));
        if held.is_none() {
            let fresh = HeldTask {
                netns: task::open(&self.places, id)?,
                resolver: None,
                applied: None,
            };
            self.tasks.insert(id, fresh);
        }
        Ok(())
    }

    async fn publish(
        &mut self,
        desired: &Desired,
        tasks: &mut BTreeMap<TaskId, Result<PathBuf, String>>,
    ) {
        // Also those that have a problem: it must not cost them what works.
        let mut attached = BTreeMap::new();
        for id in tasks.keys() {
            let held = self.tasks.get(id).map(|held| held.netns.clone());
            // A task that is left as it is keeps its way out as well.
            let netns = held.or_else(|| Netns::open(self.places.task(*id)).ok());
            attached.extend(netns.map(|netns| (*id, netns)));
        }
        for (id, problem) in self.ingress.reconcile(desired, &attached).await {
            if let Some(answer @ Ok(_)) = tasks.get_mut(&id) {
                *answer = Err(problem);
            }
        }
    }

    async fn remove_tasks(&mut self, active: &BTreeSet<TaskId>, problems: &mut Vec<String>) {
        self.tasks.retain(|id, _| active.contains(id));
        for path in self.listed(problems) {
            if Places::task_at(&path).is_none_or(|id| active.contains(&id)) {
                continue;
            }
            if let Err(error) = Netns::delete(&path) {
                problems.push(told(&error));
            }
        }
    }

    async fn leave_overlays(
        &mut self,
        wanted: &Wanted,
        unknown: &BTreeSet<TaskId>,
        problems: &mut Vec<String>,
    ) {
        for path in self.listed(problems) {
            let Some(id) = Places::network_at(&path) else {
                continue;
            };
            if wanted.overlays.contains_key(&id) {
                continue;
            }
            match self.leave(id, unknown).await {
                Ok(()) => {}
                Err(problem) => problems.push(problem),
            }
        }
    }

    async fn leave(&mut self, id: NetworkId, unknown: &BTreeSet<TaskId>) -> Result<(), String> {
        if !unknown.is_empty() {
            let netlink = overlay::open(&self.places, id).map_err(|error| told(&error))?;
            if let Some(netlink) = netlink {
                let held = overlay::held_by(&netlink).await;
                let held = held.map_err(|error| told(&error))?;
                if !held.is_disjoint(unknown) {
                    return Ok(());
                }
            }
        }
        self.overlays.remove(&id);
        let left = overlay::leave(&self.places, id).await;
        left.map_err(|error| told(&error))
    }

    fn listed(&self, problems: &mut Vec<String>) -> Vec<PathBuf> {
        Netns::list(self.places.dir()).unwrap_or_else(|error| {
            problems.push(told(&error));
            Vec::new()
        })
    }
}

/// Largest packet in bytes that fits into a VXLAN packet of the underlay.
async fn overlay_mtu(host: &Netlink, data_addr: IpAddr, problems: &mut Vec<String>) -> u32 {
    let underlay = match host.owner_of(data_addr).await {
        Ok(Some(link)) => link.mtu,
        Ok(None) => {
            problems.push(format!("no link of this node has address {data_addr}"));
            ETHERNET_MTU
        }
        Err(error) => {
            problems.push(told(&error));
            ETHERNET_MTU
        }
    };
    underlay.saturating_sub(if data_addr.is_ipv4() {
        OVERHEAD_IPV4
    } else {
        OVERHEAD_IPV6
    })
}

impl<I: IngressPlane> Network for DataPlane<I> {
    async fn reconcile(&mut self, desired: &Desired, active: &BTreeSet<TaskId>) -> Round {
        self.round(desired, active).await
    }

    async fn clear(&mut self) -> Vec<String> {
        let mut problems = Vec::new();
        self.ingress.clear().await;
        self.memory = Memory::default();
        self.remove_tasks(&BTreeSet::new(), &mut problems).await;
        self.leave_overlays(&Wanted::default(), &BTreeSet::new(), &mut problems)
            .await;
        problems
    }
}
