use super::*;
use crate::command::Command;
use crate::command::service::ServiceCommand;
use crate::config::Cli;
use clap::Parser;

fn here(name: &str) -> Option<String> {
    (name == "FROM_HERE").then(|| "yes".to_owned())
}

fn parsed(words: &[&str]) -> Result<wire::ServiceSpec, String> {
    let words = ["weft", "service", "create"].iter().chain(words);
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    let Command::Service(command) = cli.command else {
        panic!("not a service command");
    };
    let ServiceCommand::Create(args) = *command else {
        panic!("not service create");
    };
    spec(*args, &here, || "made-up".to_owned()).map_err(|error| format!("{error:#}"))
}

fn split(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn a_command_is_all_a_service_needs() {
    let spec = parsed(&["nginx", "-g", "daemon off;"]).unwrap();
    assert_eq!(spec.name, "made-up");
    assert_eq!(spec.replicated, Some(wire::ReplicatedMode { replicas: 1 }));
    let task = spec.task.clone().unwrap();
    assert_eq!(task.command, ["nginx", "-g", "daemon off;"]);
    // What the managers make of it is what the defaults promise.
    let domain = weft_proto::spec::ServiceSpec::try_from(spec).unwrap();
    assert_eq!(domain.update, weft_proto::defaults::UPDATE);
    assert_eq!(domain.task.restart, weft_proto::defaults::RESTART);
    assert_eq!(domain.task.stop_grace, weft_proto::defaults::STOP_GRACE);
    assert_eq!(domain.task.stop_signal, weft_proto::defaults::STOP_SIGNAL);
    assert_eq!(domain.task.limits, weft_proto::defaults::RESOURCES);
}

#[test]
fn every_flag_reaches_the_spec() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "# comment\nA=file\nB=file\n").unwrap();
    let mut words = split(
        "--name web --replicas 3 -p 8080:80 --publish published=53,target=5353,protocol=udp \
         -p 9000 --network net --network name=other,alias=w -e A=flag -e FROM_HERE -e NOT_HERE \
         -w /srv -u www-data:adm --hostname box -l tier=front --label x \
         --constraint node.role==worker --constraint node.labels.disk!=hdd \
         --limit-cpu 0.5 --limit-memory 64M --reserve-cpu 0.25 --reserve-memory 32M \
         --restart-condition on-failure --restart-delay 1m30s --restart-max-attempts 4 \
         --restart-window 10m --update-parallelism 2 --update-delay 10s \
         --update-order start-first --stop-signal quit --stop-grace-period 0 \
         --endpoint-mode dnsrr --mode replicated --runtime process -d -q",
    );
    let path = file.path().display().to_string();
    words.extend(["--env-file", &path, "--", "prog", "--name", "inner"]);
    let label = |key: &str, value: &str| wire::Label {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let port = |protocol: wire::Protocol, published, target| wire::Port {
        protocol: protocol.into(),
        target,
        published,
    };
    let strings = |items: &[&str]| items.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let expected = wire::ServiceSpec {
        name: "web".to_owned(),
        labels: vec![label("tier", "front"), label("x", "")],
        task: Some(wire::TaskSpec {
            runtime: wire::Runtime::Process.into(),
            command: strings(&["prog", "--name", "inner"]),
            env: strings(&["A=flag", "B=file", "FROM_HERE=yes"]),
            working_dir: "/srv".to_owned(),
            user: "www-data:adm".to_owned(),
            hostname: "box".to_owned(),
            limits: Some(wire::Resources {
                nano_cpus: 500_000_000,
                memory_bytes: 64 << 20,
            }),
            reservations: Some(wire::Resources {
                nano_cpus: 250_000_000,
                memory_bytes: 32 << 20,
            }),
            restart: Some(wire::RestartPolicy {
                condition: wire::RestartCondition::OnFailure.into(),
                delay_ms: 90_000,
                max_attempts: 4,
                window_ms: 600_000,
            }),
            constraints: strings(&["node.role==worker", "node.labels.disk!=hdd"]),
            networks: vec![
                wire::NetworkAttachment {
                    network_id: "net".to_owned(),
                    aliases: Vec::new(),
                },
                wire::NetworkAttachment {
                    network_id: "other".to_owned(),
                    aliases: strings(&["w"]),
                },
            ],
            stop_signal: "SIGQUIT".to_owned(),
            stop_grace_ms: Some(0),
            force_update: 0,
            ..wire::TaskSpec::default()
        }),
        replicated: Some(wire::ReplicatedMode { replicas: 3 }),
        update: Some(wire::UpdateConfig {
            parallelism: 2,
            delay_ms: 10_000,
            order: wire::UpdateOrder::StartFirst.into(),
            ..wire::UpdateConfig::from(&weft_proto::defaults::UPDATE)
        }),
        rollback: Some(wire::UpdateConfig::from(&weft_proto::defaults::ROLLBACK)),
        endpoint_mode: wire::EndpointMode::Dnsrr.into(),
        ports: vec![
            port(wire::Protocol::Tcp, 8080, 80),
            port(wire::Protocol::Udp, 53, 5353),
            port(wire::Protocol::Tcp, 0, 9000),
        ],
        ..wire::ServiceSpec::default()
    };
    assert_eq!(parsed(&words), Ok(expected));
}

#[test]
fn bad_input_is_refused_with_what_is_wrong_and_what_to_write() {
    for (line, text) in [
        ("", "COMMAND"),
        ("--replicas -1 x", "-1"),
        (
            "--replicas -1 x",
            "is no number of replicas: use 0 to 10000",
        ),
        ("--replicas=-1 x", "use 0 to 10000"),
        ("--replicas 10001 x", "use 0 to 10000"),
        ("--bogus x", "--bogus"),
        ("--name My_Web x", "cannot be a name"),
        ("--publish 99999:80 x", "1 to 65535"),
        ("--publish target=2,mode=host x", "does not say which port"),
        ("--network alias=a x", "no name"),
        ("--constraint node.role=worker x", "no operator"),
        ("--constraint node.colour==red x", "is unknown"),
        ("--limit-cpu many x", "write it like 2 or 0.5"),
        ("--limit-memory 64Q x", "write it like 64M"),
        ("--restart-delay 5 x", "write it like 500ms, 5s"),
        ("--stop-signal SIGNOPE x", "is no signal"),
        ("--mode everywhere x", "replicated-job"),
        ("--mode global --replicas 2 x", "one task on every node"),
        ("--max-concurrent 2 x", "replicated-job only"),
        ("--schedule tomorrow x", "30 4 * * *"),
        ("--placement-pref node.labels.zone x", "spread="),
        ("--generic-resource gpu x", "NAME=COUNT"),
        ("--update-max-failure-ratio 20% x", "like 0.25"),
        ("--rollback-failure-action rollback x", "pause"),
        ("--runtime docker x", "not in this release"),
        ("--endpoint-mode lb x", "vip"),
        ("-e =x y", "has no name"),
        ("--env-file /nonexistent/file x", "/nonexistent/file"),
    ] {
        let error = parsed(&split(line)).unwrap_err();
        assert!(error.contains(text), "{line}: {error}");
    }
}

#[test]
fn modes_of_services_and_jobs_are_told_apart() {
    let spec = |line: &str| parsed(&split(line)).unwrap();
    assert_eq!(spec("--mode global x").global, Some(wire::GlobalMode {}));
    let job = spec("--mode replicated-job --replicas 8 --max-concurrent 2 x");
    assert_eq!(
        job.replicated_job,
        Some(wire::ReplicatedJobMode {
            completions: 8,
            max_concurrent: 2
        })
    );
    let restart = job.task.unwrap().restart.unwrap();
    assert_eq!(
        restart.condition,
        i32::from(wire::RestartCondition::OnFailure),
        "a job that ended well is done"
    );
    let nightly = parsed(&["--mode", "global-job", "--schedule", "30 4 * * *", "x"]).unwrap();
    assert_eq!(nightly.schedule, "30 4 * * *");
    assert_eq!(nightly.replicated, None, "one mode is said");
}

#[test]
fn failure_limits_and_placement_reach_the_spec() {
    let line = "--update-monitor 30s --update-failure-action rollback \
                --update-max-failure-ratio 0.25 --rollback-parallelism 0 --rollback-delay 1s \
                --rollback-order start-first --rollback-monitor 2s \
                --rollback-failure-action continue --rollback-max-failure-ratio 1 \
                --replicas-max-per-node 2 --placement-pref spread=node.labels.zone \
                --generic-resource gpu=1 x";
    let spec = parsed(&split(line)).unwrap();
    let update = wire::UpdateConfig {
        monitor_ms: Some(30_000),
        failure_action: wire::FailureAction::Rollback.into(),
        max_failure_thousandths: 250,
        ..wire::UpdateConfig::from(&weft_proto::defaults::UPDATE)
    };
    let rollback = wire::UpdateConfig {
        parallelism: 0,
        delay_ms: 1000,
        order: wire::UpdateOrder::StartFirst.into(),
        monitor_ms: Some(2000),
        failure_action: wire::FailureAction::Continue.into(),
        max_failure_thousandths: 1000,
    };
    assert_eq!((spec.update, spec.rollback), (Some(update), Some(rollback)));
    let task = spec.task.unwrap();
    assert_eq!(task.max_per_node, 2);
    assert_eq!(task.preferences[0].key, "node.labels.zone");
    assert_eq!(task.reserved_generic[0].count, 1);
}

#[test]
fn a_made_up_name_is_a_name() {
    let name: Result<Name, _> = made_up().parse();
    assert!(name.is_ok(), "{name:?}");
}

#[test]
fn secrets_and_configs_reach_the_spec() {
    let words = split(
        "--secret pw --config source=c,target=/etc/c,mode=0400 --hostname {{.Task.Name}} prog",
    );
    let task = parsed(&words).unwrap().task.unwrap();
    assert_eq!(task.hostname, "{{.Task.Name}}");
    let files: Vec<_> = task
        .files
        .iter()
        .map(|f| (f.kind(), &*f.material_id, &*f.target, f.mode))
        .collect();
    assert_eq!(
        files,
        [
            (wire::MaterialKind::Secret, "pw", "", None),
            (wire::MaterialKind::Config, "c", "/etc/c", Some(0o400)),
        ]
    );
    let refused = parsed(&split("--hostname {{.Nope}} prog")).unwrap_err();
    assert!(refused.contains("{{.Nope}} is unknown"), "{refused}");
}

#[test]
fn ports_of_single_nodes_and_health_checks_are_part_of_the_tasks() {
    let line = "--publish mode=host,published=8080,target=80 --health-interval 5s \
                --health-retries 2 --health-start-period 1m --health-timeout 3s";
    let mut words = split(line);
    words.extend(["--health-cmd", "curl -f localhost", "x"]);
    let spec = parsed(&words).unwrap();
    assert_eq!(spec.ports, []);
    let task = spec.task.unwrap();
    assert_eq!(task.host_ports[0].published, 8080);
    let check = task.health.unwrap();
    assert_eq!(check.command, ["/bin/sh", "-c", "curl -f localhost"]);
    assert_eq!((check.interval_ms, check.timeout_ms), (5_000, 3_000));
    assert_eq!((check.retries, check.start_period_ms), (2, 60_000));
    let error = parsed(&split("--health-retries 2 x")).unwrap_err();
    assert!(error.contains("--health-cmd"), "{error}");
}
