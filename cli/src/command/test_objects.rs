//! A service and its tasks, for tests.

use std::collections::BTreeMap;
use weft_proto::NetworkId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::defaults;
use weft_proto::object::Meta;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::object::TaskStatus;
use weft_proto::spec::Constraint;
use weft_proto::spec::EndpointMode;
use weft_proto::spec::Mode;
use weft_proto::spec::NetworkRef;
use weft_proto::spec::Port;
use weft_proto::spec::Protocol;
use weft_proto::spec::Runtime;
use weft_proto::spec::ServiceSpec;
use weft_proto::spec::TaskSpec;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// When the service was changed last.
pub(crate) const UPDATED: Timestamp = Timestamp::from_millis(1_795_187_045_000);

/// The network the service is on.
pub(crate) fn network() -> NetworkId {
    NetworkId::from_entropy(5)
}

/// `web`, with a bit of everything.
pub(crate) fn service(replicas: u32) -> Service {
    let port = Port {
        protocol: Protocol::Tcp,
        target: 80,
        published: Some(8080),
    };
    Service {
        meta: Meta {
            version: 7,
            created_at: UPDATED,
            updated_at: UPDATED,
        },
        id: ServiceId::from_entropy(u128::MAX / 3),
        vips: BTreeMap::from([(network(), [10, 0, 0, 2].into())]),
        ports: vec![port],
        previous: None,
        update: None,
        run: None,
        spec: ServiceSpec {
            name: "web".parse().unwrap(),
            labels: BTreeMap::from([("tier".to_owned(), "front".to_owned())]),
            mode: Mode::Replicated { replicas },
            update: defaults::UPDATE,
            rollback: defaults::ROLLBACK,
            schedule: None,
            endpoint_mode: EndpointMode::Vip,
            ports: vec![port],
            task: TaskSpec {
                runtime: Runtime::Process,
                command: ["nginx", "-g", "daemon off;"].map(str::to_owned).to_vec(),
                env: vec!["A=1".to_owned()],
                working_dir: None,
                user: None,
                hostname: None,
                files: Vec::new(),
                template_labels: std::collections::BTreeMap::new(),
                limits: defaults::RESOURCES,
                reservations: defaults::RESOURCES,
                restart: defaults::RESTART,
                constraints: vec!["node.role==worker".parse::<Constraint>().unwrap()],
                networks: vec![NetworkRef {
                    id: network(),
                    aliases: Vec::new(),
                }],
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
        },
    }
}

/// A task of `service`; `number` tells it from others and says which is newer.
pub(crate) fn task(service: &Service, slot: u32, number: u32, state: TaskState) -> Task {
    let made = Timestamp::from_millis(UPDATED.as_millis() + i64::from(number));
    Task {
        meta: Meta {
            version: 8,
            created_at: made,
            updated_at: made,
        },
        id: TaskId::from_entropy(u128::MAX / 5 + u128::from(number) * (u128::MAX / 1000)),
        service: service.id,
        service_name: service.spec.name.clone(),
        slot,
        iteration: 0,
        node: None,
        spec: service.spec.task.clone(),
        status: TaskStatus {
            state,
            at: made,
            message: String::new(),
            error: String::new(),
            exit_code: None,
        },
        desired: DesiredState::Running,
        addresses: BTreeMap::new(),
        ingress_addr: None,
    }
}
