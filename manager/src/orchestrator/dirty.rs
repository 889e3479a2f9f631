//! Which services a set of changes touches, and which wait for a moment.

use crate::orchestrator::Plan;
use crate::store::State;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::object::Node;
use weft_proto::object::ObjectKey;
use weft_proto::time::Timestamp;

/// Services to plan for, also ones that are gone and have tasks left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dirty {
    all: bool,
    services: BTreeSet<ServiceId>,
}

impl Dirty {
    /// All services: at the start of an office, and where changes are not known any more.
    pub fn everything() -> Dirty {
        Dirty {
            all: true,
            services: BTreeSet::new(),
        }
    }

    /// There is nothing to plan for.
    pub fn is_empty(&self) -> bool {
        !self.all && self.services.is_empty()
    }

    /// Adds what is in `other`.
    pub fn merge(&mut self, other: Dirty) {
        self.all |= other.all;
        self.services.extend(other.services);
    }

    /// The services that are meant, by identifier.
    pub(super) fn services(&self, state: &State) -> BTreeSet<ServiceId> {
        if !self.all {
            return self.services.clone();
        }
        let of_tasks = state.tasks().map(|task| task.service);
        state.services().map(|s| s.id).chain(of_tasks).collect()
    }
}

impl FromIterator<ServiceId> for Dirty {
    fn from_iter<I: IntoIterator<Item = ServiceId>>(services: I) -> Self {
        Dirty {
            all: false,
            services: services.into_iter().collect(),
        }
    }
}

/// The services that are to be planned for after `changed` made `before` to `after`. Looks at both,
/// since what was deleted is known only before.
pub fn affected(before: &State, after: &State, changed: &[ObjectKey]) -> Dirty {
    let mut services = BTreeSet::new();
    let mut nodes = BTreeSet::new();
    for key in changed {
        match *key {
            ObjectKey::Service(id) => {
                services.insert(id);
            }
            ObjectKey::Task(id) => {
                let task = after.task(id).or_else(|| before.task(id));
                services.extend(task.map(|task| task.service));
            }
            ObjectKey::Node(id) => {
                nodes.insert(id);
            }
            ObjectKey::Cluster
            | ObjectKey::Network(_)
            | ObjectKey::Material(..)
            | ObjectKey::KeyRing
            | ObjectKey::User(_)
            | ObjectKey::JoinToken(_) => {}
        }
    }
    nodes.retain(|id| matters(before, after, *id));
    for node in &nodes {
        for state in [before, after] {
            services.extend(state.tasks_of_node(*node).map(|task| task.service));
        }
    }
    if !nodes.is_empty() {
        let global = after.services().filter(|s| s.spec.mode.is_global());
        services.extend(global.map(|service| service.id));
    }
    services.into_iter().collect()
}

/// Something changed about the node that a decision looks at.
fn matters(before: &State, after: &State, id: NodeId) -> bool {
    let seen = |node: &Node| {
        let described = &node.description;
        (
            node.status.state,
            node.status.since,
            node.spec.clone(),
            described.hostname.clone(),
            (described.os.clone(), described.arch.clone()),
            described.resources,
            described.runtimes.clone(),
        )
    };
    before.node(id).map(|node| seen(node)) != after.node(id).map(|node| seen(node))
}

/// When each service wants another look though nothing of it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agenda {
    wakes: BTreeMap<ServiceId, Timestamp>,
}

impl Agenda {
    /// Takes over what a plan for `dirty` says.
    pub fn planned(&mut self, dirty: &Dirty, plan: &Plan) {
        if dirty.all {
            self.wakes.clear();
        }
        for service in &dirty.services {
            self.wakes.remove(service);
        }
        self.wakes.extend(&plan.wakes);
    }

    /// The services whose moment has come.
    pub fn due(&self, now: Timestamp) -> Dirty {
        let due = self.wakes.iter().filter(|(_, at)| **at <= now);
        due.map(|(service, _)| *service).collect()
    }

    /// The next moment of all.
    pub fn next(&self) -> Option<Timestamp> {
        self.wakes.values().min().copied()
    }
}
