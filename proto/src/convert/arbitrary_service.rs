//! Services and their tasks that tests make up.

use crate::convert::MAX_REPLICAS;
use crate::convert::MAX_STOP_GRACE;
use crate::convert::arbitrary::at;
use crate::convert::arbitrary::files;
use crate::convert::arbitrary::generic;
use crate::convert::arbitrary::ip;
use crate::convert::arbitrary::labels;
use crate::convert::arbitrary::meta;
use crate::convert::arbitrary::millis;
use crate::convert::arbitrary::name;
use crate::convert::arbitrary::network_id;
use crate::convert::arbitrary::protocol;
use crate::convert::arbitrary::resources;
use crate::convert::arbitrary::service_id;
use crate::convert::arbitrary::text;
use crate::object::JobRun;
use crate::object::Service;
use crate::object::UpdateState;
use crate::object::UpdateStatus;
use crate::spec::Constraint;
use crate::spec::EndpointMode;
use crate::spec::FailureAction;
use crate::spec::HealthCheck;
use crate::spec::HostPort;
use crate::spec::Hostname;
use crate::spec::Mode;
use crate::spec::NetworkRef;
use crate::spec::Port;
use crate::spec::Ratio;
use crate::spec::RestartCondition;
use crate::spec::RestartPolicy;
use crate::spec::Runtime;
use crate::spec::ServiceSpec;
use crate::spec::SpreadPreference;
use crate::spec::TaskSpec;
use crate::spec::UpdateConfig;
use crate::spec::UpdateOrder;
use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::num::NonZeroU32;
use std::time::Duration;

fn hostname() -> impl Strategy<Value = Hostname> {
    let template = Just("{{.Node.Hostname}}-{{.Task.Slot}}".to_owned());
    prop_oneof![name().prop_map(|name| name.to_string()), template]
        .prop_map(|text| text.parse().unwrap())
}

fn restart() -> impl Strategy<Value = RestartPolicy> {
    let condition = select(vec![
        RestartCondition::None,
        RestartCondition::OnFailure,
        RestartCondition::Any,
    ]);
    (condition, millis(), any::<u32>(), millis()).prop_map(
        |(condition, delay, max_attempts, window)| RestartPolicy {
            condition,
            delay,
            max_attempts,
            window,
        },
    )
}

fn networks() -> impl Strategy<Value = Vec<NetworkRef>> {
    btree_map(network_id(), vec(name(), 0..3), 0..3).prop_map(|networks| {
        let refs = networks.into_iter();
        refs.map(|(id, aliases)| NetworkRef { id, aliases })
            .collect()
    })
}

fn constraint() -> impl Strategy<Value = Constraint> {
    let key = select(vec!["node.id", "node.role", "node.labels.disk"]);
    let values = vec("[a-z0-9]{1,8}", 1..3);
    (key, any::<bool>(), values).prop_map(|(key, equal, values)| Constraint {
        key: key.to_owned(),
        equal,
        values,
    })
}

fn preference() -> impl Strategy<Value = SpreadPreference> {
    select(vec![
        "node.labels.zone",
        "node.labels.rack",
        "node.hostname",
    ])
    .prop_map(|key| SpreadPreference {
        key: key.to_owned(),
    })
}

// Boxed, as the other large ones: a test has 2 MiB of stack.
pub(super) fn task_spec() -> impl Strategy<Value = TaskSpec> {
    let grace = 0..=u64::try_from(MAX_STOP_GRACE.as_millis()).unwrap();
    let run = (
        vec("\\PC{1,8}", 1..4),
        vec("[A-Z]{1,4}=\\PC{0,8}", 0..3),
        option::of("/[a-z/]{0,8}"),
        option::of("[a-z]{1,8}"),
        option::of(hostname()),
        (files(), labels()),
    );
    let place = (
        resources(),
        resources(),
        vec(constraint(), 0..3),
        networks(),
        vec(preference(), 0..3),
        any::<u32>().prop_map(NonZeroU32::new),
        generic(),
    );
    let end = (
        restart(),
        select(vec!["SIGTERM", "SIGINT", "SIGUSR2"]),
        grace,
        any::<u64>(),
    );
    let here = (host_ports(), option::of(health()));
    (run, place, end, here)
        .prop_map(|(run, place, end, here)| TaskSpec {
            host_ports: here.0,
            health: here.1,
            runtime: Runtime::Process,
            command: run.0,
            env: run.1,
            working_dir: run.2,
            user: run.3,
            hostname: run.4,
            files: run.5.0,
            template_labels: run.5.1,
            limits: place.0,
            reservations: place.1,
            constraints: place.2,
            networks: place.3,
            preferences: place.4,
            max_per_node: place.5,
            reserved_generic: place.6,
            restart: end.0,
            stop_signal: end.1.to_owned(),
            stop_grace: Duration::from_millis(end.2),
            force_update: end.3,
        })
        .boxed()
}

fn host_ports() -> impl Strategy<Value = Vec<HostPort>> {
    btree_map((protocol(), 1..=u16::MAX), 1..=u16::MAX, 0..3).prop_map(|ports| {
        let port = |((protocol, published), target)| HostPort {
            protocol,
            target,
            published,
        };
        ports.into_iter().map(port).collect()
    })
}

fn health() -> impl Strategy<Value = HealthCheck> {
    let time = || (100..=86_400_000_u64).prop_map(Duration::from_millis);
    let command = vec("[a-z]{1,6}", 1..3);
    let start = prop_oneof![Just(Duration::ZERO), time()];
    (command, time(), time(), 1..=u32::MAX, start).prop_map(
        |(command, interval, timeout, retries, start_period)| HealthCheck {
            command,
            interval,
            timeout,
            retries: NonZeroU32::new(retries).unwrap(),
            start_period,
        },
    )
}

fn ports() -> impl Strategy<Value = Vec<Port>> {
    let chosen = btree_map((protocol(), 1..=u16::MAX), 1..=u16::MAX, 0..3);
    let free = vec((protocol(), 1..=u16::MAX), 0..2);
    (chosen, free).prop_map(|(chosen, free)| {
        let chosen = chosen
            .into_iter()
            .map(|((protocol, published), target)| Port {
                protocol,
                target,
                published: Some(published),
            });
        let free = free.into_iter().map(|(protocol, target)| Port {
            protocol,
            target,
            published: None,
        });
        chosen.chain(free).collect()
    })
}

fn update_config(actions: Vec<FailureAction>) -> impl Strategy<Value = UpdateConfig> {
    let order = select(vec![UpdateOrder::StopFirst, UpdateOrder::StartFirst]);
    let ratio = (0..=1000u32).prop_map(|number| Ratio::from_thousandths(number).unwrap());
    let failure = (millis(), select(actions), ratio);
    (any::<u32>(), millis(), order, failure).prop_map(|(parallelism, delay, order, failure)| {
        UpdateConfig {
            parallelism,
            delay,
            order,
            monitor: failure.0,
            failure_action: failure.1,
            max_failure_ratio: failure.2,
        }
    })
}

fn mode() -> impl Strategy<Value = Mode> {
    let slots = 0..=MAX_REPLICAS;
    prop_oneof![
        slots
            .clone()
            .prop_map(|replicas| Mode::Replicated { replicas }),
        Just(Mode::Global),
        (slots, any::<u32>()).prop_map(|(completions, max_concurrent)| Mode::ReplicatedJob {
            completions,
            max_concurrent,
        }),
        Just(Mode::GlobalJob),
    ]
}

pub(super) fn service_spec() -> impl Strategy<Value = ServiceSpec> {
    let stopping = vec![FailureAction::Pause, FailureAction::Continue];
    let all = [stopping.clone(), vec![FailureAction::Rollback]].concat();
    let rolls = (update_config(all), update_config(stopping));
    let endpoint_mode = select(vec![EndpointMode::Vip, EndpointMode::Dnsrr]);
    let schedule = option::of(select(vec!["* * * * *", "@daily", "30 4 * * MON"]));
    let runs = (mode(), schedule);
    (
        name(),
        labels(),
        task_spec(),
        runs,
        rolls,
        endpoint_mode,
        ports(),
    )
        .prop_map(
            |(name, labels, task, (mode, schedule), (update, rollback), endpoint_mode, ports)| {
                ServiceSpec {
                    name,
                    labels,
                    task: task.into(),
                    mode,
                    update,
                    rollback,
                    schedule: schedule
                        .filter(|_| mode.is_job())
                        .map(|text| text.parse().unwrap()),
                    endpoint_mode,
                    ports,
                }
            },
        )
        .boxed()
}

fn update_status() -> impl Strategy<Value = UpdateStatus> {
    let state = select(vec![
        UpdateState::Updating,
        UpdateState::Paused,
        UpdateState::Completed,
        UpdateState::RollingBack,
        UpdateState::RollbackPaused,
        UpdateState::RollbackCompleted,
    ]);
    (state, at(), option::of(at()), text()).prop_map(|(state, started, ended, message)| {
        UpdateStatus {
            state,
            started,
            ended,
            message,
        }
    })
}

pub(super) fn service() -> impl Strategy<Value = Service> {
    let vips = btree_map(network_id(), ip(), 0..3);
    let run =
        (any::<u64>(), at(), option::of(at())).prop_map(|(iteration, started, skipped)| JobRun {
            iteration,
            started,
            skipped,
        });
    let history = (
        option::of(service_spec().prop_map(Box::new)),
        option::of(update_status()),
        option::of(run),
    );
    (meta(), service_id(), service_spec(), vips, ports(), history)
        .prop_map(
            |(meta, id, spec, vips, ports, (previous, update, run))| Service {
                meta,
                id,
                spec,
                vips,
                ports,
                previous,
                update,
                run,
            },
        )
        .boxed()
}
