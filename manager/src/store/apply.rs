//! One command, one new state: the same on every replica.

use crate::store::claim::Claim;
use crate::store::claim::claims_of;
use crate::store::item::Item;
use crate::store::state::State;
use weft_proto::command::AppliedCommand;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::command::CommandResult;
use weft_proto::command::Conflict;
use weft_proto::command::ConflictKind;
use weft_proto::command::Expect;
use weft_proto::object::Material;
use weft_proto::object::Meta;
use weft_proto::object::Network;
use weft_proto::object::Object;
use weft_proto::object::ObjectKey;
use weft_proto::spec::TaskSpec;
use weft_proto::time::Timestamp;

/// What applying a command made of a state.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The state after it. At the command's index, also when it was refused.
    pub state: State,
    /// What its proposer is told.
    pub result: CommandResult,
    /// Which objects changed, in order.
    pub changed: Vec<ObjectKey>,
}

/// Applies a command as the only one of the log entry at `index`; see [`State::transact`].
pub fn apply(state: &State, index: u64, command: &Command) -> Applied {
    let mut state = state.clone();
    let (result, steps) = state.transact(index, command.clone());
    state.advance(index);
    let changed = steps.iter().map(Step::key).collect();
    Applied {
        state,
        result,
        changed,
    }
}

/// One thing that a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This version of an object is there now.
    Put(Item),
    /// An object is gone. This was its last version.
    Deleted(Item),
}

impl Step {
    /// Which object.
    pub fn key(&self) -> ObjectKey {
        let (Step::Put(item) | Step::Deleted(item)) = self;
        item.key()
    }
}

impl State {
    /// Applies a command of the log entry at `index`, as a whole or not at all: one that is refused
    /// changes nothing. One that was applied before changes nothing and has the outcome it had
    /// then. One that is applied has a revision of its own, which is the version of all it wrote:
    /// so two commands of one entry never give an object the same version.
    ///
    /// After the last command of an entry, [`State::advance`] ends it.
    pub(super) fn transact(&mut self, index: u64, command: Command) -> (CommandResult, Vec<Step>) {
        if let Some(outcome) = self.outcome(command.id) {
            return (outcome.clone(), Vec::new());
        }
        let Command {
            id,
            at,
            changes,
            actor,
        } = command;
        // A single change is checked before it is made; only of several may some have been made.
        let before = (changes.len() > 1).then(|| self.clone());
        let last = self.revision();
        let revision = self.next_revision(index);
        let mut steps = Vec::with_capacity(changes.len());
        for change in changes {
            match apply_change(self, revision, at, change) {
                Ok(step) => steps.extend(step),
                Err(conflict) => {
                    // Refusals are not remembered: the proposer decides anew, with a new command.
                    match before {
                        Some(before) => *self = before,
                        None => self.set_revision(last),
                    }
                    return (Err(conflict), Vec::new());
                }
            }
        }
        if let Some(actor) = actor {
            self.witness(revision, at, actor);
        }
        let result = Ok(revision);
        self.remember(AppliedCommand { id, at, result });
        (Ok(revision), steps)
    }
}

fn apply_change(
    state: &mut State,
    revision: u64,
    at: Timestamp,
    change: Change,
) -> Result<Option<Step>, Conflict> {
    match change {
        Change::Guard { key, expect } => check(state, key, expect).map(|()| None),
        Change::Delete { key, expect } => {
            check(state, key, expect)?;
            check_removal(state, key)?;
            if let ObjectKey::Node(id) = key {
                state.bury_node(id, at);
            }
            Ok(state.delete(key).map(Step::Deleted))
        }
        Change::Put { object, expect } => {
            let key = object.key();
            check(state, key, expect)?;
            let created_at = state.item(key).map_or(at, |old| old.meta().created_at);
            let meta = Meta {
                version: revision,
                created_at,
                updated_at: at,
            };
            let item = Item::from(stamped(state.share(object), at).with_meta(meta));
            let claims = claims_of(&item);
            check_claims(state, key, &claims)?;
            check_port_modes(state, key, &claims)?;
            check_rules(state, &item)?;
            if let ObjectKey::Node(id) = key {
                state.unbury(id);
            }
            state.put_claiming(item.clone(), claims);
            Ok(Some(Step::Put(item)))
        }
    }
}

/// A new version of a secret or config begins when it becomes state.
fn stamped(mut object: Object, now: Timestamp) -> Object {
    if let Object::Material(material) = &mut object {
        let new = material.versions.values_mut();
        for version in new.filter(|version| version.at == Timestamp::default()) {
            version.at = now;
        }
    }
    object
}

fn check(state: &State, key: ObjectKey, expect: Expect) -> Result<(), Conflict> {
    match (expect, state.version(key)) {
        (Expect::Any, _) | (Expect::Absent, None) => Ok(()),
        (Expect::Absent, Some(_)) => Err(Conflict {
            kind: ConflictKind::Exists,
            message: format!("{key} exists already"),
        }),
        (Expect::Version(_), None) => Err(Conflict {
            kind: ConflictKind::Missing,
            message: format!("{key} is gone"),
        }),
        (Expect::Version(expected), Some(found)) if expected == found => Ok(()),
        (Expect::Version(expected), Some(found)) => Err(Conflict {
            kind: ConflictKind::Version,
            message: format!("{key} changed meanwhile: version {found}, not {expected}"),
        }),
    }
}

fn check_claims(state: &State, key: ObjectKey, claims: &[Claim]) -> Result<(), Conflict> {
    for claim in claims {
        if let Some(holder) = state.holder(claim)
            && holder != key
        {
            return Err(Conflict {
                kind: ConflictKind::Taken,
                message: format!("{claim} belongs to {}", describe(state, holder)),
            });
        }
    }
    Ok(())
}

/// A port that single nodes answer for their tasks cannot be one that every node answers. A service
/// that is there already may go back to such a port by itself, which must not be held up: a node
/// then prefers its own task.
fn check_port_modes(state: &State, key: ObjectKey, claims: &[Claim]) -> Result<(), Conflict> {
    for claim in claims {
        let other = match claim {
            Claim::PublishedPort(protocol, port) => state
                .host_port_users(*protocol, *port)
                .find(|user| *user != key),
            Claim::HostPort(protocol, port, _) if state.item(key).is_none() => {
                let mesh = Claim::PublishedPort(*protocol, *port);
                state.holder(&mesh).filter(|holder| *holder != key)
            }
            Claim::HostPort(..)
            | Claim::NetworkName(_)
            | Claim::ServiceName(_)
            | Claim::Vni(_)
            | Claim::Address(..)
            | Claim::NodeNumber(_)
            | Claim::RaftId(_)
            | Claim::IngressAddress(_)
            | Claim::UserName(_)
            | Claim::TunnelKey(_)
            | Claim::MaterialName(..) => None,
        };
        if let Some(other) = other {
            return Err(Conflict {
                kind: ConflictKind::Taken,
                message: format!("{claim} belongs to {}", describe(state, other)),
            });
        }
    }
    Ok(())
}

fn check_rules(state: &State, item: &Item) -> Result<(), Conflict> {
    match item {
        Item::Network(network) => check_overlap(state, network),
        Item::Task(task) => match state.task(task.id) {
            Some(old) if task.status.state < old.status.state => Err(Conflict {
                kind: ConflictKind::Invalid,
                message: format!(
                    "task {} cannot go back from {} to {}",
                    task.id, old.status.state, task.status.state
                ),
            }),
            Some(old) if task.desired < old.desired => Err(Conflict {
                kind: ConflictKind::Invalid,
                message: format!("task {} is to end and cannot be called back", task.id),
            }),
            Some(_) | None => Ok(()),
        },
        Item::Material(material) => check_material(state, material),
        Item::Cluster(_)
        | Item::Node(_)
        | Item::Service(_)
        | Item::KeyRing(_)
        | Item::User(_)
        | Item::JoinToken(_) => Ok(()),
    }
}

/// Each version has data, and a new one is of all that use it: a service that came meanwhile must
/// not be left behind.
fn check_material(state: &State, material: &Material) -> Result<(), Conflict> {
    let refuse = |kind, message| Err(Conflict { kind, message });
    let mut versions = material.versions.iter();
    if let Some((number, _)) = versions.find(|(_, version)| version.data.bytes().is_empty()) {
        let message = format!("version {number} of {} has no data", material.key());
        return refuse(ConflictKind::Invalid, message);
    }
    let old = state.material(material.id);
    if old.is_none_or(|old| old.current() == material.current()) {
        return Ok(());
    }
    let behind = state.services().find(|service| {
        let mut files = service.spec.task.files.iter();
        files.any(|file| file.material == material.id && file.version != material.current())
    });
    match behind {
        None => Ok(()),
        Some(service) => refuse(
            ConflictKind::Version,
            format!("service {} began to use it meanwhile", service.spec.name),
        ),
    }
}

fn check_overlap(state: &State, network: &Network) -> Result<(), Conflict> {
    let overlap = state.networks().find(|other| {
        other.id != network.id
            && (other.subnet.contains(&network.subnet) || network.subnet.contains(&other.subnet))
    });
    match overlap {
        None => Ok(()),
        Some(other) => Err(Conflict {
            kind: ConflictKind::Taken,
            message: format!(
                "subnet {} overlaps {} of network {}",
                network.subnet, other.subnet, other.spec.name
            ),
        }),
    }
}

fn check_removal(state: &State, key: ObjectKey) -> Result<(), Conflict> {
    let invalid = |message: String| Conflict {
        kind: ConflictKind::Invalid,
        message,
    };
    match key {
        ObjectKey::Cluster => Err(invalid("the cluster itself cannot be removed".to_owned())),
        ObjectKey::KeyRing => Err(invalid("the key ring cannot be removed".to_owned())),
        ObjectKey::Network(id) => {
            let uses = |spec: &TaskSpec| spec.networks.iter().any(|net| net.id == id);
            user(state, uses).map_or(Ok(()), |user| Err(invalid(user)))
        }
        ObjectKey::Material(_, id) => {
            let uses = |spec: &TaskSpec| spec.files.iter().any(|file| file.material == id);
            user(state, uses).map_or(Ok(()), |user| Err(invalid(user)))
        }
        ObjectKey::Node(_)
        | ObjectKey::Service(_)
        | ObjectKey::Task(_)
        | ObjectKey::User(_)
        | ObjectKey::JoinToken(_) => Ok(()),
    }
}

/// Who uses something, in words.
fn user(state: &State, uses: impl Fn(&TaskSpec) -> bool) -> Option<String> {
    let service = state.services().find(|service| uses(&service.spec.task));
    if let Some(service) = service {
        return Some(format!("it is used by service {}", service.spec.name));
    }
    let mut tasks = state.tasks();
    let task = tasks.find(|task| !task.status.state.is_terminal() && uses(&task.spec))?;
    Some(format!(
        "it is used by task {}, which is still stopping",
        task.name()
    ))
}

/// An object as people know it.
fn describe(state: &State, key: ObjectKey) -> String {
    match key {
        ObjectKey::Service(id) => state
            .service(id)
            .map(|service| format!("service {}", service.spec.name)),
        ObjectKey::Network(id) => state
            .network(id)
            .map(|network| format!("network {}", network.spec.name)),
        ObjectKey::Node(id) => state
            .node(id)
            .map(|node| format!("node {}", node.description.hostname)),
        ObjectKey::Task(id) => state.task(id).map(|task| format!("task {}", task.name())),
        ObjectKey::User(id) => state.user(id).map(|user| format!("user {}", user.name)),
        ObjectKey::Material(kind, id) => state
            .material(id)
            .map(|material| format!("{kind} {}", material.spec.name)),
        ObjectKey::Cluster | ObjectKey::KeyRing | ObjectKey::JoinToken(_) => None,
    }
    .unwrap_or_else(|| key.to_string())
}
