//! What a task should run, where, and how it ends.

use crate::id::NetworkId;
use crate::name::Name;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What runs a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// A command of the node, in namespaces and a cgroup of its own.
    Process,
}

/// Amounts of what a node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Billionths of a CPU. Zero: none asked for, or no limit.
    pub nano_cpus: u64,
    /// Bytes. Zero: none asked for, or no limit.
    pub memory_bytes: u64,
}

/// When a task that ended is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartCondition {
    /// Never.
    None,
    /// When it failed.
    OnFailure,
    /// However it ended.
    Any,
}

/// How ended tasks are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// When.
    pub condition: RestartCondition,
    /// How long after the end.
    pub delay: Duration,
    /// How many times within `window`; zero: without bound.
    pub max_attempts: u32,
    /// The time over which attempts count; zero: for ever.
    pub window: Duration,
}

/// A network that a task attaches to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRef {
    /// The network.
    pub id: NetworkId,
    /// More names of the service on this network.
    pub aliases: Vec<Name>,
}

/// A condition on nodes: `node.labels.disk == ssd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Constraint {
    /// What is looked at: `node.id`, `node.hostname`, `node.role`, `node.labels.KEY`,
    /// `node.platform.os` or `node.platform.arch`.
    pub key: String,
    /// Must be equal; otherwise must differ.
    pub equal: bool,
    /// The value compared with, ignoring case.
    pub value: String,
}

/// Why a text is no constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseConstraintError {
    /// No operator.
    #[error("constraint {0:?} has no operator: write KEY==VALUE or KEY!=VALUE")]
    Operator(String),
    /// Unknown key.
    #[error(
        "constraint key {0:?} is unknown: use node.id, node.hostname, node.role, node.labels.KEY, \
         node.platform.os or node.platform.arch"
    )]
    Key(String),
    /// Nothing to compare with.
    #[error("constraint {0:?} has no value: write KEY==VALUE or KEY!=VALUE")]
    Value(String),
}

impl FromStr for Constraint {
    type Err = ParseConstraintError;

    fn from_str(text: &str) -> Result<Self, ParseConstraintError> {
        let (key, equal, value) = if let Some((key, value)) = text.split_once("!=") {
            (key.trim(), false, value.trim())
        } else if let Some((key, value)) = text.split_once("==") {
            (key.trim(), true, value.trim())
        } else {
            return Err(ParseConstraintError::Operator(text.to_owned()));
        };
        let known = matches!(
            key,
            "node.id" | "node.hostname" | "node.role" | "node.platform.os" | "node.platform.arch"
        ) || key
            .strip_prefix("node.labels.")
            .is_some_and(|label| !label.is_empty());
        if !known {
            return Err(ParseConstraintError::Key(key.to_owned()));
        }
        if value.is_empty() {
            return Err(ParseConstraintError::Value(text.to_owned()));
        }
        Ok(Constraint {
            key: key.to_owned(),
            equal,
            value: value.to_owned(),
        })
    }
}

impl TryFrom<String> for Constraint {
    type Error = ParseConstraintError;
    fn try_from(text: String) -> Result<Self, ParseConstraintError> {
        text.parse()
    }
}

impl From<Constraint> for String {
    fn from(constraint: Constraint) -> String {
        constraint.to_string()
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}{}",
            self.key,
            if self.equal { "==" } else { "!=" },
            self.value
        )
    }
}

/// A task as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// What runs it.
    pub runtime: Runtime,
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Where the program starts; `None`: `/`.
    pub working_dir: Option<String>,
    /// The user it runs as; `None`: root.
    pub user: Option<String>,
    /// Its host name; `None`: the task's name.
    pub hostname: Option<Name>,
    /// What it may use at most.
    pub limits: Resources,
    /// What its node must have free.
    pub reservations: Resources,
    /// Whether and when it is replaced after its end.
    pub restart: RestartPolicy,
    /// Which nodes may run it.
    pub constraints: Vec<Constraint>,
    /// The networks it attaches to.
    pub networks: Vec<NetworkRef>,
    /// The signal that asks it to end, by name (`SIGTERM`).
    pub stop_signal: String,
    /// How long it has to end before it is killed.
    pub stop_grace: Duration,
    /// Changed to roll tasks over without another change.
    pub force_update: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_say_what_is_wrong_with_them() {
        assert_eq!(
            "node.labels.disk == ssd".parse(),
            Ok(Constraint {
                key: "node.labels.disk".into(),
                equal: true,
                value: "ssd".into()
            })
        );
        assert!(matches!(
            "node.role=manager".parse::<Constraint>(),
            Err(ParseConstraintError::Operator(_))
        ));
        assert!(matches!(
            "node.colour==red".parse::<Constraint>(),
            Err(ParseConstraintError::Key(_))
        ));
        assert!(matches!(
            "node.role!=".parse::<Constraint>(),
            Err(ParseConstraintError::Value(_))
        ));
    }
}
