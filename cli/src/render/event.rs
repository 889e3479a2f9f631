//! What happened to the objects of the cluster.

use crate::render::join_token;
use crate::render::time;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use weft_proto::object::KeyPhase;
use weft_proto::object::Material;
use weft_proto::object::Network;
use weft_proto::object::Node;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::object::User;
use weft_proto::time::Timestamp;
use weft_proto::wire;
use weft_proto::wire::object::Kind;
use weft_proto::wire::object_key::Kind as KeyKind;

/// Longest text of a value that is shown whole.
const VALUE_MAX: usize = 60;
/// Of one change so many differences are shown to people.
const SHOWN: usize = 4;

/// Which object, as text: kind and identifier. Ordered by kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) kind: &'static str,
    pub(crate) id: String,
}

/// An object as far as events need it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) key: Key,
    pub(crate) name: String,
    /// It is as old as its last change.
    pub(crate) new: bool,
    /// What it says, for finding differences.
    pub(crate) body: Value,
}

/// What happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Create,
    Update,
    Remove,
}

impl Action {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Update => "update",
            Action::Remove => "remove",
        }
    }
}

/// One line. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct EventRow {
    pub(crate) revision: u64,
    /// In milliseconds of Unix time.
    pub(crate) at: Timestamp,
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) action: Action,
    /// Field, what it was, what it is; empty where the old version is not known.
    pub(crate) changes: Vec<Difference>,
}

/// A field that changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Difference {
    pub(crate) field: String,
    pub(crate) from: Value,
    pub(crate) to: Value,
}

/// Reads an object; `None` for one of a kind that is not known here.
pub(crate) fn seen(object: wire::Object) -> Option<Seen> {
    let none = String::new();
    let (kind, id, meta) = match object.kind.as_ref()? {
        Kind::Cluster(cluster) => ("cluster", &cluster.id, &cluster.meta),
        Kind::Node(node) => ("node", &node.id, &node.meta),
        Kind::Network(network) => ("network", &network.id, &network.meta),
        Kind::Service(service) => ("service", &service.id, &service.meta),
        Kind::Task(task) => ("task", &task.id, &task.meta),
        Kind::User(user) => ("user", &user.id, &user.meta),
        Kind::JoinToken(token) => ("join-token", &token.id, &token.meta),
        Kind::Secret(secret) => ("secret", &secret.id, &secret.meta),
        Kind::Config(config) => ("config", &config.id, &config.meta),
        Kind::KeyRing(ring) => ("keys", &none, &ring.meta),
    };
    let key = Key {
        kind,
        id: id.clone(),
    };
    let meta = meta.unwrap_or_default();
    let (name, body) = read(object.kind?);
    Some(Seen {
        key,
        name,
        new: meta.created_at_ms == meta.updated_at_ms,
        body,
    })
}

fn read(kind: Kind) -> (String, Value) {
    fn body<T: Serialize>(read: Option<T>, name: impl Fn(&T) -> String) -> (String, Value) {
        let text = read.as_ref().map(name).unwrap_or_default();
        let value = read.and_then(|object| serde_json::to_value(object).ok());
        (text, value.unwrap_or_default())
    }
    match kind {
        // Its secrets are left out, so that it is no object of ours any more.
        Kind::Cluster(_) => (String::new(), Value::Null),
        Kind::Node(node) => body(Node::try_from(node).ok(), |node| {
            node.description.hostname.clone()
        }),
        Kind::Network(network) => body(Network::try_from(network).ok(), |network| {
            network.spec.name.to_string()
        }),
        Kind::Service(service) => body(Service::try_from(service).ok(), |service| {
            service.spec.name.to_string()
        }),
        Kind::Task(task) => body(Task::try_from(task).ok(), Task::name),
        Kind::User(user) => body(User::try_from(user).ok(), |user| user.name.to_string()),
        // What its secret is recognised by is left out. Whether it has expired is no change.
        Kind::JoinToken(token) => {
            let row = join_token::row(token, Timestamp::from_millis(i64::MIN));
            body(Some(row), |row| row.name.clone())
        }
        // They come without their data.
        Kind::Secret(material) | Kind::Config(material) => {
            body(Material::try_from(material).ok(), |material| {
                material.spec.name.to_string()
            })
        }
        // Which there are; what they are is left out already.
        Kind::KeyRing(ring) => (String::new(), keys(&ring)),
    }
}

/// The phase of each epoch.
fn keys(ring: &wire::KeyRing) -> Value {
    let epochs = ring.epochs.iter();
    let phase = |epoch: &wire::KeyEpoch| KeyPhase::try_from(epoch.phase()).ok();
    let phases = epochs.filter_map(|epoch| {
        let phase = phase(epoch)?.to_string();
        Some((format!("epoch {}", epoch.number), Value::String(phase)))
    });
    Value::Object(phases.collect())
}

/// Which object was removed.
pub(crate) fn removed(key: wire::ObjectKey) -> Option<Key> {
    let (kind, id) = match key.kind? {
        KeyKind::Cluster(_) => ("cluster", String::new()),
        KeyKind::Node(id) => ("node", id),
        KeyKind::Network(id) => ("network", id),
        KeyKind::Service(id) => ("service", id),
        KeyKind::Task(id) => ("task", id),
        KeyKind::User(id) => ("user", id),
        KeyKind::JoinToken(id) => ("join-token", id),
        KeyKind::Secret(id) => ("secret", id),
        KeyKind::Config(id) => ("config", id),
        KeyKind::KeyRing(_) => ("keys", String::new()),
    };
    Some(Key { kind, id })
}

/// The fields in which two versions of an object differ, in their order.
pub(crate) fn differences(old: &Value, new: &Value) -> Vec<Difference> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    leaves(String::new(), old, &mut before);
    leaves(String::new(), new, &mut after);
    let fields: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let value = |of: &BTreeMap<String, Value>, field| of.get(field).cloned().unwrap_or_default();
    fields
        .into_iter()
        .filter(|field| !field.starts_with("meta.") && before.get(*field) != after.get(*field))
        .map(|field| Difference {
            field: field.clone(),
            from: value(&before, field),
            to: value(&after, field),
        })
        .collect()
}

fn leaves(path: String, value: &Value, into: &mut BTreeMap<String, Value>) {
    let Value::Object(fields) = value else {
        into.insert(path, value.clone());
        return;
    };
    for (name, value) in fields {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        leaves(path, value, into);
    }
}

/// One line for people: when, what, which, and what is different.
pub(crate) fn line(row: &EventRow) -> String {
    let name = if row.name.is_empty() {
        &row.id
    } else {
        &row.name
    };
    let head = format!(
        "{}  {:<7} {:<6}  {name}",
        time::rfc3339(row.at),
        row.kind,
        row.action.word()
    );
    // When it happened is in front already.
    let told: Vec<&Difference> = row
        .changes
        .iter()
        .filter(|change| !matches!(change.field.as_str(), "status.at" | "status.since"))
        .collect();
    let more = told.len().saturating_sub(SHOWN);
    let mut parts: Vec<String> = told
        .iter()
        .take(SHOWN)
        .map(|change| {
            let text = |value| text(&change.field, value);
            format!(
                "{} {} -> {}",
                change.field,
                text(&change.from),
                text(&change.to)
            )
        })
        .collect();
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    if parts.is_empty() {
        head
    } else {
        format!("{head}  {}", parts.join(", "))
    }
}

/// Fields that hold moments: objects have them in milliseconds.
const MOMENTS: [&str; 3] = ["started", "ended", "skipped"];

fn text(field: &str, value: &Value) -> String {
    let is_moment = field
        .rsplit('.')
        .next()
        .is_some_and(|last| MOMENTS.contains(&last));
    if let Some(at) = value.as_i64().filter(|_| is_moment) {
        return time::rfc3339(Timestamp::from_millis(at));
    }
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    if text.chars().count() <= VALUE_MAX {
        return text;
    }
    let start: String = text.chars().take(VALUE_MAX).collect();
    format!("{start}...")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_told_and_never_what_the_store_keeps() {
        let old = json!({"meta": {"version": 1}, "spec": {"mode": {"replicas": 2}, "name": "web"}});
        let new = json!({"meta": {"version": 9}, "spec": {"mode": {"replicas": 5}, "name": "web"}});
        let changes = differences(&old, &new);
        assert_eq!(changes.len(), 1);
        let row = EventRow {
            revision: 9,
            at: Timestamp::from_millis(0),
            kind: "service",
            id: "x".to_owned(),
            name: "web".to_owned(),
            action: Action::Update,
            changes,
        };
        assert_eq!(
            line(&row),
            "1970-01-01T00:00:00.000Z  service update  web  spec.mode.replicas 2 -> 5"
        );
    }

    #[test]
    fn moments_are_told_as_such() {
        assert_eq!(text("update.ended", &json!(1)), "1970-01-01T00:00:00.001Z");
        assert_eq!(text("update.ended", &json!(null)), "-");
        assert_eq!(text("spec.replicas", &json!(1)), "1");
    }

    #[test]
    fn long_and_many_differences_are_cut_for_people_only() {
        let old = json!({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": "x".repeat(99)});
        let new = json!({"a": 2, "b": 2, "c": 2, "d": 2, "e": 2});
        let row = EventRow {
            revision: 9,
            at: Timestamp::from_millis(0),
            kind: "service",
            id: "x".to_owned(),
            name: String::new(),
            action: Action::Update,
            changes: differences(&old, &new),
        };
        assert!(
            line(&row).ends_with("d 1 -> 2, and 2 more"),
            "{}",
            line(&row)
        );
        assert_eq!(row.changes.len(), 6);
        assert_eq!(text("f", &json!("x".repeat(99))).len(), VALUE_MAX + 3);
    }
}
