//! One command, one new state: the same on every replica.

use crate::store::claim::claims_of;
use crate::store::state::State;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::command::CommandResult;
use weft_proto::command::Conflict;
use weft_proto::command::ConflictKind;
use weft_proto::command::Expect;
use weft_proto::object::Meta;
use weft_proto::object::Network;
use weft_proto::object::Object;
use weft_proto::object::ObjectKey;
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

/// Applies a command at a log index, as a whole or not at all. A command that was applied before
/// changes nothing and has the outcome it had then.
pub fn apply(state: &State, index: u64, command: &Command) -> Applied {
    if let Some(outcome) = state.outcome(command.id) {
        let result = outcome.clone();
        let mut state = state.clone();
        state.set_revision(index);
        return Applied {
            state,
            result,
            changed: Vec::new(),
        };
    }
    let mut next = state.clone();
    next.set_revision(index);
    let mut changed = Vec::new();
    let outcome = command
        .changes
        .iter()
        .try_for_each(|change| apply_change(&mut next, index, command.at, change, &mut changed));
    match outcome {
        Ok(()) => {
            next.remember(command.id, Ok(index));
            Applied {
                state: next,
                result: Ok(index),
                changed,
            }
        }
        Err(conflict) => {
            // Refusals are not remembered: the proposer decides anew, with a new command.
            let mut state = state.clone();
            state.set_revision(index);
            Applied {
                state,
                result: Err(conflict),
                changed: Vec::new(),
            }
        }
    }
}

fn apply_change(
    state: &mut State,
    index: u64,
    at: Timestamp,
    change: &Change,
    changed: &mut Vec<ObjectKey>,
) -> Result<(), Conflict> {
    match change {
        Change::Guard { key, expect } => check(state, *key, *expect),
        Change::Delete { key, expect } => {
            check(state, *key, *expect)?;
            check_removal(state, *key)?;
            state.delete(*key);
            changed.push(*key);
            Ok(())
        }
        Change::Put { object, expect } => {
            let key = object.key();
            check(state, key, *expect)?;
            check_claims(state, object)?;
            check_rules(state, object)?;
            let created_at = state.object(key).map_or(at, |old| old.meta().created_at);
            let meta = Meta {
                version: index,
                created_at,
                updated_at: at,
            };
            state.put(object.clone().with_meta(meta));
            changed.push(key);
            Ok(())
        }
    }
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

fn check_claims(state: &State, object: &Object) -> Result<(), Conflict> {
    for claim in claims_of(object) {
        if let Some(holder) = state.holder(&claim)
            && holder != object.key()
        {
            return Err(Conflict {
                kind: ConflictKind::Taken,
                message: format!("{claim} belongs to {}", describe(state, holder)),
            });
        }
    }
    Ok(())
}

fn check_rules(state: &State, object: &Object) -> Result<(), Conflict> {
    match object {
        Object::Network(network) => check_overlap(state, network),
        Object::Task(task) => match state.task(task.id) {
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
        Object::Cluster(_) | Object::Node(_) | Object::Service(_) => Ok(()),
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
        ObjectKey::Network(id) => {
            let user = state
                .services()
                .find(|service| service.spec.task.networks.iter().any(|net| net.id == id));
            let task = state.tasks().find(|task| {
                !task.status.state.is_terminal() && task.spec.networks.iter().any(|n| n.id == id)
            });
            match (user, task) {
                (Some(service), _) => Err(invalid(format!(
                    "it is used by service {}",
                    service.spec.name
                ))),
                (None, Some(task)) => Err(invalid(format!(
                    "it is used by task {}, which is still stopping",
                    task.name()
                ))),
                (None, None) => Ok(()),
            }
        }
        ObjectKey::Node(_) | ObjectKey::Service(_) | ObjectKey::Task(_) => Ok(()),
    }
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
        ObjectKey::Cluster => None,
    }
    .unwrap_or_else(|| key.to_string())
}
