//! What a step from one state to a later one means for nodes. Computed once for all sessions. Pure.

use crate::dispatcher::assignment::Version;
use crate::dispatcher::assignment::backend;
use crate::dispatcher::assignment::endpoint;
use crate::dispatcher::assignment::managers;
use crate::dispatcher::assignment::network;
use crate::dispatcher::assignment::networks_of;
use crate::dispatcher::assignment::peer;
use crate::dispatcher::assignment::place;
use crate::dispatcher::assignment::published;
use crate::dispatcher::assignment::service;
use crate::keys::nodes_on;
use crate::store::State;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::object::Node;
use weft_proto::object::NodeState;
use weft_proto::object::ObjectKey;
use weft_proto::object::Task;
use weft_proto::spec::Protocol;

/// A piece as it is now; `None`: it is no more.
pub(super) type Piece = (AssignmentKey, Option<Assignment>);

/// All that a step means for anybody.
#[derive(Debug, Default)]
pub(super) struct News {
    /// For every node.
    pub(super) common: Vec<Piece>,
    /// For nodes with tasks on a network.
    pub(super) networks: BTreeMap<NetworkId, Vec<Piece>>,
    /// For one node: its own tasks.
    pub(super) nodes: BTreeMap<NodeId, Vec<Piece>>,
    /// Nodes whose tasks may attach to other networks, or use other secrets and configs, than before.
    pub(super) moved: BTreeSet<NodeId>,
    /// Whose tunnels may be others, or have other keys, than before.
    pub(super) tunnels: Concerned,
    /// Managers, or their addresses, changed.
    pub(super) managers: bool,
}

/// Nodes that something may concern.
#[derive(Debug, Default)]
pub(super) struct Concerned {
    all: bool,
    nodes: BTreeSet<NodeId>,
}

impl Concerned {
    pub(super) fn concern(&self, node: NodeId) -> bool {
        self.all || self.nodes.contains(&node)
    }
}

impl News {
    /// What the step from `old` to `new` means; `changed` has every object that differs.
    pub(super) fn of(old: &State, new: &State, changed: &BTreeSet<ObjectKey>) -> News {
        let mut digest = Digest {
            old,
            new,
            news: News::default(),
            services: BTreeSet::new(),
            tasks: BTreeSet::new(),
            attached: BTreeSet::new(),
            ends: BTreeSet::new(),
        };
        for key in changed {
            match key {
                ObjectKey::Task(id) => digest.task(*id),
                ObjectKey::Node(id) => digest.node(*id),
                ObjectKey::Network(id) => {
                    digest.attached.insert(*id);
                    digest.network_piece(*id, AssignmentKey::Network(*id), |state| {
                        network(state, *id)
                    });
                }
                ObjectKey::Service(id) => digest.service(*id),
                ObjectKey::Cluster => digest.cluster(),
                // No node needs to know who people are.
                ObjectKey::User(_) => {}
                // Who may join concerns nobody who has.
                ObjectKey::JoinToken(_) => {}
                // Its versions never change; which of them a node has follows from its tasks.
                ObjectKey::Material(..) => {}
                ObjectKey::KeyRing => digest.news.tunnels.all = true,
            }
        }
        digest.endpoints();
        digest.published();
        digest.tunnels();
        digest.news.managers = managers(old) != managers(new);
        digest.news
    }

    /// How many pieces it holds.
    pub(super) fn len(&self) -> usize {
        let networks = self.networks.values().map(Vec::len).sum::<usize>();
        self.common.len() + networks + self.nodes.values().map(Vec::len).sum::<usize>()
    }
}

struct Digest<'a> {
    old: &'a State,
    new: &'a State,
    news: News,
    /// Services whose published ports may be answered by others than before.
    services: BTreeSet<ServiceId>,
    /// Tasks whose endpoints may be others than before.
    tasks: BTreeSet<TaskId>,
    /// Networks that other nodes than before may be on.
    attached: BTreeSet<NetworkId>,
    /// Nodes whose ends of tunnels are others than before.
    ends: BTreeSet<NodeId>,
}

impl Digest<'_> {
    fn task(&mut self, id: TaskId) {
        let (old, new) = (self.old.task(id), self.new.task(id));
        let key = AssignmentKey::Task(id);
        let (was, is) = (
            old.and_then(|task| place(task)),
            new.and_then(|task| place(task)),
        );
        if let Some(node) = was
            && is != was
        {
            self.node_piece(node, (key, None));
        }
        if let (Some(node), Some(task)) = (is, new) {
            let piece = Assignment::Task(Box::new(Task::clone(task)));
            self.node_piece(node, (key, Some(piece)));
        }
        if attached(old) != attached(new) {
            self.news.moved.extend(was.into_iter().chain(is));
            let both = old.into_iter().chain(new);
            self.attached
                .extend(both.flat_map(|task| task.addresses.keys().copied()));
        }
        self.tasks.insert(id);
        self.backend(old, new);
    }

    fn node_piece(&mut self, node: NodeId, piece: Piece) {
        self.news.nodes.entry(node).or_default().push(piece);
    }

    fn network_piece(
        &mut self,
        network: NetworkId,
        key: AssignmentKey,
        piece: impl Fn(&State) -> Option<Assignment>,
    ) {
        let now = piece(self.new);
        if piece(self.old) != now {
            let pieces = self.news.networks.entry(network).or_default();
            pieces.push((key, now));
        }
    }

    fn common_piece(&mut self, key: AssignmentKey, piece: impl Fn(&State) -> Option<Assignment>) {
        let now = piece(self.new);
        if piece(self.old) != now {
            self.news.common.push((key, now));
        }
    }

    fn backend(&mut self, old: Option<&Arc<Task>>, new: Option<&Arc<Task>>) {
        let was = old.and_then(|task| backend(self.old, task));
        let is = new.and_then(|task| backend(self.new, task));
        if was != is {
            let tasks = old.into_iter().chain(new);
            self.services.extend(tasks.map(|task| task.service));
        }
    }

    fn node(&mut self, id: NodeId) {
        self.common_piece(AssignmentKey::Peer(id), |state| peer(state, id));
        let seen = |node: &Node| (node.data_addr, node.status.state == NodeState::Down);
        let (old, new) = (self.old.node(id), self.new.node(id));
        let end = |node: &Node| (node.data_addr, node.tunnel_key);
        if old.map(|node| end(node)) != new.map(|node| end(node)) {
            self.ends.insert(id);
        }
        if old.map(|node| seen(node)) == new.map(|node| seen(node)) {
            return;
        }
        let on = |state: &State| -> Vec<Arc<Task>> { state.tasks_of_node(id).cloned().collect() };
        for task in [on(self.old), on(self.new)].concat() {
            self.tasks.insert(task.id);
            self.services.insert(task.service);
        }
    }

    fn service(&mut self, id: ServiceId) {
        self.services.insert(id);
        let of = |state: &State| -> Vec<NetworkId> {
            let service = state.service(id);
            let networks = service.map(|service| &service.spec.task.networks);
            let references = networks.into_iter().flatten();
            references.map(|reference| reference.id).collect()
        };
        let networks: BTreeSet<NetworkId> =
            [of(self.old), of(self.new)].concat().into_iter().collect();
        for network in networks {
            self.network_piece(network, AssignmentKey::Service(network, id), |state| {
                service(state.service(id)?, network)
            });
        }
    }

    fn cluster(&mut self) {
        let all: BTreeSet<NodeId> = [self.old, self.new]
            .iter()
            .flat_map(|state| state.nodes().map(|node| node.id))
            .collect();
        for id in all {
            self.common_piece(AssignmentKey::Peer(id), |state| peer(state, id));
        }
        self.news.common.sort_by_key(|(key, _)| *key);
        self.news.common.dedup_by_key(|(key, _)| *key);
    }

    /// Endpoints of all tasks that were touched, by themselves or by their nodes.
    fn endpoints(&mut self) {
        for id in std::mem::take(&mut self.tasks) {
            let networks = |state: &State| -> Vec<NetworkId> {
                let task = state.task(id);
                let networks = task.map(|task| task.addresses.keys().copied());
                networks.into_iter().flatten().collect()
            };
            let both = [networks(self.old), networks(self.new)].concat();
            for network in both.into_iter().collect::<BTreeSet<_>>() {
                self.network_piece(network, AssignmentKey::Endpoint(network, id), |state| {
                    endpoint(state, state.task(id)?, network)
                });
            }
        }
    }

    fn published(&mut self) {
        let services = std::mem::take(&mut self.services);
        let ports: BTreeSet<(Protocol, u16)> = [self.old, self.new]
            .iter()
            .flat_map(|state| services.iter().filter_map(|id| state.service(*id)))
            .flat_map(|service| &service.ports)
            .filter_map(|port| Some((port.protocol, port.published?)))
            .collect();
        for (protocol, number) in ports {
            self.common_piece(AssignmentKey::Published(protocol, number), |state| {
                published(state, protocol, number)
            });
        }
    }
}

impl Digest<'_> {
    /// A task that comes to a node which is on the network already makes no new pair of nodes; and
    /// of a node whose end changed, all that it shares an encrypted network with are told.
    fn tunnels(&mut self) {
        for network in std::mem::take(&mut self.attached) {
            let (was, is) = (nodes_on(self.old, network), nodes_on(self.new, network));
            if was != is {
                self.news.tunnels.nodes.extend(was.union(&is));
            }
        }
        for node in std::mem::take(&mut self.ends) {
            for state in [self.old, self.new] {
                for network in networks_of(state, node) {
                    self.news.tunnels.nodes.extend(nodes_on(state, network));
                }
            }
            self.news.tunnels.nodes.insert(node);
        }
    }
}

/// Where a task attaches its node to, and what it needs there.
fn attached(task: Option<&Arc<Task>>) -> Option<(NodeId, Vec<NetworkId>, Vec<Version>)> {
    let task = task.filter(|task| !task.status.state.is_terminal())?;
    let files = task.spec.files.iter();
    Some((
        place(task)?,
        task.addresses.keys().copied().collect(),
        files.map(|file| (file.material, file.version)).collect(),
    ))
}
