//! The tables and their indexes, as persistent maps.

use crate::store::claim::Claim;
use crate::store::claim::claims_of;
use rpds::QueueSync;
use rpds::RedBlackTreeMapSync;
use rpds::RedBlackTreeSetSync;
use std::sync::Arc;
use weft_proto::CommandId;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::command::CommandResult;
use weft_proto::command::StoreSnapshot;
use weft_proto::object::Cluster;
use weft_proto::object::Network;
use weft_proto::object::Node;
use weft_proto::object::Object;
use weft_proto::object::ObjectKey;
use weft_proto::object::Service;
use weft_proto::object::Task;

/// How many commands are remembered so that a retried one is recognised: minutes of full load,
/// hours of ordinary life; a proposer gives up long before.
const RECENT_COMMANDS: usize = 8192;

type Table<K, V> = RedBlackTreeMapSync<K, Arc<V>>;

/// The whole state at one revision. Cloning shares everything.
#[derive(Clone, Debug, Default)]
pub struct State {
    revision: u64,
    cluster: Option<Arc<Cluster>>,
    nodes: Table<NodeId, Node>,
    networks: Table<NetworkId, Network>,
    services: Table<ServiceId, Service>,
    tasks: Table<TaskId, Task>,
    tasks_by_service: RedBlackTreeSetSync<(ServiceId, TaskId)>,
    tasks_by_node: RedBlackTreeSetSync<(NodeId, TaskId)>,
    claims: RedBlackTreeMapSync<Claim, ObjectKey>,
    recent: RedBlackTreeMapSync<CommandId, CommandResult>,
    recent_order: QueueSync<CommandId>,
}

impl State {
    /// The log index that this state is at.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The cluster; `None` only before its first entry.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.as_ref()
    }

    /// All nodes, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(&id)
    }

    /// All networks, by id.
    pub fn networks(&self) -> impl Iterator<Item = &Arc<Network>> {
        self.networks.values()
    }

    /// One network.
    pub fn network(&self, id: NetworkId) -> Option<&Arc<Network>> {
        self.networks.get(&id)
    }

    /// All services, by id.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// One service.
    pub fn service(&self, id: ServiceId) -> Option<&Arc<Service>> {
        self.services.get(&id)
    }

    /// All tasks, by id.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.values()
    }

    /// One task.
    pub fn task(&self, id: TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(&id)
    }

    /// The tasks of a service, also of one that is gone.
    pub fn tasks_of_service(&self, service: ServiceId) -> impl Iterator<Item = &Arc<Task>> {
        let (first, last) = (TaskId::from_entropy(0), last_task());
        self.tasks_by_service
            .range((service, first)..=(service, last))
            .filter_map(|(_, task)| self.tasks.get(task))
    }

    /// The tasks that were given to a node.
    pub fn tasks_of_node(&self, node: NodeId) -> impl Iterator<Item = &Arc<Task>> {
        let (first, last) = (TaskId::from_entropy(0), last_task());
        self.tasks_by_node
            .range((node, first)..=(node, last))
            .filter_map(|(_, task)| self.tasks.get(task))
    }

    /// Who holds a name, port, address or number.
    pub fn holder(&self, claim: &Claim) -> Option<ObjectKey> {
        self.claims.get(claim).copied()
    }

    /// What became of a command that was applied lately.
    pub fn outcome(&self, command: CommandId) -> Option<&CommandResult> {
        self.recent.get(&command)
    }

    /// Any object, as the enum that commands carry.
    pub fn object(&self, key: ObjectKey) -> Option<Object> {
        match key {
            ObjectKey::Cluster => self.cluster.as_deref().cloned().map(Object::Cluster),
            ObjectKey::Node(id) => self.nodes.get(&id).map(|o| Object::Node((**o).clone())),
            ObjectKey::Network(id) => self
                .networks
                .get(&id)
                .map(|o| Object::Network((**o).clone())),
            ObjectKey::Service(id) => self
                .services
                .get(&id)
                .map(|o| Object::Service((**o).clone())),
            ObjectKey::Task(id) => self.tasks.get(&id).map(|o| Object::Task((**o).clone())),
        }
    }

    /// The version of an object; `None` when there is none.
    pub fn version(&self, key: ObjectKey) -> Option<u64> {
        match key {
            ObjectKey::Cluster => self.cluster.as_ref().map(|o| o.meta.version),
            ObjectKey::Node(id) => self.nodes.get(&id).map(|o| o.meta.version),
            ObjectKey::Network(id) => self.networks.get(&id).map(|o| o.meta.version),
            ObjectKey::Service(id) => self.services.get(&id).map(|o| o.meta.version),
            ObjectKey::Task(id) => self.tasks.get(&id).map(|o| o.meta.version),
        }
    }

    /// Everything, to be written down.
    pub fn to_snapshot(&self) -> StoreSnapshot {
        let mut objects: Vec<Object> = Vec::new();
        objects.extend(self.cluster.as_deref().cloned().map(Object::Cluster));
        objects.extend(self.nodes.values().map(|o| Object::Node((**o).clone())));
        objects.extend(
            self.networks
                .values()
                .map(|o| Object::Network((**o).clone())),
        );
        objects.extend(
            self.services
                .values()
                .map(|o| Object::Service((**o).clone())),
        );
        objects.extend(self.tasks.values().map(|o| Object::Task((**o).clone())));
        let recent = self
            .recent_order
            .iter()
            .filter_map(|id| Some((*id, self.recent.get(id)?.clone())))
            .collect();
        StoreSnapshot {
            revision: self.revision,
            objects,
            recent,
        }
    }

    /// The state that was written down.
    pub fn from_snapshot(snapshot: StoreSnapshot) -> State {
        let mut state = State {
            revision: snapshot.revision,
            ..State::default()
        };
        for object in snapshot.objects {
            state.put(object);
        }
        for (id, result) in snapshot.recent {
            state.remember(id, result);
        }
        state
    }

    pub(crate) fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    pub(super) fn put(&mut self, object: Object) {
        self.delete(object.key());
        let key = object.key();
        for claim in claims_of(&object) {
            self.claims.insert_mut(claim, key);
        }
        match object {
            Object::Cluster(cluster) => self.cluster = Some(Arc::new(cluster)),
            Object::Node(node) => self.nodes.insert_mut(node.id, Arc::new(node)),
            Object::Network(network) => self.networks.insert_mut(network.id, Arc::new(network)),
            Object::Service(service) => self.services.insert_mut(service.id, Arc::new(service)),
            Object::Task(task) => {
                self.tasks_by_service.insert_mut((task.service, task.id));
                if let Some(node) = task.node {
                    self.tasks_by_node.insert_mut((node, task.id));
                }
                self.tasks.insert_mut(task.id, Arc::new(task));
            }
        }
    }

    pub(super) fn delete(&mut self, key: ObjectKey) {
        let Some(object) = self.object(key) else {
            return;
        };
        for claim in claims_of(&object) {
            if self.holder(&claim) == Some(key) {
                self.claims.remove_mut(&claim);
            }
        }
        match object {
            Object::Cluster(_) => self.cluster = None,
            Object::Node(node) => _ = self.nodes.remove_mut(&node.id),
            Object::Network(network) => _ = self.networks.remove_mut(&network.id),
            Object::Service(service) => _ = self.services.remove_mut(&service.id),
            Object::Task(task) => {
                self.tasks_by_service.remove_mut(&(task.service, task.id));
                if let Some(node) = task.node {
                    self.tasks_by_node.remove_mut(&(node, task.id));
                }
                self.tasks.remove_mut(&task.id);
            }
        }
    }

    pub(super) fn remember(&mut self, command: CommandId, result: CommandResult) {
        self.recent.insert_mut(command, result);
        self.recent_order.enqueue_mut(command);
        while self.recent_order.len() > RECENT_COMMANDS {
            if let Some(oldest) = self.recent_order.peek().copied() {
                self.recent.remove_mut(&oldest);
            }
            self.recent_order.dequeue_mut();
        }
    }
}

/// The greatest identifier there can be: the end of a range over all tasks of something.
fn last_task() -> TaskId {
    TaskId::from_entropy(u128::MAX)
}
