//! What changes do, in words for people. Pure.

use crate::store::Item;
use crate::store::State;
use std::fmt::Write;
use weft_proto::NodeId;
use weft_proto::command::Change;
use weft_proto::object::Node;
use weft_proto::object::Object;
use weft_proto::object::ObjectKey;
use weft_proto::object::Service;

/// Objects that a sentence names; of more it says how many.
const NAMED: usize = 4;

/// What `changes` do to `state`: `created service web`, `changed node n2: availability drain`.
pub(super) fn of(state: &State, changes: &[Change]) -> String {
    let mut said: Vec<String> = changes.iter().filter_map(|one| step(state, one)).collect();
    // The cluster's own numbers move along with other things; only alone is that worth a word.
    if said.len() > 1 {
        said.retain(|step| step != CLUSTER);
    }
    let more = said.len().saturating_sub(NAMED);
    said.truncate(NAMED);
    let mut sentence = said.join(", ");
    if more > 0 {
        // Writing to a text cannot fail.
        let _ = write!(sentence, " and {more} more");
    }
    sentence
}

const CLUSTER: &str = "changed the cluster";

fn step(state: &State, change: &Change) -> Option<String> {
    match change {
        Change::Guard { .. } => None,
        Change::Delete { key, .. } => {
            let item = state.item(*key)?;
            Some(format!("removed {} {}", kind(*key), name(&item)))
        }
        Change::Put { object, .. } => {
            let key = object.key();
            if key == ObjectKey::Cluster {
                let known = state.cluster().is_some();
                return Some(
                    if known {
                        CLUSTER
                    } else {
                        "founded the cluster"
                    }
                    .to_owned(),
                );
            }
            let name = name(&Item::from(object.clone()));
            let kind = kind(key);
            match state.item(key) {
                None => Some(format!("created {kind} {name}")),
                Some(old) => Some(format!("changed {kind} {name}{}", detail(&old, object))),
            }
        }
    }
}

/// The first word of how a key is written.
fn kind(key: ObjectKey) -> String {
    let mut text = key.to_string();
    text.truncate(text.find(' ').unwrap_or(text.len()));
    text
}

fn name(item: &Item) -> String {
    match item.name() {
        name if name.is_empty() => item.key().to_string(),
        name => name,
    }
}

/// What changed, where it can be said in a few words; else nothing.
fn detail(old: &Item, new: &Object) -> String {
    let said = match (old, new) {
        (Item::Node(old), Object::Node(new)) => of_node(old, new),
        (Item::Service(old), Object::Service(new)) => of_service(old, new),
        _ => Vec::new(),
    };
    if said.is_empty() {
        return String::new();
    }
    format!(": {}", said.join(", "))
}

fn of_node(old: &Node, new: &Node) -> Vec<String> {
    let mut said = Vec::new();
    if old.spec.availability != new.spec.availability {
        said.push(format!("availability {}", new.spec.availability));
    }
    if old.spec.role != new.spec.role {
        said.push(format!("role {}", new.spec.role));
    }
    if old.spec.labels != new.spec.labels {
        said.push("labels".to_owned());
    }
    if old.manager != new.manager
        && let Some(manager) = new.manager
    {
        said.push(format!("manager at {}", manager.addr));
    }
    said
}

fn of_service(old: &Service, new: &Service) -> Vec<String> {
    let mut said = Vec::new();
    if let (Some(from), Some(to)) = (old.spec.mode.slots(), new.spec.mode.slots())
        && from != to
    {
        said.push(format!("from {from} to {to} replicas"));
    }
    if old.spec.task != new.spec.task {
        said.push("tasks".to_owned());
    }
    if old.spec.ports != new.spec.ports {
        said.push("ports".to_owned());
    }
    if old.spec.labels != new.spec.labels {
        said.push("labels".to_owned());
    }
    said
}

/// A node's name for people, as the state has it or is about to.
pub(super) fn node(state: &State, id: NodeId, changes: &[Change]) -> String {
    let known = state.node(id).map(|node| node.description.hostname.clone());
    let new = || {
        changes.iter().find_map(|change| match change {
            Change::Put {
                object: Object::Node(node),
                ..
            } if node.id == id => Some(node.description.hostname.clone()),
            Change::Put { .. } | Change::Delete { .. } | Change::Guard { .. } => None,
        })
    };
    known.or_else(new).unwrap_or_else(|| id.short().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cluster;
    use crate::fixture::network;
    use crate::fixture::node;
    use crate::fixture::service;
    use crate::fixture::state;
    use weft_proto::spec::Availability;

    #[test]
    fn changes_are_told_as_a_person_would() {
        let state = state(vec![
            cluster().into(),
            node(1).into(),
            network(1).into(),
            service(1, 2).into(),
        ]);
        let said = |changes: Vec<Change>| of(&state, &changes);
        let counted = Change::update(cluster());
        assert_eq!(said(vec![counted.clone()]), "changed the cluster");
        let joined = vec![counted, Change::create(node(2))];
        let host = node(2).description.hostname;
        assert_eq!(said(joined), format!("created node {host}"));
        assert_eq!(
            said(vec![Change::remove(network(1))]),
            "removed network net1"
        );
        let mut drained = node(1);
        drained.spec.availability = Availability::Drain;
        let host = node(1).description.hostname;
        assert_eq!(
            said(vec![Change::update(drained)]),
            format!("changed node {host}: availability drain")
        );
        let mut scaled = service(1, 2);
        scaled.spec.mode = weft_proto::spec::Mode::Replicated { replicas: 5 };
        assert_eq!(
            said(vec![Change::update(scaled)]),
            "changed service svc1: from 2 to 5 replicas"
        );
        let many = (2..9).map(|n| Change::create(network(n))).collect();
        assert!(said(many).ends_with("created network net5 and 3 more"));
        assert_eq!(said(Vec::new()), "");
    }
}
