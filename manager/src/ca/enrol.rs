//! How a machine becomes a node.

use crate::allocator::choose_node_number;
use crate::ca::addr;
use crate::ca::error::CaError;
use crate::propose::retry::Decision;
use crate::store::State;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::object::Cluster;
use weft_proto::object::ManagerStatus;
use weft_proto::object::Meta;
use weft_proto::object::Node;
use weft_proto::object::NodeDescription;
use weft_proto::object::NodeState;
use weft_proto::object::NodeStatus;
use weft_proto::spec::Availability;
use weft_proto::spec::Labels;
use weft_proto::spec::NodeSpec;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// Longest host name there is (RFC 1035 s. 2.3.4), and far more than the other texts need: they are
/// replicated, so whoever joins cannot fill the log with them.
const MAX_TEXT: usize = 253;
/// Most kinds of things that are only counted: far more than a machine has.
const MAX_GENERIC: usize = 64;

/// A machine that asks to join.
#[derive(Clone, Debug)]
pub(super) struct Applicant {
    pub(super) id: NodeId,
    pub(super) description: NodeDescription,
    pub(super) data_addr: IpAddr,
    /// Of a manager.
    pub(super) advertise_addr: Option<SocketAddr>,
    /// What its token says.
    pub(super) labels: Labels,
}

impl Applicant {
    /// Reads what the machine says about itself.
    pub(super) fn read(
        id: NodeId,
        role: Role,
        request: &wire::IssueRequest,
    ) -> Result<Self, CaError> {
        let description = request.description.clone();
        let mut description: NodeDescription = description
            .ok_or(CaError::Incomplete("description of the node"))?
            .into();
        if description.hostname.is_empty() {
            return Err(CaError::Incomplete("host name"));
        }
        bound(&mut description);
        let advertise_addr = match role {
            Role::Manager => Some(addr::read_advertise(&request.advertise_addr)?),
            Role::Worker => None,
        };
        Ok(Self {
            id,
            description,
            data_addr: addr::read_data(&request.data_addr)?,
            advertise_addr,
            labels: Labels::new(),
        })
    }
}

/// Cuts what a machine says about itself to what an honest one says.
fn bound(description: &mut NodeDescription) {
    for text in [
        &mut description.hostname,
        &mut description.os,
        &mut description.arch,
        &mut description.version,
    ] {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
    }
    description.runtimes.dedup();
    let generic = std::mem::take(&mut description.generic);
    description.generic = generic.into_iter().take(MAX_GENERIC).collect();
}

/// Writes a new node down: a manager when it has an address for its peers, and then with a raft id
/// that nobody ever had.
pub(super) fn enrol(
    state: &State,
    cluster: &Cluster,
    applicant: &Applicant,
    now: Timestamp,
) -> Result<Decision<Node>, CaError> {
    let Applicant {
        id,
        description,
        data_addr,
        advertise_addr,
        labels,
    } = applicant;
    addr::check_ingress(*data_addr, cluster.settings.ingress_pool)?;
    addr::check_networks(state, *data_addr)?;
    let ghosts = addr::earlier_attempts(state, &description.hostname, *data_addr, *advertise_addr)?;
    let mut changes: Vec<Change> = ghosts
        .into_iter()
        .map(|ghost| Change::remove(ghost.clone()))
        .collect();
    let manager = advertise_addr.map(|addr| ManagerStatus {
        raft_id: cluster.next_raft_id,
        addr,
    });
    if manager.is_some() {
        let mut cluster = cluster.clone();
        cluster.next_raft_id += 1;
        changes.push(Change::update(cluster));
    }
    let number = choose_node_number(state)?;
    let mut node = new_node(*id, description.clone(), number, *data_addr, manager, now);
    node.spec.labels = labels.clone();
    changes.push(Change::create(node.clone()));
    Ok(Decision {
        changes,
        outcome: node,
    })
}

/// A node that nobody heard of yet.
pub(crate) fn new_node(
    id: NodeId,
    description: NodeDescription,
    number: weft_proto::addr::NodeNumber,
    data_addr: IpAddr,
    manager: Option<ManagerStatus>,
    now: Timestamp,
) -> Node {
    Node {
        meta: Meta::default(),
        id,
        spec: NodeSpec {
            role: match manager {
                Some(_) => Role::Manager,
                None => Role::Worker,
            },
            availability: Availability::Active,
            labels: Labels::new(),
        },
        description,
        status: NodeStatus {
            state: NodeState::Unknown,
            message: "joined; its agent has not been heard yet".to_owned(),
            since: now,
        },
        number,
        data_addr,
        manager,
        certificate: None,
        // Its agent tells it.
        tunnel_key: None,
    }
}

/// The cluster, as far as there is one.
pub(super) fn cluster(state: &State) -> Result<Arc<Cluster>, CaError> {
    state.cluster().cloned().ok_or(CaError::NoCluster)
}
