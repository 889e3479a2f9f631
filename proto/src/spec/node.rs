//! What a node should do.

use crate::role::Role;
use crate::spec::Labels;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// Whether a node gets tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    /// Gets tasks.
    Active,
    /// Keeps its tasks and gets no new ones.
    Pause,
    /// Gives its tasks away.
    Drain,
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Availability::Active => "active",
            Availability::Pause => "pause",
            Availability::Drain => "drain",
        })
    }
}

/// A node as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// The role it should have.
    pub role: Role,
    /// Whether it gets tasks.
    pub availability: Availability,
    /// Labels that constraints can name (`node.labels.KEY`).
    pub labels: Labels,
}
