//! Nodes.

use crate::render::table;
use crate::render::table::capital;
use crate::render::time;
use crate::render::unit;
use serde::Serialize;
use std::fmt;
use weft_manager::quorum::Margin;
use weft_proto::NodeId;
use weft_proto::object::Node;
use weft_proto::object::PendingNode;
use weft_proto::spec::Availability;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// A node in a list. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NodeRow {
    pub(crate) id: NodeId,
    pub(crate) hostname: String,
    /// `ready`, `down` or `unknown`; `pending` of one that waits to be let in.
    pub(crate) status: String,
    /// Why, where there is something to say.
    pub(crate) message: String,
    pub(crate) availability: Availability,
    /// `worker` or `manager`.
    pub(crate) role: String,
    /// `leader`, `reachable` or `unreachable`; null on workers.
    pub(crate) manager: Option<&'static str>,
    /// Where others reach it: a manager's control address, a worker's address for data.
    pub(crate) address: String,
    pub(crate) version: String,
    /// The node whose daemon answered.
    #[serde(rename = "self")]
    pub(crate) own: bool,
}

/// What the managers think of each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Managers {
    /// The node that leads.
    pub(crate) leader: String,
    /// All of them.
    pub(crate) members: Vec<wire::ManagerMember>,
}

impl Managers {
    fn standing(&self, node: &Node) -> Option<&'static str> {
        let id = node.id.as_str();
        let member = self.members.iter().find(|member| member.node_id == id);
        if member.is_none() && node.manager.is_none() {
            return None;
        }
        Some(if self.leader == id {
            "leader"
        } else if member.is_some_and(|member| member.reachable) {
            "reachable"
        } else {
            "unreachable"
        })
    }

    /// How many vote, answer and may fail; `None` where nothing is known of them.
    pub(crate) fn margin(&self) -> Option<MarginRow> {
        let voters: Vec<_> = self.members.iter().filter(|m| m.voter).collect();
        let answering = voters
            .iter()
            .filter(|m| m.reachable || m.node_id == self.leader)
            .count();
        let margin = Margin {
            voters: voters.len(),
            answering,
        };
        (margin.voters > 0).then_some(MarginRow {
            voters: margin.voters,
            answering,
            needed: margin.needed(),
            may_fail: margin.spare(),
        })
    }
}

/// How many managers may still fail before the cluster can no longer be changed. The keys of its
/// JSON do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MarginRow {
    /// Managers that vote.
    pub(crate) voters: usize,
    /// Those that answer.
    pub(crate) answering: usize,
    /// Those that must answer.
    pub(crate) needed: usize,
    /// How many more may fail; null when too few answer already.
    pub(crate) may_fail: Option<usize>,
}

impl fmt::Display for MarginRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MarginRow {
            voters: all,
            answering: alive,
            needed,
            may_fail,
        } = self;
        let noun = if *all == 1 { "manager" } else { "managers" };
        match may_fail {
            None => write!(
                f,
                "{alive} of {all} {noun} answer: {needed} are needed to change anything; services \
                 go on as they are"
            ),
            Some(0) if alive == all && *all < 3 => write!(
                f,
                "{all} {noun}: none may fail; join more until there are 3 to survive the loss of \
                 one"
            ),
            Some(0) => write!(f, "{alive} of {all} {noun} answer: no other one may fail"),
            Some(spare) => write!(f, "{alive} of {all} {noun} answer: {spare} more may fail"),
        }
    }
}

/// The rows of a list, managers first, then by name.
pub(crate) fn rows(nodes: &[Node], managers: &Managers, own: &str) -> Vec<NodeRow> {
    let mut rows: Vec<NodeRow> = nodes.iter().map(|node| row(node, managers, own)).collect();
    rows.sort_by(|a, b| {
        let key = |row: &NodeRow| (row.manager.is_none(), row.hostname.clone(), row.id);
        key(a).cmp(&key(b))
    });
    rows
}

fn row(node: &Node, managers: &Managers, own: &str) -> NodeRow {
    let manager = managers.standing(node);
    NodeRow {
        id: node.id,
        hostname: node.description.hostname.clone(),
        status: node.status.state.to_string(),
        message: node.status.message.clone(),
        availability: node.spec.availability,
        role: node.spec.role.to_string(),
        manager,
        address: node.manager.map_or_else(
            || node.data_addr.to_string(),
            |manager| manager.addr.to_string(),
        ),
        version: node.description.version.clone(),
        own: node.id.as_str() == own,
    }
}

/// The rows of machines that wait to be let in; what cannot be read is left out.
pub(crate) fn pending(waiting: &[wire::WaitingNode]) -> Vec<NodeRow> {
    waiting.iter().filter_map(pending_row).collect()
}

fn pending_row(waiting: &wire::WaitingNode) -> Option<NodeRow> {
    let node = PendingNode::try_from(waiting.node.clone()?).ok()?;
    let id = node.id;
    Some(NodeRow {
        id,
        hostname: node.description.hostname,
        status: "pending".to_owned(),
        message: format!("waits to be let in: weft node accept {}", id.short()),
        availability: Availability::Active,
        role: match waiting.role() {
            wire::NodeRole::Manager => "manager".to_owned(),
            wire::NodeRole::Worker | wire::NodeRole::Unspecified => "worker".to_owned(),
        },
        manager: None,
        address: node
            .advertise_addr
            .map_or_else(|| node.data_addr.to_string(), |addr| addr.to_string()),
        version: node.description.version,
        own: false,
    })
}

/// A table for people, with how many managers may still fail as its last line.
pub(crate) fn table(rows: &[NodeRow], managers: &Managers) -> String {
    let header = [
        "ID",
        "HOSTNAME",
        "STATUS",
        "AVAILABILITY",
        "MANAGER",
        "ADDRESS",
    ];
    let line = |row: &NodeRow| {
        [
            format!("{}{}", row.id.short(), if row.own { " *" } else { "" }),
            row.hostname.clone(),
            capital(&row.status),
            capital(&row.availability.to_string()),
            row.manager.map_or_else(|| "-".to_owned(), capital),
            row.address.clone(),
        ]
    };
    let mut text = table::table(header, rows.iter().map(line));
    if let Some(margin) = managers.margin() {
        text.push_str("\n\n");
        text.push_str(&margin.to_string());
    }
    text
}

/// One node in full, for people.
pub(crate) fn inspect(node: &Node, managers: &Managers, now: Timestamp) -> String {
    let labels = &node.spec.labels;
    let labels = labels.iter().map(|(key, value)| format!("{key}={value}"));
    let description = &node.description;
    let counted = description.generic.iter();
    let counted = counted.map(|(name, count)| format!("{name}={count}"));
    table::pairs(&[
        ("ID", node.id.to_string()),
        ("Hostname", description.hostname.clone()),
        ("Joined", time::rfc3339(node.meta.created_at)),
        (
            "Status",
            format!(
                "{} since {}",
                node.status.state,
                time::ago(now, node.status.since)
            ),
        ),
        ("Message", node.status.message.clone()),
        ("Availability", node.spec.availability.to_string()),
        ("Role", node.spec.role.to_string()),
        ("Manager", managers.standing(node).unwrap_or("-").to_owned()),
        (
            "Control address",
            node.manager
                .map_or_else(|| "-".to_owned(), |m| m.addr.to_string()),
        ),
        ("Data address", node.data_addr.to_string()),
        ("Labels", labels.collect::<Vec<_>>().join(", ")),
        (
            "Platform",
            format!("{}/{}", description.os, description.arch),
        ),
        ("CPUs", unit::cpus(description.resources.nano_cpus)),
        (
            "Memory",
            unit::about_bytes(description.resources.memory_bytes),
        ),
        ("Counted", counted.collect::<Vec<_>>().join(", ")),
        ("Version", description.version.clone()),
    ])
}
