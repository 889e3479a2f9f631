//! Objects for tests: `task(1).on(node).running()`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use weft_proto::ClusterId;
use weft_proto::Name;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::addr::NodeNumber;
use weft_proto::addr::Vni;
use weft_proto::defaults;
use weft_proto::key::SecretKey;
use weft_proto::key::TunnelKey;
use weft_proto::object::*;
use weft_proto::spec::*;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn node_id(n: u128) -> NodeId {
    NodeId::from_entropy(n)
}

pub(crate) fn service_id(n: u128) -> ServiceId {
    ServiceId::from_entropy(n)
}

pub(crate) fn task_id(n: u128) -> TaskId {
    TaskId::from_entropy(n)
}

pub(crate) fn network_id(n: u128) -> NetworkId {
    NetworkId::from_entropy(n)
}

pub(crate) fn material_id(n: u128) -> weft_proto::MaterialId {
    weft_proto::MaterialId::from_entropy(n)
}

/// A secret with so many versions: `pw1`, whose data are `pw1 v1`, `pw1 v2` ...
pub(crate) fn secret(n: u8, versions: u64) -> Material {
    let data = |v: u64| MaterialVersion {
        at: Timestamp::from_millis(1),
        data: Data::new(format!("pw{n} v{v}").into_bytes()),
    };
    Material {
        meta: Meta::default(),
        id: material_id(u128::from(n)),
        kind: MaterialKind::Secret,
        spec: MaterialSpec {
            name: format!("pw{n}").parse().unwrap(),
            labels: Labels::new(),
            template: false,
        },
        versions: (1..=versions).map(|v| (v, data(v))).collect(),
    }
}

/// A version of it as a file at its usual place.
pub(crate) fn file(material: &Material, version: u64) -> FileRef {
    FileRef {
        kind: material.kind,
        material: material.id,
        name: material.spec.name.clone(),
        version,
        target: format!("/run/secrets/{}", material.spec.name),
        uid: 0,
        gid: 0,
        mode: 0o444,
    }
}

pub(crate) fn cluster() -> Cluster {
    Cluster {
        meta: Meta::default(),
        id: ClusterId::from_entropy(1),
        root_certificate: vec![1],
        root_key: "key".to_owned(),
        worker_token: "w".to_owned(),
        manager_token: "m".to_owned(),
        next_raft_id: 2,
        settings: defaults::settings(),
        keys_wanted: 0,
    }
}

/// A worker that is ready, with 4 CPUs and 8 GiB.
pub(crate) fn node(n: u16) -> Node {
    Node {
        meta: Meta::default(),
        id: node_id(u128::from(n)),
        spec: NodeSpec {
            role: Role::Worker,
            availability: Availability::Active,
            labels: Labels::new(),
        },
        description: NodeDescription {
            hostname: format!("n{n}"),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            version: "0.1.0".to_owned(),
            resources: Resources {
                nano_cpus: 4_000_000_000,
                memory_bytes: 8 << 30,
            },
            runtimes: vec![Runtime::Process],
            generic: std::collections::BTreeMap::new(),
            encrypts: false,
        },
        status: NodeStatus {
            state: NodeState::Ready,
            message: String::new(),
            since: Timestamp::default(),
        },
        number: NodeNumber::try_from(n).unwrap(),
        data_addr: IpAddr::V4(Ipv4Addr::new(192, 0, 2, u8::try_from(n).unwrap())),
        manager: None,
        tunnel_key: None,
    }
}

/// The public key of node `n`.
pub(crate) fn tunnel_key(n: u16) -> TunnelKey {
    TunnelKey::try_from([n.to_be_bytes(); 16].concat().as_slice()).unwrap()
}

/// A ring of keys, each different from the others.
pub(crate) fn key_ring(epochs: &[(u8, KeyPhase)]) -> KeyRing {
    let epoch = |(number, phase): &(u8, KeyPhase)| KeyEpoch {
        number: u64::from(*number),
        key: SecretKey::new([200 - *number; 32]),
        born: Timestamp::default(),
        phase: *phase,
        since: Timestamp::default(),
    };
    KeyRing {
        meta: Meta::default(),
        epochs: epochs.iter().map(epoch).collect(),
    }
}

pub(crate) fn network(n: u8) -> Network {
    Network {
        meta: Meta::default(),
        id: network_id(u128::from(n)),
        spec: NetworkSpec {
            name: name(&format!("net{n}")),
            labels: Labels::new(),
            subnet: None,
            internal: false,
            attachable: false,
            encrypted: false,
        },
        vni: Vni::try_from(4096 + u32::from(n)).unwrap(),
        subnet: format!("10.0.{n}.0/24").parse().unwrap(),
    }
}

pub(crate) fn task_spec() -> TaskSpec {
    TaskSpec {
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
}

pub(crate) fn service(n: u8, replicas: u32) -> Service {
    Service {
        meta: Meta::default(),
        id: service_id(u128::from(n)),
        spec: ServiceSpec {
            name: name(&format!("svc{n}")),
            labels: Labels::new(),
            task: task_spec().into(),
            mode: Mode::Replicated { replicas },
            update: defaults::UPDATE,
            rollback: defaults::ROLLBACK,
            schedule: None,
            endpoint_mode: EndpointMode::Vip,
            ports: Vec::new(),
        },
        vips: BTreeMap::new(),
        ports: Vec::new(),
        previous: None,
        update: None,
        run: None,
    }
}

/// A new task of a service, in slot 1.
pub(crate) fn task(n: u128, service: &Service) -> Task {
    Task {
        meta: Meta::default(),
        id: task_id(n),
        service: service.id,
        service_name: service.spec.name.clone(),
        slot: 1,
        iteration: 0,
        node: None,
        spec: service.spec.task.clone(),
        status: TaskStatus {
            state: TaskState::New,
            at: Timestamp::default(),
            message: String::new(),
            error: String::new(),
            exit_code: None,
        },
        desired: DesiredState::Running,
        addresses: BTreeMap::new(),
        ingress_addr: None,
    }
}

pub(crate) trait TaskFixture {
    fn slot(self, slot: u32) -> Task;
    fn on(self, node: &Node) -> Task;
    fn state(self, state: TaskState) -> Task;
    fn desired(self, desired: DesiredState) -> Task;
    fn at(self, millis: i64) -> Task;
}

impl TaskFixture for Task {
    fn slot(mut self, slot: u32) -> Task {
        self.slot = slot;
        self
    }
    fn on(mut self, node: &Node) -> Task {
        self.node = Some(node.id);
        self
    }
    fn state(mut self, state: TaskState) -> Task {
        self.status.state = state;
        self
    }
    fn desired(mut self, desired: DesiredState) -> Task {
        self.desired = desired;
        self
    }
    fn at(mut self, millis: i64) -> Task {
        self.status.at = Timestamp::from_millis(millis);
        self
    }
}

/// A state at revision 1 that holds these objects.
pub(crate) fn state(objects: Vec<Object>) -> crate::store::State {
    let changes = objects
        .into_iter()
        .map(weft_proto::command::Change::create)
        .collect();
    let command = weft_proto::command::Command {
        id: weft_proto::CommandId::from_entropy(7),
        at: Timestamp::default(),
        changes,
        actor: None,
    };
    let applied = crate::store::apply(&crate::store::State::default(), 1, &command);
    applied.result.unwrap();
    applied.state
}
