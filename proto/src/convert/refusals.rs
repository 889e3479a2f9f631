//! Every refusal says where and why, in words for a person; every default is taken.

use crate::command::Command;
use crate::convert::ConvertError;
use crate::convert::labels;
use crate::convert::resolve_networks;
use crate::convert::signal_name;
use crate::convert::signal_number;
use crate::defaults;
use crate::id::NetworkId;
use crate::object::ClusterSettings;
use crate::object::Node;
use crate::object::Object;
use crate::object::TaskStatus;
use crate::spec::Availability;
use crate::spec::EndpointMode;
use crate::spec::NetworkSpec;
use crate::spec::NodeSpec;
use crate::spec::Protocol;
use crate::spec::Runtime;
use crate::spec::ServiceSpec;
use crate::wire;
use std::time::Duration;

/// The least that can be asked for.
fn least() -> wire::ServiceSpec {
    wire::ServiceSpec {
        name: "web".into(),
        task: Some(wire::TaskSpec {
            command: vec!["nginx".into()],
            ..Default::default()
        }),
        replicated: Some(wire::ReplicatedMode { replicas: 2 }),
        ..Default::default()
    }
}

/// What is said about a service spec after a change to it.
fn service(change: impl FnOnce(&mut wire::ServiceSpec)) -> String {
    let mut spec = least();
    change(&mut spec);
    ServiceSpec::try_from(spec).unwrap_err().to_string()
}

/// What is said about a task spec after a change to it.
fn task(change: impl FnOnce(&mut wire::TaskSpec)) -> String {
    service(|spec| change(spec.task.as_mut().unwrap()))
}

fn port(protocol: i32, target: u32, published: u32) -> wire::Port {
    wire::Port {
        protocol,
        target,
        published,
    }
}

fn attachment(network: &str) -> wire::NetworkAttachment {
    wire::NetworkAttachment {
        network_id: network.into(),
        aliases: Vec::new(),
    }
}

#[test]
fn what_is_not_said_takes_the_defaults() {
    let mut wire = least();
    wire.ports = vec![port(0, 80, 0)];
    let spec = ServiceSpec::try_from(wire).unwrap();
    assert_eq!(spec.mode.slots(), Some(2));
    assert_eq!(spec.update, defaults::UPDATE);
    assert_eq!(spec.endpoint_mode, EndpointMode::Vip);
    assert_eq!(spec.ports[0].protocol, Protocol::Tcp);
    assert_eq!(spec.ports[0].published, None);
    assert_eq!(spec.task.runtime, Runtime::Process);
    assert_eq!(spec.task.restart, defaults::RESTART);
    assert_eq!(spec.task.stop_signal, defaults::STOP_SIGNAL);
    assert_eq!(spec.task.stop_grace, defaults::STOP_GRACE);
    assert_eq!(spec.task.limits, defaults::RESOURCES);
    let node = NodeSpec::try_from(wire::NodeSpec {
        role: wire::NodeRole::Worker.into(),
        ..Default::default()
    });
    assert_eq!(node.unwrap().availability, Availability::Active);
}

#[test]
fn a_zero_that_is_said_is_kept() {
    let mut wire = least();
    wire.update = Some(wire::UpdateConfig::default());
    let task = wire.task.as_mut().unwrap();
    task.stop_grace_ms = Some(0);
    task.restart = Some(wire::RestartPolicy::default());
    let spec = ServiceSpec::try_from(wire).unwrap();
    assert_eq!(spec.task.stop_grace, Duration::ZERO);
    assert_eq!(spec.task.restart.delay, Duration::ZERO);
    assert_eq!(spec.task.restart.condition, defaults::RESTART.condition);
    assert_eq!(spec.update.parallelism, 0);
    assert_eq!(spec.update.order, defaults::UPDATE.order);
}

#[test]
fn service_specs_are_refused_in_words() {
    assert_eq!(service(|s| s.task = None), "service.task: is missing");
    assert_eq!(
        service(|s| s.replicated = None),
        "service.mode: is missing: say replicated, global, replicated_job or global_job"
    );
    assert_eq!(
        service(|s| s.global = Some(wire::GlobalMode {})),
        "service.mode: is said twice: replicated and global; use one of them"
    );
    assert_eq!(
        service(|s| {
            s.replicated = None;
            s.replicated_job = Some(wire::ReplicatedJobMode {
                completions: 10_001,
                max_concurrent: 1,
            });
        }),
        "service.replicated_job.completions: 10001 are too many: use at most 10000"
    );
    assert_eq!(
        service(|s| s.schedule = "@daily".into()),
        "service.schedule: is for jobs only, and the mode is replicated: use replicated-job or \
         global-job"
    );
    assert_eq!(
        service(|s| {
            s.rollback = Some(wire::UpdateConfig {
                failure_action: wire::FailureAction::Rollback.into(),
                ..wire::UpdateConfig::default()
            });
        }),
        "service.rollback.failure_action: is rollback: a rollback cannot be rolled back, use pause \
         or continue"
    );
    assert_eq!(
        service(|s| {
            s.update = Some(wire::UpdateConfig {
                max_failure_thousandths: 1001,
                ..wire::UpdateConfig::default()
            });
        }),
        "service.update.max_failure_thousandths: 1001 thousandths is no ratio: use a number from 0 \
         to 1 with at most three decimals, like 0.25"
    );
    assert_eq!(
        service(|s| s.replicated = Some(wire::ReplicatedMode { replicas: 10_001 })),
        "service.replicated.replicas: 10001 are too many: use at most 10000"
    );
    assert!(service(|s| s.name = "Web".into()).starts_with("service.name: \"Web\" cannot be"));
    assert_eq!(
        service(|s| s.endpoint_mode = 9),
        "service.endpoint_mode: 9 is unknown here: the sender may be of a newer version"
    );
    assert_eq!(
        service(|s| s.labels = vec![wire::Label::default()]),
        "service.labels[0].key: is empty: write KEY=VALUE"
    );
}

#[test]
fn ports_are_refused_in_words() {
    assert_eq!(
        service(|s| s.ports = vec![port(0, 80, 70_000)]),
        "service.ports[0].published: 70000 is no port: use 1 to 65535"
    );
    assert_eq!(
        service(|s| s.ports = vec![port(0, 0, 80)]),
        "service.ports[0].target: 0 is no port: use 1 to 65535"
    );
    assert_eq!(
        service(|s| s.ports = vec![port(1, 80, 80), port(2, 80, 80), port(0, 81, 80)]),
        "service.ports[2].published: 80/tcp is published twice"
    );
}

#[test]
fn commands_environments_and_users_are_refused_in_words() {
    let empty = "service.task.command: is empty: give the command to run";
    assert_eq!(task(|t| t.command.clear()), empty);
    assert_eq!(task(|t| t.command = vec![String::new()]), empty);
    assert_eq!(
        task(|t| t.command.push("a\0".into())),
        "service.task.command[1]: \"a\\0\" has a NUL character, which ends a text for the kernel"
    );
    assert_eq!(
        task(|t| t.env = vec!["A=1".into(), "B".into()]),
        "service.task.env[1]: \"B\" has no '=': write NAME=value"
    );
    assert_eq!(
        task(|t| t.env = vec!["=1".into()]),
        "service.task.env[0]: \"=1\" has no name: write NAME=value"
    );
    assert_eq!(
        task(|t| t.env = vec!["A=\0".into()]),
        "service.task.env[0]: \"A=\\0\" has a NUL character, which ends a text for the kernel"
    );
    assert_eq!(
        task(|t| t.working_dir = "srv".into()),
        "service.task.working_dir: \"srv\" is relative: begin it with '/'"
    );
    assert_eq!(
        task(|t| t.user = " ".into()),
        "service.task.user: is blank: give a user, or leave it out for root"
    );
}

#[test]
fn ends_of_tasks_are_refused_in_words() {
    assert_eq!(
        task(|t| t.stop_signal = "SIGNOTHING".into()),
        "service.task.stop_signal: \"SIGNOTHING\" is no signal: use a name like SIGTERM or a \
         number from 1 to 31"
    );
    assert_eq!(
        task(|t| t.stop_grace_ms = Some(86_400_001)),
        "service.task.stop_grace_ms: 86400001 ms are too long: use at most 86400000 ms, a day"
    );
    assert!(
        task(|t| t.constraints = vec!["node.role".into()])
            .starts_with("service.task.constraints[0]: constraint \"node.role\" has no operator")
    );
}

#[test]
fn signals_are_known_by_name_short_name_and_number() {
    for text in ["SIGTERM", "TERM", "term", "15"] {
        assert_eq!(signal_name(text), Some("SIGTERM"), "{text}");
    }
    for text in ["", "SIG", "0", "32", "SIGSIGTERM"] {
        assert_eq!(signal_name(text), None, "{text}");
    }
    assert_eq!(signal_number("SIGKILL"), Some(9));
}

#[test]
fn networks_of_a_task_may_be_names_and_are_refused_in_words() {
    let id = NetworkId::from_entropy(7);
    let find = |text: &str| match text {
        "front" | "alias" => Ok(id),
        other => Err(ConvertError::new(format!("there is no network {other:?}"))),
    };
    let ask = |names: &[&str]| {
        let mut spec = least();
        spec.task.as_mut().unwrap().networks = names.iter().map(|n| attachment(n)).collect();
        resolve_networks(spec, find)
    };
    assert_eq!(ask(&["front"]).unwrap().task.networks[0].id, id);
    assert_eq!(
        ask(&["front", "back"]).unwrap_err().to_string(),
        "service.task.networks[1].network_id: there is no network \"back\""
    );
    assert_eq!(
        ask(&["front", "alias"]).unwrap_err().to_string(),
        format!("service.task.networks[1].network_id: network {id} is given twice")
    );
    assert!(
        task(|t| t.networks = vec![attachment("front")])
            .starts_with("service.task.networks[0].network_id: \"front\" is not an identifier")
    );
}

#[test]
fn subnets_are_refused_in_words() {
    let said = |subnet: &str| {
        let spec = wire::NetworkSpec {
            name: "front".into(),
            subnet: subnet.into(),
            ..Default::default()
        };
        NetworkSpec::try_from(spec).unwrap_err().to_string()
    };
    for (subnet, problem) in [
        (
            "10.1.2.3/24",
            "10.1.2.3/24 has host bits set: did you mean 10.1.2.0/24?",
        ),
        (
            "10.1.2.0",
            "\"10.1.2.0\" is no CIDR: write it like 10.1.2.0/24",
        ),
        (
            "10.1.2.0/30",
            "10.1.2.0/30 cannot be a subnet: use an IPv4 prefix length of 8 to 29",
        ),
        (
            "fd00::/121",
            "fd00::/121 cannot be a subnet: use an IPv6 prefix length of 8 to 120",
        ),
        (
            "127.0.0.0/8",
            "127.0.0.0/8 cannot be a subnet: its addresses are reserved",
        ),
    ] {
        assert_eq!(said(subnet), format!("network.subnet: {problem}"));
    }
}

#[test]
fn nodes_and_settings_are_refused_in_words() {
    assert_eq!(
        NodeSpec::try_from(wire::NodeSpec::default())
            .unwrap_err()
            .to_string(),
        "node.role: is not said: use worker or manager"
    );
    assert_eq!(
        Node::try_from(wire::Node::default())
            .unwrap_err()
            .to_string(),
        "node.spec: is missing"
    );
    let said = |change: fn(&mut wire::ClusterSettings)| {
        let mut settings = wire::ClusterSettings::from(&defaults::settings());
        change(&mut settings);
        ClusterSettings::try_from(settings).unwrap_err().to_string()
    };
    assert_eq!(
        said(|s| s.address_pools = vec!["10.0.0.1/9".into()]),
        "settings.address_pools[0]: 10.0.0.1/9 has host bits set: did you mean 10.0.0.0/9?"
    );
    assert_eq!(
        said(|s| s.ingress_pool = "10.255.0.0/25".into()),
        "settings.ingress_pool: 10.255.0.0/25 cannot be the ingress pool: use an IPv4 prefix \
         length of 8 to 24"
    );
    assert_eq!(
        said(|s| s.subnet_prefix = 300),
        "settings.subnet_prefix: 300 is no prefix length for subnets: use 8 to 120"
    );
    assert_eq!(
        said(|s| s.certificate_ttl_ms = 0),
        "settings.certificate_ttl_ms: is 0: a certificate must be valid for some time"
    );
}

#[test]
fn states_objects_commands_and_labels_are_refused_in_words() {
    let status = wire::TaskStatus {
        state: 1,
        ..Default::default()
    };
    assert_eq!(
        TaskStatus::try_from(status).unwrap_err().to_string(),
        "status.state: 1 is no task state"
    );
    assert_eq!(
        Object::try_from(wire::Object { kind: None })
            .unwrap_err()
            .to_string(),
        "object: holds nothing known here: the sender may be of a newer version"
    );
    let damaged = Command::decode(&[0xff]).unwrap_err();
    assert_eq!(damaged.path(), "command");
    assert!(damaged.problem().starts_with("is damaged: "), "{damaged}");
    let twice = wire::Label {
        key: "a".into(),
        value: String::new(),
    };
    assert_eq!(
        labels(vec![twice.clone(), twice]).unwrap_err().to_string(),
        "labels[1].key: \"a\" is given twice"
    );
}

#[test]
fn ports_of_mode_host_say_what_the_node_answers_and_health_checks_what_they_run() {
    assert_eq!(
        task(|t| t.host_ports = vec![port(0, 80, 0)]),
        "service.task.host_ports[0].published: is missing: a port of mode host is not chosen by \
         the cluster, say which one the node answers"
    );
    assert_eq!(
        task(|t| t.host_ports = vec![port(0, 80, 8080), port(0, 81, 8080)]),
        "service.task.host_ports[1].published: 8080/tcp is published twice"
    );
    let health = |change: fn(&mut wire::HealthCheck)| {
        task(|t| {
            let mut check = wire::HealthCheck {
                command: vec!["true".into()],
                ..Default::default()
            };
            change(&mut check);
            t.health = Some(check);
        })
    };
    assert_eq!(
        health(|check| check.command.clear()),
        "service.task.health.command: is empty: give the command that checks, or no health check \
         at all"
    );
    assert_eq!(
        health(|check| check.interval_ms = 1),
        "service.task.health.interval_ms: is 1 ms: use 100 ms to 86400000 ms, a day"
    );
    let mut spec = least();
    spec.task.as_mut().unwrap().health = Some(wire::HealthCheck {
        command: vec!["true".into()],
        ..Default::default()
    });
    let check = ServiceSpec::try_from(spec)
        .unwrap()
        .task
        .health
        .clone()
        .unwrap();
    assert_eq!(check.interval, defaults::HEALTH_INTERVAL);
    assert_eq!(check.timeout, defaults::HEALTH_TIMEOUT);
    assert_eq!(check.retries.get(), defaults::HEALTH_RETRIES);
    assert_eq!(check.start_period, Duration::ZERO);
}
