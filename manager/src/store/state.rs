//! The tables and their indexes, as persistent maps.

use crate::store::claim::Claim;
use crate::store::claim::claims_of;
use crate::store::item::Item;
use rpds::QueueSync;
use rpds::RedBlackTreeMapSync;
use rpds::RedBlackTreeSetSync;
use std::io;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;
use weft_proto::CommandId;
use weft_proto::JoinTokenId;
use weft_proto::MaterialId;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::UserId;
use weft_proto::audit::AuditRecord;
use weft_proto::command::AppliedCommand;
use weft_proto::command::CommandResult;
use weft_proto::command::StoreSnapshot;
use weft_proto::object::Cluster;
use weft_proto::object::IssuedToken;
use weft_proto::object::KeyRing;
use weft_proto::object::Material;
use weft_proto::object::Network;
use weft_proto::object::Node;
use weft_proto::object::Object;
use weft_proto::object::ObjectKey;
use weft_proto::object::RemovedNode;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::object::User;
use weft_proto::spec::Protocol;
use weft_proto::time::Timestamp;

/// How long a command is remembered so that a retried one is recognised, by the times stamped into
/// commands: longer than proposers and the command line try again.
const RECENT: Duration = Duration::from_secs(60);
/// At least so many are remembered, however old: hours of ordinary life, whatever clocks say.
const RECENT_MIN: usize = 8192;
/// At most so many, for the memory's sake: about 30 MB, reached after half a minute of thousands
/// per second.
const RECENT_MAX: usize = 131_072;

/// How many removed nodes are remembered: their certificates are refused for as long, and a day of
/// removals is far less. The oldest are forgotten first, without looking at any clock.
const REMOVED_NODES: usize = 4096;

/// Of so many of them the addresses of their tasks are remembered, so that others get them last.
const RESTING_NODES: usize = 64;

type Table<K, V> = RedBlackTreeMapSync<K, Arc<V>>;

/// The whole state at one revision. Cloning shares everything.
#[derive(Clone, Debug, Default)]
pub struct State {
    index: u64,
    revision: u64,
    cluster: Option<Arc<Cluster>>,
    nodes: Table<NodeId, Node>,
    networks: Table<NetworkId, Network>,
    services: Table<ServiceId, Service>,
    tasks: Table<TaskId, Task>,
    users: Table<UserId, User>,
    join_tokens: Table<JoinTokenId, IssuedToken>,
    materials: Table<MaterialId, Material>,
    key_ring: Option<Arc<KeyRing>>,
    tasks_by_service: RedBlackTreeSetSync<(ServiceId, TaskId)>,
    tasks_by_node: RedBlackTreeSetSync<(NodeId, TaskId)>,
    claims: RedBlackTreeMapSync<Claim, ObjectKey>,
    recent: RedBlackTreeMapSync<CommandId, Arc<AppliedCommand>>,
    recent_order: QueueSync<Arc<AppliedCommand>>,
    removed: RedBlackTreeMapSync<NodeId, Arc<RemovedNode>>,
    removed_order: QueueSync<NodeId>,
    resting: RedBlackTreeMapSync<(NetworkId, IpAddr), NodeId>,
    pub(super) audit: QueueSync<Arc<AuditRecord>>,
}

impl State {
    /// Which state this is: it rises with every transaction that was applied, is never less than
    /// the log index, and is the same for the same state on every manager. Several transactions of
    /// one log entry have a revision each.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The log entry that this state is at.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The cluster; `None` only before its first entry.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.as_ref()
    }

    /// The keys of the data plane; `None` before anything needed them.
    pub fn key_ring(&self) -> Option<&Arc<KeyRing>> {
        self.key_ring.as_ref()
    }

    /// All nodes, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(&id)
    }

    /// The nodes that were members once, as far as remembered.
    pub fn removed_nodes(&self) -> impl Iterator<Item = &Arc<RemovedNode>> {
        self.removed.values()
    }

    /// The same, the longest removed first.
    pub(super) fn removed_in_order(&self) -> impl Iterator<Item = &Arc<RemovedNode>> {
        let order = self.removed_order.iter();
        order.filter_map(|id| self.removed.get(id))
    }

    /// What is remembered of a node that was a member once.
    pub fn removed_node(&self, id: NodeId) -> Option<&Arc<RemovedNode>> {
        self.removed.get(&id)
    }

    /// Whether a task of a node that was removed may still use an address, though nobody holds it.
    pub fn is_resting(&self, network: NetworkId, addr: IpAddr) -> bool {
        self.resting.contains_key(&(network, addr))
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

    /// All people, by id.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// One of them.
    pub fn user(&self, id: UserId) -> Option<&Arc<User>> {
        self.users.get(&id)
    }

    /// The join tokens that were made for a purpose, by id.
    pub fn join_tokens(&self) -> impl Iterator<Item = &Arc<IssuedToken>> {
        self.join_tokens.values()
    }

    /// One of them.
    pub fn join_token(&self, id: JoinTokenId) -> Option<&Arc<IssuedToken>> {
        self.join_tokens.get(&id)
    }

    /// All secrets and configs, by id.
    pub fn materials(&self) -> impl Iterator<Item = &Arc<Material>> {
        self.materials.values()
    }

    /// One secret or config.
    pub fn material(&self, id: MaterialId) -> Option<&Arc<Material>> {
        self.materials.get(&id)
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

    /// The services whose tasks have a port of their node to themselves.
    pub fn host_port_users(
        &self,
        protocol: Protocol,
        port: u16,
    ) -> impl Iterator<Item = ObjectKey> + '_ {
        let claim = |bits| Claim::HostPort(protocol, port, ServiceId::from_entropy(bits));
        let held = self.claims.range(claim(0)..=claim(u128::MAX));
        held.map(|(_, holder)| *holder)
    }

    /// The greatest address in use on a network.
    pub fn greatest_address(&self, network: NetworkId) -> Option<IpAddr> {
        let (first, last) = addresses(network);
        let mut held = self.claims.range(first..=last);
        held.next_back().and_then(|(claim, _)| claim.address())
    }

    /// The tasks that hold an address on a network, by address. Ended ones hold none.
    pub fn tasks_of_network(&self, network: NetworkId) -> impl Iterator<Item = &Arc<Task>> {
        let (first, last) = addresses(network);
        let held = self.claims.range(first..=last);
        held.filter_map(|(_, holder)| match holder {
            ObjectKey::Task(id) => self.tasks.get(id),
            ObjectKey::Cluster
            | ObjectKey::Node(_)
            | ObjectKey::Network(_)
            | ObjectKey::Service(_)
            | ObjectKey::Material(..)
            | ObjectKey::KeyRing
            | ObjectKey::User(_)
            | ObjectKey::JoinToken(_) => None,
        })
    }

    /// The same object, but a task that is made after its service's spec shares that spec instead
    /// of having one of its own: a hundred thousand tasks hold one. A version of a secret or config
    /// that comes without its data keeps what it has: nobody sends it twice.
    pub(super) fn share(&self, object: Object) -> Object {
        match object {
            Object::Task(mut task) => {
                let service = self.services.get(&task.service);
                let before = self.tasks.get(&task.id);
                let sibling = || self.tasks_of_service(task.service).next();
                let specs = service
                    .map(|service| &service.spec.task)
                    .into_iter()
                    .chain(before.map(|before| &before.spec));
                let shared = specs.into_iter().find(|spec| **spec == task.spec).cloned();
                let shared = shared.or_else(|| {
                    let spec = &sibling()?.spec;
                    (*spec == task.spec).then(|| spec.clone())
                });
                if let Some(spec) = shared {
                    task.spec = spec;
                }
                Object::Task(task)
            }
            Object::Cluster(_)
            | Object::Node(_)
            | Object::Network(_)
            | Object::Service(_)
            | Object::KeyRing(_)
            | Object::User(_)
            | Object::JoinToken(_) => object,
            Object::Material(mut material) => {
                let known = self.materials.get(&material.id);
                for (number, version) in &mut material.versions {
                    let known = known.and_then(|known| known.versions.get(number));
                    if let (true, Some(known)) = (version.data.bytes().is_empty(), known) {
                        version.data = known.data.clone();
                    }
                }
                Object::Material(material)
            }
        }
    }

    /// What became of a command that was applied lately.
    pub fn outcome(&self, command: CommandId) -> Option<&CommandResult> {
        self.recent.get(&command).map(|applied| &applied.result)
    }

    /// Any object, shared.
    pub fn item(&self, key: ObjectKey) -> Option<Item> {
        match key {
            ObjectKey::Cluster => self.cluster.clone().map(Item::Cluster),
            ObjectKey::Node(id) => self.nodes.get(&id).cloned().map(Item::Node),
            ObjectKey::Network(id) => self.networks.get(&id).cloned().map(Item::Network),
            ObjectKey::Service(id) => self.services.get(&id).cloned().map(Item::Service),
            ObjectKey::Task(id) => self.tasks.get(&id).cloned().map(Item::Task),
            ObjectKey::User(id) => self.users.get(&id).cloned().map(Item::User),
            ObjectKey::JoinToken(id) => self.join_tokens.get(&id).cloned().map(Item::JoinToken),
            ObjectKey::Material(kind, id) => {
                let found = self.materials.get(&id).filter(|found| found.kind == kind);
                found.cloned().map(Item::Material)
            }
            ObjectKey::KeyRing => self.key_ring.clone().map(Item::KeyRing),
        }
    }

    /// All objects, by kind and identifier.
    pub fn items(&self) -> impl Iterator<Item = Item> + '_ {
        let cluster = self.cluster.iter().cloned().map(Item::Cluster);
        cluster
            .chain(self.nodes.values().cloned().map(Item::Node))
            .chain(self.networks.values().cloned().map(Item::Network))
            .chain(self.services.values().cloned().map(Item::Service))
            .chain(self.tasks.values().cloned().map(Item::Task))
            .chain(self.users.values().cloned().map(Item::User))
            .chain(self.join_tokens.values().cloned().map(Item::JoinToken))
            .chain(self.materials.values().cloned().map(Item::Material))
            .chain(self.key_ring.iter().cloned().map(Item::KeyRing))
    }

    /// Commands applied lately, oldest first.
    pub(super) fn recent(&self) -> impl Iterator<Item = &AppliedCommand> {
        self.recent_order.iter().map(|applied| &**applied)
    }

    /// The version of an object; `None` when there is none.
    pub fn version(&self, key: ObjectKey) -> Option<u64> {
        match key {
            ObjectKey::Cluster => self.cluster.as_ref().map(|o| o.meta.version),
            ObjectKey::Node(id) => self.nodes.get(&id).map(|o| o.meta.version),
            ObjectKey::Network(id) => self.networks.get(&id).map(|o| o.meta.version),
            ObjectKey::Service(id) => self.services.get(&id).map(|o| o.meta.version),
            ObjectKey::Task(id) => self.tasks.get(&id).map(|o| o.meta.version),
            ObjectKey::User(id) => self.users.get(&id).map(|o| o.meta.version),
            ObjectKey::JoinToken(id) => self.join_tokens.get(&id).map(|o| o.meta.version),
            ObjectKey::Material(..) => self.item(key).map(|item| item.meta().version),
            ObjectKey::KeyRing => self.key_ring.as_ref().map(|o| o.meta.version),
        }
    }

    /// Everything, to be written down.
    pub fn to_snapshot(&self) -> StoreSnapshot {
        let objects = self.items().map(|item| Object::from(&item)).collect();
        let recent = self.recent().cloned().collect();
        StoreSnapshot {
            revision: self.revision,
            objects,
            recent,
            removed: self
                .removed_in_order()
                .map(|node| RemovedNode::clone(node))
                .collect(),
            audit: self.audit().map(|one| AuditRecord::clone(one)).collect(),
        }
    }

    /// Everything, written down object by object: the same bytes as the encoding of
    /// [`State::to_snapshot`], without a second copy of the state in memory.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_snapshot(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut piece = |piece: StoreSnapshot| out.write_all(&piece.encode());
        piece(StoreSnapshot {
            revision: self.revision,
            ..StoreSnapshot::default()
        })?;
        for item in self.items() {
            piece(StoreSnapshot {
                objects: vec![Object::from(&item)],
                ..StoreSnapshot::default()
            })?;
        }
        for applied in self.recent() {
            piece(StoreSnapshot {
                recent: vec![applied.clone()],
                ..StoreSnapshot::default()
            })?;
        }
        for node in self.removed_in_order() {
            piece(StoreSnapshot {
                removed: vec![RemovedNode::clone(node)],
                ..StoreSnapshot::default()
            })?;
        }
        for record in self.audit() {
            piece(StoreSnapshot {
                audit: vec![AuditRecord::clone(record)],
                ..StoreSnapshot::default()
            })?;
        }
        Ok(())
    }

    /// The state that was written down.
    pub fn from_snapshot(snapshot: StoreSnapshot) -> State {
        let mut state = State::default();
        state.absorb(snapshot);
        state
    }

    /// Adds a piece of a state that was written down.
    pub(crate) fn absorb(&mut self, piece: StoreSnapshot) {
        self.index = self.index.max(piece.revision);
        self.revision = self.revision.max(piece.revision);
        for object in piece.objects {
            let item = Item::from(self.share(object));
            let claims = claims_of(&item);
            self.put_claiming(item, claims);
        }
        for applied in piece.recent {
            self.remember(applied);
        }
        for node in piece.removed {
            self.bury(node);
        }
        for record in piece.audit {
            self.witnessed(record);
        }
    }

    /// The log has come to `index`. States that were reached by single transactions have the index
    /// as their revision.
    pub(crate) fn advance(&mut self, index: u64) {
        self.index = index;
        self.revision = self.revision.max(index);
    }

    /// As [`State::advance`], but for a state that was written down, whose index may be less than
    /// its revision.
    pub(crate) fn at_index(mut self, index: u64) -> State {
        self.advance(index);
        self
    }

    pub(super) fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// Begins a transaction at `index`, and gives it a revision of its own.
    pub(super) fn next_revision(&mut self, index: u64) -> u64 {
        self.revision = (self.revision + 1).max(index);
        self.revision
    }

    /// Puts an object, with all it `claims`, in the place of its last version, if there is one.
    /// Indexes are touched only
    /// where they change: most changes are of a status.
    pub(super) fn put_claiming(&mut self, item: Item, claims: Vec<Claim>) {
        let key = item.key();
        self.release(key, &claims);
        for claim in claims {
            if self.holder(&claim) != Some(key) {
                self.claims.insert_mut(claim, key);
            }
        }
        match item {
            Item::Cluster(cluster) => self.cluster = Some(cluster),
            Item::Node(node) => self.nodes.insert_mut(node.id, node),
            Item::Network(network) => self.networks.insert_mut(network.id, network),
            Item::Service(service) => self.services.insert_mut(service.id, service),
            Item::Task(task) => self.put_task(task),
            Item::User(user) => self.users.insert_mut(user.id, user),
            Item::JoinToken(token) => self.join_tokens.insert_mut(token.id, token),
            Item::Material(material) => self.materials.insert_mut(material.id, material),
            Item::KeyRing(ring) => self.key_ring = Some(ring),
        }
    }

    fn put_task(&mut self, task: Arc<Task>) {
        let old = self.tasks.get(&task.id);
        let (service, node) = (old.map(|old| old.service), old.and_then(|old| old.node));
        if service != Some(task.service) {
            if let Some(service) = service {
                self.tasks_by_service.remove_mut(&(service, task.id));
            }
            self.tasks_by_service.insert_mut((task.service, task.id));
        }
        if node != task.node {
            if let Some(node) = node {
                self.tasks_by_node.remove_mut(&(node, task.id));
            }
            if let Some(node) = task.node {
                self.tasks_by_node.insert_mut((node, task.id));
            }
        }
        self.tasks.insert_mut(task.id, task);
    }

    /// Takes an object out, and gives it back.
    pub(super) fn delete(&mut self, key: ObjectKey) -> Option<Item> {
        let item = self.item(key)?;
        self.release(key, &[]);
        match &item {
            Item::Cluster(_) => self.cluster = None,
            Item::Node(node) => _ = self.nodes.remove_mut(&node.id),
            Item::Network(network) => _ = self.networks.remove_mut(&network.id),
            Item::Service(service) => _ = self.services.remove_mut(&service.id),
            Item::Task(task) => {
                self.tasks_by_service.remove_mut(&(task.service, task.id));
                if let Some(node) = task.node {
                    self.tasks_by_node.remove_mut(&(node, task.id));
                }
                self.tasks.remove_mut(&task.id);
            }
            Item::User(user) => _ = self.users.remove_mut(&user.id),
            Item::JoinToken(token) => _ = self.join_tokens.remove_mut(&token.id),
            Item::Material(material) => _ = self.materials.remove_mut(&material.id),
            Item::KeyRing(_) => self.key_ring = None,
        }
        Some(item)
    }

    /// Remembers a node that is about to be removed.
    pub(super) fn bury_node(&mut self, id: NodeId, at: Timestamp) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        let live = self
            .tasks_of_node(id)
            .filter(|task| !task.status.state.is_terminal());
        let addresses = live.flat_map(|task| task.addresses.iter());
        self.bury(RemovedNode {
            id,
            hostname: node.description.hostname.clone(),
            number: node.number,
            at,
            addresses: addresses.map(|(network, addr)| (*network, *addr)).collect(),
        });
    }

    /// A node that is there was not removed.
    pub(super) fn unbury(&mut self, id: NodeId) {
        self.rest_no_more(id);
        if self.removed.remove_mut(&id) {
            self.removed_order = self
                .removed_order
                .iter()
                .filter(|other| **other != id)
                .copied()
                .collect();
        }
    }

    /// The addresses of a removed node's tasks are like any others again.
    fn rest_no_more(&mut self, id: NodeId) {
        let Some(node) = self.removed.get(&id).filter(|n| !n.addresses.is_empty()) else {
            return;
        };
        let mut node = RemovedNode::clone(node);
        for resting in std::mem::take(&mut node.addresses) {
            if self.resting.get(&resting) == Some(&id) {
                self.resting.remove_mut(&resting);
            }
        }
        self.removed.insert_mut(id, Arc::new(node));
    }

    fn bury(&mut self, node: RemovedNode) {
        self.unbury(node.id);
        self.removed_order.enqueue_mut(node.id);
        for resting in &node.addresses {
            self.resting.insert_mut(*resting, node.id);
        }
        self.removed.insert_mut(node.id, Arc::new(node));
        let long_ago = self.removed_order.len().checked_sub(RESTING_NODES + 1);
        if let Some(id) = long_ago.and_then(|at| self.removed_order.iter().nth(at).copied()) {
            self.rest_no_more(id);
        }
        while self.removed_order.len() > REMOVED_NODES {
            if let Some(oldest) = self.removed_order.peek().copied() {
                self.removed.remove_mut(&oldest);
            }
            self.removed_order.dequeue_mut();
        }
    }

    /// Gives back what an object has for itself, except what it is to `keep`.
    fn release(&mut self, key: ObjectKey, keep: &[Claim]) {
        let Some(item) = self.item(key) else {
            return;
        };
        for claim in claims_of(&item) {
            if !keep.contains(&claim) && self.holder(&claim) == Some(key) {
                self.claims.remove_mut(&claim);
            }
        }
    }

    pub(super) fn remember(&mut self, applied: AppliedCommand) {
        let now = applied.at;
        let applied = Arc::new(applied);
        self.recent.insert_mut(applied.id, applied.clone());
        self.recent_order.enqueue_mut(applied);
        while let Some(oldest) = self.recent_order.peek() {
            let count = self.recent_order.len();
            let old = now.since(oldest.at) > RECENT;
            if count <= RECENT_MIN || !(old || count > RECENT_MAX) {
                return;
            }
            let id = oldest.id;
            self.recent.remove_mut(&id);
            self.recent_order.dequeue_mut();
        }
    }
}

/// The ends of the range of all addresses of a network.
fn addresses(network: NetworkId) -> (Claim, Claim) {
    let (first, last) = (Ipv4Addr::UNSPECIFIED, Ipv6Addr::from(u128::MAX));
    (
        Claim::Address(network, first.into()),
        Claim::Address(network, last.into()),
    )
}

/// The greatest identifier there can be: the end of a range over all tasks of something.
fn last_task() -> TaskId {
    TaskId::from_entropy(u128::MAX)
}
