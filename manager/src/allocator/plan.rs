//! New tasks get their addresses.

use crate::allocator::AllocateError;
use crate::allocator::ipam::choose_behind;
use crate::allocator::service::is_incomplete;
use crate::allocator::service::step;
use crate::store::State;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use weft_proto::NetworkId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::command::Change;
use weft_proto::object::Network;
use weft_proto::object::ObjectKey;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// Moves the new tasks of a state on to pending: with an address on each of their networks, or with
/// the reason why there is none. What the loops do step by step with an [`Allocator`], in one.
pub fn plan(state: &State, now: Timestamp) -> Vec<Change> {
    let mut allocator = Allocator::default();
    allocator.follow(state, None);
    let tasks = allocator.plan(Vec::new(), &BTreeSet::new(), now);
    tasks.into_iter().map(Change::update).collect()
}

/// Gives addresses, and remembers where it is in each network from one plan to the next.
#[derive(Clone, Debug, Default)]
pub struct Allocator {
    seen: State,
    /// All new tasks of the state.
    new: BTreeSet<TaskId>,
    /// Those of them that no plan has looked at.
    fresh: BTreeSet<TaskId>,
    /// There may be addresses where there were none: all new tasks are looked at.
    room: bool,
    /// Services that may miss something.
    services: BTreeSet<ServiceId>,
    networks: BTreeMap<NetworkId, Pool>,
}

/// What was given of one network.
#[derive(Clone, Debug, Default)]
struct Pool {
    /// The last address that was given.
    last: Option<IpAddr>,
    /// Given, and not yet seen in the state.
    given: BTreeSet<IpAddr>,
    /// Why there was nothing left to give, in this state.
    exhausted: Option<AllocateError>,
}

impl Allocator {
    /// Goes on to a newer state. `changed`: all objects that changed since the last one; `None`
    /// when that is not known, or for the first time. What was planned counts no more unless it is
    /// state now.
    pub fn follow(&mut self, state: &State, changed: Option<&BTreeSet<ObjectKey>>) {
        let is_new = |id: &TaskId| state.task(*id).is_some_and(|task| is_new(task));
        for pool in self.networks.values_mut() {
            pool.given.clear();
        }
        match changed {
            None => {
                let tasks = state.tasks().filter(|task| self::is_new(task));
                self.new = tasks.map(|task| task.id).collect();
                self.room = true;
                self.services = state.services().map(|service| service.id).collect();
                self.networks.retain(|id, _| state.network(*id).is_some());
            }
            Some(changed) => {
                for key in changed {
                    match key {
                        ObjectKey::Task(id) if is_new(id) => {
                            self.new.insert(*id);
                            self.fresh.insert(*id);
                        }
                        ObjectKey::Task(id) => {
                            self.new.remove(id);
                            self.fresh.remove(id);
                            self.room |= holds(&self.seen, *id) && !holds(state, *id);
                        }
                        ObjectKey::Network(id) => {
                            self.room = true;
                            if state.network(*id).is_none() {
                                self.networks.remove(id);
                            }
                        }
                        // A service that goes or changes may give its virtual address back.
                        ObjectKey::Service(id) => {
                            self.room = true;
                            self.services.insert(*id);
                        }
                        ObjectKey::Cluster
                        | ObjectKey::Node(_)
                        | ObjectKey::Material(..)
                        | ObjectKey::KeyRing
                        | ObjectKey::User(_)
                        | ObjectKey::JoinToken(_) => {}
                    }
                }
            }
        }
        self.seen = state.clone();
    }

    /// What was planned did not become state: the next plan looks at everything that is new.
    pub fn again(&mut self) {
        self.room = true;
    }

    /// Services with the addresses and ports that they missed. `others`: services that the same
    /// transaction changes otherwise.
    pub fn plan_services(&mut self, others: &BTreeSet<ServiceId>) -> Vec<Service> {
        let state = self.seen.clone();
        self.services.retain(|id| {
            state
                .service(*id)
                .is_some_and(|service| is_incomplete(service))
        });
        let ready = self.services.difference(others);
        let ready: Vec<_> = ready.filter_map(|id| state.service(*id)).collect();
        let networks = &mut self.networks;
        let mut give = |network: &Network| {
            let pool = networks.entry(network.id).or_default();
            let addr = choose_behind(&state, network, &pool.given, pool.last).ok()?;
            pool.given.insert(addr);
            pool.last = Some(addr);
            Some(addr)
        };
        let steps = ready.into_iter();
        steps
            .filter_map(|service| step(&state, service, &mut give))
            .collect()
    }

    /// The tasks that have their addresses now, or another reason why not. `drafts`: new tasks that
    /// are not state yet, or not as they are there. `others`: tasks that the same transaction
    /// changes otherwise.
    pub fn plan(
        &mut self,
        drafts: Vec<Task>,
        others: &BTreeSet<TaskId>,
        now: Timestamp,
    ) -> Vec<Task> {
        if self.room {
            self.room = false;
            for pool in self.networks.values_mut() {
                pool.exhausted = None;
            }
            self.fresh.clone_from(&self.new);
        }
        let state = self.seen.clone();
        let fresh = std::mem::take(&mut self.fresh);
        let known = fresh.iter().filter(|id| !others.contains(id));
        let known = known.filter_map(|id| state.task(*id).map(|task| Task::clone(task)));
        known
            .chain(drafts)
            .filter(is_new)
            .filter_map(|task| self.step(&state, task, now))
            .collect()
    }

    fn step(&mut self, state: &State, mut task: Task, now: Timestamp) -> Option<Task> {
        match self.addresses(state, &task) {
            Ok(addresses) => {
                task.addresses = addresses;
                task.status.state = TaskState::Pending;
                task.status.at = now;
                task.status.message = "waits for a node".to_owned();
                Some(task)
            }
            Err(reason) if reason == task.status.message => None,
            Err(reason) => {
                task.status.message = reason;
                Some(task)
            }
        }
    }

    /// One on each of the task's networks, or none at all.
    fn addresses(
        &mut self,
        state: &State,
        task: &Task,
    ) -> Result<BTreeMap<NetworkId, IpAddr>, String> {
        let mut chosen = BTreeMap::new();
        for attachment in &task.spec.networks {
            let id = attachment.id;
            let network = state
                .network(id)
                .ok_or_else(|| format!("network {id} is gone"))?;
            let pool = self.networks.entry(id).or_default();
            if let Some(exhausted) = &pool.exhausted {
                return Err(exhausted.to_string());
            }
            match choose_behind(state, network, &pool.given, pool.last) {
                Ok(addr) => chosen.insert(id, addr),
                Err(exhausted) => {
                    let reason = exhausted.to_string();
                    pool.exhausted = Some(exhausted);
                    return Err(reason);
                }
            };
        }
        for (network, addr) in &chosen {
            let pool = self.networks.entry(*network).or_default();
            pool.given.insert(*addr);
            pool.last = Some(*addr);
        }
        Ok(chosen)
    }
}

fn is_new(task: &Task) -> bool {
    task.status.state == TaskState::New && task.desired == DesiredState::Running
}

fn holds(state: &State, task: TaskId) -> bool {
    let task = state.task(task);
    task.is_some_and(|task| !task.status.state.is_terminal() && !task.addresses.is_empty())
}
