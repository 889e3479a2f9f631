//! Tasks.

use crate::render::table;
use crate::render::table::capital;
use crate::render::time;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use weft_proto::NodeId;
use weft_proto::TaskId;
use weft_proto::object::Node;
use weft_proto::object::Task;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// A task in a list. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TaskRow {
    pub(crate) id: TaskId,
    /// `web.1`.
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) slot: u32,
    /// Where it runs; null until that is decided.
    pub(crate) node_id: Option<NodeId>,
    /// The node's host name; its identifier once it was removed.
    pub(crate) node: Option<String>,
    pub(crate) desired_state: DesiredState,
    pub(crate) state: TaskState,
    /// Since when, in milliseconds of Unix time.
    pub(crate) since: Timestamp,
    /// What it does, or why it waits.
    pub(crate) message: String,
    /// What went wrong.
    pub(crate) error: String,
    pub(crate) exit_code: Option<i32>,
    /// One per network.
    pub(crate) addresses: Vec<String>,
    /// Ports that its node answers for it: `8080->80/tcp`.
    pub(crate) host_ports: Vec<String>,
    /// Until when it waits for what its message says, in milliseconds of Unix time; null where it
    /// waits for nothing, or nobody knows.
    pub(crate) waits_until: Option<Timestamp>,
    /// Its message is what it waits for.
    #[serde(skip)]
    pub(crate) waits: bool,
    /// A newer task has its place.
    #[serde(skip)]
    pub(crate) past: bool,
}

/// Names of nodes by their identifiers.
pub(crate) type NodeNames = BTreeMap<NodeId, String>;

/// The names in a list of nodes.
pub(crate) fn names(nodes: &[Node]) -> NodeNames {
    nodes
        .iter()
        .map(|node| (node.id, node.description.hostname.clone()))
        .collect()
}

/// The rows of a list: by service and slot, newest first within a slot.
pub(crate) fn rows(tasks: &[Task], nodes: &NodeNames) -> Vec<TaskRow> {
    let mut tasks: Vec<&Task> = tasks.iter().collect();
    tasks.sort_by(|a, b| {
        let place = |task: &Task| (task.service_name.clone(), task.service, task.slot);
        let newest = (b.is_wanted(), b.meta.created_at).cmp(&(a.is_wanted(), a.meta.created_at));
        place(a).cmp(&place(b)).then(newest).then(a.id.cmp(&b.id))
    });
    let mut before = None;
    let mut rows = Vec::with_capacity(tasks.len());
    for task in tasks {
        let place = Some((task.service, task.slot));
        rows.push(row(task, nodes, before == place));
        before = place;
    }
    rows
}

fn row(task: &Task, nodes: &NodeNames, past: bool) -> TaskRow {
    let name = |id: NodeId| nodes.get(&id).cloned().unwrap_or_else(|| id.to_string());
    TaskRow {
        id: task.id,
        name: task.name(),
        service: task.service_name.to_string(),
        slot: task.slot,
        node_id: task.node,
        node: task.node.map(name),
        desired_state: task.desired,
        state: task.status.state,
        since: task.status.at,
        message: task.status.message.clone(),
        error: task.status.error.clone(),
        exit_code: task.status.exit_code,
        addresses: task.addresses.values().map(ToString::to_string).collect(),
        host_ports: task
            .spec
            .host_ports
            .iter()
            .map(ToString::to_string)
            .collect(),
        waits_until: None,
        waits: false,
        past,
    }
}

/// What tasks wait for: their rows say until when.
pub(crate) fn wait(rows: &mut [TaskRow], waits: &[wire::TaskWait]) {
    for row in rows {
        if let Some(wait) = waits.iter().find(|wait| wait.task_id == row.id.as_str()) {
            row.waits = true;
            let until = Some(wait.until_ms).filter(|ms| *ms != 0);
            row.waits_until = until.map(Timestamp::from_millis);
        }
    }
}

const HEADER: [&str; 6] = [
    "ID",
    "NAME",
    "NODE",
    "DESIRED STATE",
    "CURRENT STATE",
    "MESSAGE",
];

/// A table for people, as seen at `now`.
pub(crate) fn table(rows: &[TaskRow], now: Timestamp) -> String {
    let ports = rows.iter().any(|row| !row.host_ports.is_empty());
    let line = |row: &TaskRow| {
        [
            row.id.short().to_owned(),
            format!("{}{}", if row.past { " \\_ " } else { "" }, row.name),
            row.node.clone().unwrap_or_else(|| "-".to_owned()),
            capital(&row.desired_state.to_string()),
            format!(
                "{} {}",
                capital(&row.state.to_string()),
                time::ago(now, row.since)
            ),
            remark(row, now),
        ]
    };
    if !ports {
        return table::table(HEADER, rows.iter().map(line));
    }
    // Only where there are any: the table is wide enough without.
    let [id, name, node, desired, state, message] = HEADER;
    let header = [id, name, node, desired, state, "HOST PORTS", message];
    let line = |row: &TaskRow| {
        let [id, name, node, desired, state, message] = line(row);
        [
            id,
            name,
            node,
            desired,
            state,
            row.host_ports.join(", "),
            message,
        ]
    };
    table::table(header, rows.iter().map(line))
}

/// Its error, why it waits or stops, and what becomes of its slot; what it does needs no words once it
/// runs.
fn remark(row: &TaskRow, now: Timestamp) -> String {
    // A task that was told to stop ends as its signal makes it: nothing to remark.
    let stopped = row.state == TaskState::Shutdown;
    let code = row.exit_code.filter(|code| *code != 0 && !stopped);
    let error = match (row.error.as_str(), code) {
        ("", Some(code)) => format!("exit code {code}"),
        (error, _) => error.to_owned(),
    };
    let told = row.desired_state > DesiredState::Running;
    let says = match row.state.is_terminal() {
        true => !told && !row.past,
        false => told || row.waits || row.state < TaskState::Running,
    };
    let left = row.waits_until.map(|until| until.since(now).as_secs());
    let message = match left.filter(|seconds| *seconds > 0) {
        Some(seconds) => {
            let left = time::span(Duration::from_secs(seconds));
            format!("{} (in {left})", row.message)
        }
        None => row.message.clone(),
    };
    match (error.as_str(), message.as_str()) {
        (_, "") => error,
        ("", message) if says => message.to_owned(),
        (_, message) if says && row.state.is_terminal() => format!("{error}; {message}"),
        (_, _) => error,
    }
}
