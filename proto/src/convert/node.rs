//! A machine of the cluster.

use crate::addr::NodeNumber;
use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::convert::key_ring;
use crate::object::ManagerStatus;
use crate::object::Node;
use crate::object::NodeDescription;
use crate::object::NodeState;
use crate::object::NodeStatus;
use crate::role::Role;
use crate::spec::Availability;
use crate::spec::NodeSpec;
use crate::spec::Runtime;
use crate::time::Timestamp;
use crate::wire;

impl From<&Node> for wire::Node {
    fn from(node: &Node) -> Self {
        wire::Node {
            meta: Some(node.meta.into()),
            id: node.id.to_string(),
            spec: Some((&node.spec).into()),
            description: Some((&node.description).into()),
            status: Some((&node.status).into()),
            number: node.number.get().into(),
            data_addr: node.data_addr.to_string(),
            manager: node.manager.as_ref().map(Into::into),
            tunnel_key: node
                .tunnel_key
                .map(|key| key.as_bytes().to_vec())
                .unwrap_or_default(),
        }
    }
}

pub(super) fn read(wire: wire::Node) -> Result<Node, ConvertError> {
    let spec = field::required("spec", wire.spec)?;
    let description = field::required("description", wire.description)?;
    let status = field::required("status", wire.status)?;
    Ok(Node {
        meta: wire.meta.unwrap_or_default().into(),
        id: field::parse("id", &wire.id)?,
        spec: read_spec(spec).map_err(|e| e.within("spec"))?,
        description: description.into(),
        status: read_status(status).map_err(|e| e.within("status"))?,
        number: read_number(wire.number)?,
        data_addr: field::ip("data_addr", &wire.data_addr)?,
        manager: wire
            .manager
            .map(read_manager)
            .transpose()
            .map_err(|e| e.within("manager"))?,
        tunnel_key: match wire.tunnel_key.as_slice() {
            [] => None,
            bytes => Some(key_ring::tunnel_key("tunnel_key", bytes)?),
        },
    })
}

/// The field `number` of a node or peer.
pub(super) fn read_number(number: u32) -> Result<NodeNumber, ConvertError> {
    u16::try_from(number)
        .ok()
        .and_then(|number| NodeNumber::try_from(number).ok())
        .ok_or_else(|| {
            ConvertError::at(
                "number",
                format!("{number} is no node number: use 1 to 65535"),
            )
        })
}

door!(Node => Node, read, "node");

impl From<&NodeSpec> for wire::NodeSpec {
    fn from(spec: &NodeSpec) -> Self {
        wire::NodeSpec {
            role: wire::NodeRole::from(spec.role).into(),
            availability: wire::Availability::from(spec.availability).into(),
            labels: field::wire_labels(&spec.labels),
        }
    }
}

fn read_spec(wire: wire::NodeSpec) -> Result<NodeSpec, ConvertError> {
    Ok(NodeSpec {
        // No default: nobody becomes a manager, or stops being one, by an omission.
        role: field::enumeration::<wire::NodeRole, Role>("role", wire.role)?,
        availability: field::enumeration_or::<wire::Availability, Availability>(
            "availability",
            wire.availability,
            Availability::Active,
        )?,
        labels: field::labels(wire.labels)?,
    })
}

door!(NodeSpec => NodeSpec, read_spec, "node");

impl From<&NodeDescription> for wire::NodeDescription {
    fn from(description: &NodeDescription) -> Self {
        wire::NodeDescription {
            hostname: description.hostname.clone(),
            os: description.os.clone(),
            arch: description.arch.clone(),
            version: description.version.clone(),
            resources: Some(description.resources.into()),
            runtimes: description
                .runtimes
                .iter()
                .map(|runtime| match runtime {
                    Runtime::Process => PROCESS.to_owned(),
                })
                .collect(),
            generic: field::wire_generic(&description.generic),
            encrypts: description.encrypts,
        }
    }
}

const PROCESS: &str = "process";

/// Every description is acceptable: runtimes unknown here are left out, since no task that is
/// known here can ask for them.
impl From<wire::NodeDescription> for NodeDescription {
    fn from(wire: wire::NodeDescription) -> Self {
        NodeDescription {
            hostname: wire.hostname,
            os: wire.os,
            arch: wire.arch,
            version: wire.version,
            resources: wire.resources.unwrap_or_default().into(),
            runtimes: wire
                .runtimes
                .iter()
                .filter(|name| *name == PROCESS)
                .map(|_| Runtime::Process)
                .collect(),
            generic: wire
                .generic
                .into_iter()
                .map(|resource| (resource.name, resource.count))
                .collect(),
            encrypts: wire.encrypts,
        }
    }
}

impl From<&NodeStatus> for wire::NodeStatus {
    fn from(status: &NodeStatus) -> Self {
        wire::NodeStatus {
            state: wire::NodeState::from(status.state).into(),
            message: status.message.clone(),
            since_ms: status.since.as_millis(),
        }
    }
}

fn read_status(wire: wire::NodeStatus) -> Result<NodeStatus, ConvertError> {
    Ok(NodeStatus {
        state: field::enumeration::<wire::NodeState, NodeState>("state", wire.state)?,
        message: wire.message,
        since: Timestamp::from_millis(wire.since_ms),
    })
}

door!(NodeStatus => NodeStatus, read_status, "status");

impl From<&ManagerStatus> for wire::ManagerStatus {
    fn from(manager: &ManagerStatus) -> Self {
        wire::ManagerStatus {
            raft_id: manager.raft_id,
            addr: manager.addr.to_string(),
        }
    }
}

fn read_manager(wire: wire::ManagerStatus) -> Result<ManagerStatus, ConvertError> {
    Ok(ManagerStatus {
        raft_id: wire.raft_id,
        addr: field::socket("addr", &wire.addr)?,
    })
}

door!(ManagerStatus => ManagerStatus, read_manager, "manager");
