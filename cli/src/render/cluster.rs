//! The cluster, and this node's place in it.

use crate::render::node::Managers;
use crate::render::node::MarginRow;
use crate::render::table;
use serde::Serialize;
use weft_proto::wire;

/// What `cluster info` says. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ClusterInfo {
    /// `none`, `joining`, `worker` or `manager`; `remote` for a cluster used from afar.
    pub(crate) state: String,
    pub(crate) hostname: String,
    pub(crate) version: String,
    pub(crate) node_id: Option<String>,
    pub(crate) cluster_id: Option<String>,
    /// The managers this node knows.
    pub(crate) managers: Vec<String>,
    pub(crate) leader_node_id: Option<String>,
    /// What is wrong, when something is.
    pub(crate) note: Option<String>,
    /// What managers know besides; null on other nodes.
    pub(crate) cluster: Option<ClusterState>,
}

/// What managers know of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ClusterState {
    /// Hash of the root certificate, as in join tokens.
    pub(crate) root_digest: String,
    /// How many changes the cluster has seen.
    pub(crate) revision: u64,
    pub(crate) address_pools: Vec<String>,
    pub(crate) subnet_prefix: u32,
    pub(crate) ingress_pool: String,
    /// The group of managers, as the log has it.
    pub(crate) members: Vec<MemberRow>,
    /// How many managers may still fail.
    pub(crate) managers: Option<MarginRow>,
}

/// One manager of the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MemberRow {
    pub(crate) node_id: String,
    pub(crate) address: String,
    /// Votes; otherwise it is still catching up.
    pub(crate) voter: bool,
    pub(crate) leader: bool,
    /// Answers the leader. Only the leader knows; elsewhere it is true.
    pub(crate) reachable: bool,
    /// Agents of other nodes that hold their session with it.
    pub(crate) agents: u32,
}

impl From<wire::ManagerMember> for MemberRow {
    fn from(member: wire::ManagerMember) -> Self {
        MemberRow {
            node_id: member.node_id,
            address: member.addr,
            voter: member.voter,
            leader: member.leader,
            reachable: member.reachable,
            agents: member.agents,
        }
    }
}

fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// From what the daemon says, and what a manager says.
pub(crate) fn info(
    local: wire::InfoResponse,
    cluster: Option<wire::GetClusterResponse>,
) -> ClusterInfo {
    ClusterInfo {
        state: local.state,
        hostname: local.hostname,
        version: local.version,
        node_id: filled(local.node_id),
        cluster_id: filled(local.cluster_id),
        managers: local.manager_addrs,
        leader_node_id: filled(local.leader_node_id),
        note: filled(local.note),
        cluster: cluster.map(|cluster| {
            let settings = cluster.settings.unwrap_or_default();
            ClusterState {
                root_digest: cluster.root_digest,
                revision: cluster.revision,
                address_pools: settings.address_pools,
                subnet_prefix: settings.subnet_prefix,
                ingress_pool: settings.ingress_pool,
                managers: Managers {
                    leader: cluster.leader_node_id,
                    members: cluster.members.clone(),
                }
                .margin(),
                members: cluster.members.into_iter().map(MemberRow::from).collect(),
            }
        }),
    }
}

/// For people.
pub(crate) fn text(info: &ClusterInfo) -> String {
    let state = match info.state.as_str() {
        "none" => {
            "in no cluster: make one with \"weft cluster init\", or join one with \
                   \"weft cluster join\""
        }
        "remote" => "uses the cluster from afar",
        other => other,
    };
    let mut rows = vec![
        ("Hostname", info.hostname.clone()),
        ("Version", info.version.clone()),
        ("This node", state.to_owned()),
    ];
    let optional = [
        ("Node ID", &info.node_id),
        ("Cluster ID", &info.cluster_id),
        ("Leader", &info.leader_node_id),
        ("Note", &info.note),
    ];
    for (key, value) in optional {
        rows.extend(value.clone().map(|value| (key, value)));
    }
    if !info.managers.is_empty() {
        rows.push(("Managers", info.managers.join(", ")));
    }
    if let Some(cluster) = &info.cluster {
        rows.push(("Root digest", cluster.root_digest.clone()));
        rows.push((
            "Address pools",
            format!(
                "{} (subnets of /{})",
                cluster.address_pools.join(", "),
                cluster.subnet_prefix
            ),
        ));
        rows.push(("Ingress pool", cluster.ingress_pool.clone()));
        rows.push(("Revision", cluster.revision.to_string()));
        rows.extend(
            cluster
                .managers
                .map(|margin| ("Margin", margin.to_string())),
        );
    }
    table::pairs(&rows)
}

/// What to do after `cluster init`.
pub(crate) fn initialised(node: &str, token: &str, addr: &str) -> String {
    format!(
        "Cluster initialized: this node ({node}) is now a manager.\n\n\
         To add a worker to this cluster, run the following command on it:\n\n    \
         weft cluster join --token {token} {addr}\n\n\
         To add a manager to this cluster, run \"weft cluster join-token manager\" and follow the \
         instructions."
    )
}

/// What a node waits for that may join only when a person says so.
pub(crate) fn waits(node: &str) -> String {
    format!(
        "This node waits to be let into the cluster. Somebody on a manager looks at it with \"weft \
         node ls\" and runs:\n\n    weft node accept {node}\n\nCtrl-C ends the waiting here; the \
         same command takes it up again."
    )
}

/// How to join with a token.
pub(crate) fn join_command(role: &str, token: &str, addrs: &[String]) -> String {
    let addr = addrs.first().map_or("MANAGER:2377", String::as_str);
    format!(
        "To add a {role} to this cluster, run the following command on it:\n\n    \
         weft cluster join --token {token} {addr}"
    )
}

/// After a recovery: what became of whom, and what to do about it.
pub(crate) fn recovered(fenced: &[String], addr: &str) -> String {
    let mut text = format!(
        "This node is the only manager of the cluster now, at {addr}. Services go on as they are, and \
         agents come here by themselves.\n\n"
    );
    if !fenced.is_empty() {
        text.push_str(&format!(
            "These nodes are members no more, and nobody listens to them: {}.\nIf one of them is back, \
             it ends its tasks by itself as soon as it reaches this node; then join it again. What it \
             cannot reach: run \"weft cluster leave --force\" there.\n\n",
            fenced.join(", ")
        ));
    }
    text.push_str(
        "Make two more managers soon, by \"weft node promote\" or \"weft cluster join-token manager\".",
    );
    text
}
