//! What a manager would tell, for the tests of pure plans.

use crate::desired::Desired;
use std::net::IpAddr;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::addr::Vni;
use weft_proto::assignment::EndpointRecord;
use weft_proto::assignment::NetworkRecord;
use weft_proto::assignment::ServiceRecord;
use weft_proto::defaults;
use weft_proto::object::Meta;
use weft_proto::object::Task;
use weft_proto::object::TaskStatus;
use weft_proto::spec::NetworkRef;
use weft_proto::spec::Runtime;
use weft_proto::spec::TaskSpec;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// A task's name, its node, and its address on each of its networks.
pub(crate) type Row<'a> = (&'a str, u8, &'a [(u8, &'a str)]);

/// Tasks of node 1 and their networks; the endpoints of all.
pub(crate) struct Cluster {
    pub(crate) desired: Desired,
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn network(n: u8) -> NetworkId {
    NetworkId::from_entropy(n.into())
}

pub(crate) fn node(n: u8) -> NodeId {
    NodeId::from_entropy(n.into())
}

/// Where a node receives VXLAN packets.
pub(crate) fn data_addr(n: u8) -> IpAddr {
    IpAddr::from([192, 168, 50, n])
}

impl Cluster {
    pub(crate) fn of(rows: &[Row<'_>]) -> Self {
        let mut cluster = Self {
            desired: Desired::default(),
        };
        for row in rows {
            cluster.place(row);
        }
        cluster
    }

    fn place(&mut self, &(name, on, at): &Row<'_>) {
        let task = task(name, on, at);
        for &(n, address) in at {
            let id = network(n);
            let record = NetworkRecord {
                id,
                name: format!("net{n}").parse().unwrap(),
                vni: Vni::try_from(4096 + u32::from(n)).unwrap(),
                subnet: format!("10.5.{n}.0/24").parse().unwrap(),
                internal: false,
                encrypted: false,
            };
            self.desired.networks.insert(id, record);
            let endpoint = EndpointRecord {
                network: id,
                task: task.id,
                service: task.service,
                name: name.to_owned(),
                addr: ip(address),
                node: node(on),
                node_data_addr: data_addr(on),
                ready: true,
            };
            self.desired.endpoints.insert((id, task.id), endpoint);
        }
        if on == 1 {
            self.desired.tasks.insert(task.id, task);
        }
    }

    pub(crate) fn serve(&mut self, name: &str, n: u8, vip: Option<&str>) {
        let record = ServiceRecord {
            network: network(n),
            service: service(name),
            name: name.parse().unwrap(),
            aliases: Vec::new(),
            vip: vip.map(ip),
        };
        let key = (record.network, record.service);
        self.desired.services.insert(key, record);
    }

    pub(crate) fn task(&self, name: &str) -> TaskId {
        let mut tasks = self.desired.tasks.values();
        tasks.find(|task| task.name() == name).unwrap().id
    }

    pub(crate) fn endpoint(&mut self, name: &str) -> &mut EndpointRecord {
        let mut endpoints = self.desired.endpoints.values_mut();
        endpoints.find(|endpoint| endpoint.name == name).unwrap()
    }
}

fn service(name: &str) -> ServiceId {
    ServiceId::from_entropy(u128::from(name.as_bytes()[0]))
}

fn task(name: &str, on: u8, at: &[(u8, &str)]) -> Task {
    let (service_name, slot) = name.split_once('.').unwrap();
    let slot: u32 = slot.parse().unwrap();
    let networks = at.iter().map(|(n, _)| NetworkRef {
        id: network(*n),
        aliases: Vec::new(),
    });
    let key = u128::from(name.as_bytes()[0]) << 64 | u128::from(slot);
    Task {
        meta: Meta::default(),
        id: TaskId::from_entropy(key),
        service: service(service_name),
        service_name: service_name.parse().unwrap(),
        slot,
        iteration: 0,
        node: Some(node(on)),
        spec: TaskSpec {
            runtime: Runtime::Process,
            command: vec!["true".to_owned()],
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
            networks: networks.collect(),
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
        status: TaskStatus {
            state: TaskState::Running,
            at: Timestamp::default(),
            message: String::new(),
            error: String::new(),
            exit_code: None,
        },
        desired: DesiredState::Running,
        addresses: at.iter().map(|(n, a)| (network(*n), ip(a))).collect(),
        ingress_addr: None,
    }
}
