//! Objects for tests.

use crate::desired::Desired;
use crate::task::NodeFacts;
use std::collections::BTreeMap;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::defaults;
use weft_proto::key::TunnelKey;
use weft_proto::object::Meta;
use weft_proto::object::Task;
use weft_proto::object::TaskStatus;
use weft_proto::spec::Runtime;
use weft_proto::spec::TaskSpec;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

pub(crate) fn task_id(n: u32) -> TaskId {
    TaskId::from_entropy(n.into())
}

pub(crate) fn tunnel_key(n: u8) -> TunnelKey {
    TunnelKey::try_from([n; 32].as_slice()).unwrap()
}

pub(crate) fn node_id() -> NodeId {
    NodeId::from_entropy(1)
}

/// The task `web.<n>`, assigned to this node and wanted.
pub(crate) fn task(n: u32) -> Task {
    Task {
        meta: Meta::default(),
        id: task_id(n),
        service: ServiceId::from_entropy(1),
        service_name: "web".parse().unwrap(),
        slot: n,
        iteration: 0,
        node: Some(node_id()),
        spec: TaskSpec {
            runtime: Runtime::Process,
            command: vec!["sleep".to_owned(), "1000".to_owned()],
            env: Vec::new(),
            working_dir: None,
            user: None,
            hostname: None,
            files: Vec::new(),
            template_labels: std::collections::BTreeMap::new(),
            limits: defaults::RESOURCES,
            reservations: defaults::RESOURCES,
            restart: defaults::RESTART,
            constraints: Vec::new(),
            networks: Vec::new(),
            stop_signal: defaults::STOP_SIGNAL.to_owned(),
            stop_grace: defaults::STOP_GRACE,
            force_update: 0,
            preferences: Vec::new(),
            max_per_node: None,
            reserved_generic: std::collections::BTreeMap::new(),
            host_ports: Vec::new(),
            health: None,
        }
        .into(),
        status: status(TaskState::Assigned),
        desired: DesiredState::Running,
        addresses: BTreeMap::new(),
        ingress_addr: None,
    }
}

pub(crate) fn status(state: TaskState) -> TaskStatus {
    TaskStatus {
        state,
        at: Timestamp::default(),
        message: String::new(),
        error: String::new(),
        exit_code: None,
    }
}

pub(crate) fn desired(revision: u64, tasks: impl IntoIterator<Item = Task>) -> Desired {
    Desired {
        revision,
        tasks: tasks.into_iter().map(|task| (task.id, task)).collect(),
        ..Desired::default()
    }
}

pub(crate) fn node_facts() -> NodeFacts {
    NodeFacts {
        id: node_id(),
        hostname: "host".to_owned(),
        hidden_dirs: vec!["/var/lib/weft".into(), "/run/weft".into()],
        program: None,
    }
}
