//! Services.

use crate::render::table;
use crate::render::time;
use crate::render::unit;
use serde::Serialize;
use std::time::Duration;
use weft_proto::Name;
use weft_proto::ServiceId;
use weft_proto::object::Service;
use weft_proto::object::UpdateState;
use weft_proto::spec::EndpointMode;
use weft_proto::spec::FailureAction;
use weft_proto::spec::HealthCheck;
use weft_proto::spec::HostPort;
use weft_proto::spec::Port;
use weft_proto::spec::Ratio;
use weft_proto::spec::Resources;
use weft_proto::spec::RestartCondition;
use weft_proto::spec::Runtime;
use weft_proto::spec::TaskSpec;
use weft_proto::spec::UpdateConfig;
use weft_proto::spec::UpdateOrder;
use weft_proto::time::Timestamp;

/// Numbers of tasks of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Run.
    pub(crate) running: u32,
    /// Should run; of a job, must complete.
    pub(crate) wanted: u32,
    /// Of a job: have completed in the present run.
    pub(crate) completed: u32,
}

/// A service in a list. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ServiceRow {
    pub(crate) id: ServiceId,
    pub(crate) name: Name,
    pub(crate) mode: String,
    /// How many tasks run.
    pub(crate) running: u32,
    /// How many should; of a job, how many must complete in the present run.
    pub(crate) replicas: u32,
    /// Of a job: how many have; null for services.
    pub(crate) completed: Option<u32>,
    /// How far the last change is; null before the first.
    pub(crate) update: Option<UpdateState>,
    pub(crate) runtime: &'static str,
    pub(crate) command: Vec<String>,
    pub(crate) ports: Vec<Port>,
    /// Those that only the nodes of its tasks answer.
    pub(crate) host_ports: Vec<HostPort>,
}

/// The rows of a list, by name.
pub(crate) fn rows(services: &[(Service, Counts)]) -> Vec<ServiceRow> {
    let mut rows: Vec<ServiceRow> = services.iter().map(row).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn row((service, counts): &(Service, Counts)) -> ServiceRow {
    let spec = &service.spec;
    ServiceRow {
        id: service.id,
        name: spec.name.clone(),
        mode: spec.mode.to_string(),
        running: counts.running,
        replicas: counts.wanted,
        completed: spec.mode.is_job().then_some(counts.completed),
        update: service.update.as_ref().map(|status| status.state),
        runtime: runtime(spec.task.runtime),
        command: spec.task.command.clone(),
        ports: service.ports.clone(),
        host_ports: service.spec.task.host_ports.clone(),
    }
}

/// A table for people.
pub(crate) fn table(rows: &[ServiceRow]) -> String {
    let header = ["ID", "NAME", "MODE", "REPLICAS", "COMMAND", "PORTS"];
    let line = |row: &ServiceRow| {
        [
            row.id.short().to_owned(),
            row.name.to_string(),
            row.mode.clone(),
            replicas(row),
            shortened(&command_line(&row.command)),
            all_ports(row),
        ]
    };
    table::table(header, rows.iter().map(line))
}

/// `3/3`, `2/5 completed`, `2/3 updating`.
fn replicas(row: &ServiceRow) -> String {
    let numbers = match row.completed {
        Some(completed) => format!("{completed}/{} completed", row.replicas),
        None => format!("{}/{}", row.running, row.replicas),
    };
    let through = [UpdateState::Completed, UpdateState::RollbackCompleted];
    match row.update {
        Some(state) if !through.contains(&state) => format!("{numbers} {state}"),
        Some(_) | None => numbers,
    }
}

/// When the schedule of a job begins its next run.
pub(crate) fn next_run(service: &Service, now: Timestamp) -> Option<Timestamp> {
    service.spec.schedule.as_ref()?.next_after(now)
}

/// A command as one would type it: words that a shell would take apart are quoted.
fn command_line(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Longest command a table shows.
const COMMAND: usize = 40;

fn shortened(text: &str) -> String {
    if text.chars().count() <= COMMAND {
        return text.to_owned();
    }
    let head: String = text.chars().take(COMMAND - 3).collect();
    head + "..."
}

fn all_ports(row: &ServiceRow) -> String {
    let (mesh, hosts) = (ports(&row.ports), host_ports(&row.host_ports));
    let some = [mesh, hosts].into_iter().filter(|text| !text.is_empty());
    some.collect::<Vec<_>>().join(", ")
}

/// `*:8080->80/tcp`, for each published port.
pub(crate) fn ports(ports: &[Port]) -> String {
    let one = |port: &Port| match port.published {
        Some(published) => format!("*:{published}->{}/{}", port.target, port.protocol),
        None => format!("{}/{}", port.target, port.protocol),
    };
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `host:8080->80/tcp`, for each port that only a task's node answers.
fn host_ports(ports: &[HostPort]) -> String {
    let ports = ports.iter().map(|port| format!("host:{port}"));
    ports.collect::<Vec<_>>().join(", ")
}

fn health(check: Option<&HealthCheck>) -> String {
    let Some(check) = check else {
        return String::new();
    };
    let command = match check.command.as_slice() {
        [shell, flag, script] if shell == "/bin/sh" && flag == "-c" => script.clone(),
        words => command_line(words),
    };
    let start = match check.start_period {
        Duration::ZERO => String::new(),
        period => format!(", failures count after {}", time::span(period)),
    };
    format!(
        "{command} every {} for up to {}, unhealthy after {} failures{start}",
        time::span(check.interval),
        time::span(check.timeout),
        check.retries,
    )
}

fn runtime(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Process => "process",
    }
}

fn resources(resources: Resources) -> String {
    let mut parts = Vec::new();
    if resources.nano_cpus > 0 {
        parts.push(format!("{} CPU", unit::cpus(resources.nano_cpus)));
    }
    if resources.memory_bytes > 0 {
        parts.push(format!("{} memory", unit::bytes(resources.memory_bytes)));
    }
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}

/// What most services have not.
const SELDOM: [&str; 8] = [
    "Files",
    "Host ports",
    "Health check",
    "Placement",
    "Schedule",
    "Run",
    "Last change",
    "Before",
];

/// One service in full, for people. `network` gives the name of a network by its identifier.
pub(crate) fn inspect(
    service: &Service,
    counts: Counts,
    now: Timestamp,
    network: &dyn Fn(&weft_proto::NetworkId) -> String,
) -> String {
    let spec = &service.spec;
    let task = &spec.task;
    let labels = spec
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let networks = task.networks.iter().map(|attachment| {
        let vip = service.vips.get(&attachment.id);
        let vip = vip.map(|vip| format!(" ({vip})")).unwrap_or_default();
        format!("{}{vip}", network(&attachment.id))
    });
    let constraints = task.constraints.iter().map(ToString::to_string);
    let attempts = match task.restart.max_attempts {
        0 => "without bound".to_owned(),
        n => format!("at most {n} times"),
    };
    let condition = match task.restart.condition {
        RestartCondition::None => "never".to_owned(),
        RestartCondition::OnFailure => {
            format!(
                "on failure, after {}, {attempts}",
                time::span(task.restart.delay)
            )
        }
        RestartCondition::Any => {
            format!(
                "always, after {}, {attempts}",
                time::span(task.restart.delay)
            )
        }
    };
    let endpoint = match spec.endpoint_mode {
        EndpointMode::Vip => "vip",
        EndpointMode::Dnsrr => "dnsrr",
    };
    let pairs = [
        ("ID", service.id.to_string()),
        ("Name", spec.name.to_string()),
        ("Created", time::rfc3339(service.meta.created_at)),
        ("Updated", time::rfc3339(service.meta.updated_at)),
        ("Labels", labels.collect::<Vec<_>>().join(", ")),
        ("Mode", mode(service, counts)),
        ("Command", command_line(&task.command)),
        ("Environment", task.env.join(" ")),
        ("Runtime", runtime(task.runtime).to_owned()),
        ("Networks", networks.collect::<Vec<_>>().join(", ")),
        ("Files", files(task)),
        ("Endpoint mode", endpoint.to_owned()),
        ("Ports", ports(&service.ports)),
        ("Host ports", host_ports(&task.host_ports)),
        ("Health check", health(task.health.as_ref())),
        ("Constraints", constraints.collect::<Vec<_>>().join(", ")),
        ("Placement", placement(task)),
        ("Limits", resources(task.limits)),
        ("Reservations", resources(task.reservations)),
        ("Restart", condition),
        ("Update", rollover(&spec.update)),
        ("Rollback", rollover(&spec.rollback)),
        ("Schedule", schedule(service, now)),
        ("Run", run(service)),
        ("Last change", last_change(service)),
        (
            "Before",
            service
                .previous
                .as_deref()
                .map(|previous| command_line(&previous.task.command))
                .unwrap_or_default(),
        ),
        (
            "Stop",
            format!(
                "{}, killed after {}",
                task.stop_signal,
                time::span(task.stop_grace)
            ),
        ),
    ];
    // Only jobs have runs, and only what was changed has a last change.
    let present = pairs
        .into_iter()
        .filter(|(key, value)| !value.is_empty() || !SELDOM.contains(key));
    table::pairs(&present.collect::<Vec<_>>())
}

/// What else decides where tasks run: `spread=node.labels.zone, at most 2 per node, gpu=1`.
fn placement(task: &TaskSpec) -> String {
    let preferences = task.preferences.iter().map(ToString::to_string);
    let bound = task.max_per_node.map(|n| format!("at most {n} per node"));
    let counted = task.reserved_generic.iter();
    let counted = counted.map(|(name, count)| format!("{name}={count}"));
    let parts: Vec<String> = preferences.chain(bound).chain(counted).collect();
    parts.join(", ")
}

/// How tasks are replaced: `1 at a time, 10s apart, old task stops first, watched for 5s, pauses when
/// one fails`.
fn rollover(config: &UpdateConfig) -> String {
    let pace = match config.parallelism {
        0 => "all at once".to_owned(),
        n => format!("{n} at a time"),
    };
    let apart = match config.delay {
        Duration::ZERO => String::new(),
        delay => format!(", {} apart", time::span(delay)),
    };
    let order = match config.order {
        UpdateOrder::StopFirst => "old task stops first",
        UpdateOrder::StartFirst => "new task starts first",
    };
    let limit = match config.max_failure_ratio {
        Ratio::NONE => "one fails".to_owned(),
        ratio => format!("more than {ratio} of them fail"),
    };
    let action = match config.failure_action {
        FailureAction::Pause => format!("pauses when {limit}"),
        FailureAction::Continue => "goes on when some fail".to_owned(),
        FailureAction::Rollback => format!("goes back when {limit}"),
    };
    let watched = time::span(config.monitor);
    format!("{pace}{apart}, {order}, watched for {watched}, {action}")
}

fn schedule(service: &Service, now: Timestamp) -> String {
    let Some(schedule) = &service.spec.schedule else {
        return String::new();
    };
    match next_run(service, now) {
        Some(next) => format!("{schedule}, next at {}", time::rfc3339(next)),
        None => format!("{schedule}, never again"),
    }
}

/// The present run of a job.
fn run(service: &Service) -> String {
    let Some(run) = service.run else {
        return String::new();
    };
    let since = match run.started.as_millis() {
        0 => String::new(),
        _ => format!(" since {}", time::rfc3339(run.started)),
    };
    let skipped = run.skipped.map(|at| {
        format!(
            "; its time at {} was passed over, because it had not ended",
            time::rfc3339(at)
        )
    });
    format!("{}{since}{}", run.iteration, skipped.unwrap_or_default())
}

/// How far the last change of the spec is.
fn last_change(service: &Service) -> String {
    let Some(status) = &service.update else {
        return String::new();
    };
    let at = match (status.ended, status.started.as_millis()) {
        (Some(ended), _) => format!(" at {}", time::rfc3339(ended)),
        (None, 0) => String::new(),
        (None, _) => format!(" since {}", time::rfc3339(status.started)),
    };
    match status.message.as_str() {
        "" => format!("{}{at}", status.state),
        message => format!("{}{at}: {message}", status.state),
    }
}

fn mode(service: &Service, counts: Counts) -> String {
    let mode = service.spec.mode;
    let Counts {
        running,
        wanted,
        completed,
    } = counts;
    match mode.is_job() {
        true => format!("{mode}, {completed} of {wanted} completed, {running} run"),
        false => format!("{mode}, {running} of {wanted} run"),
    }
}
/// Secrets and configs: where they are, and which version of them.
fn files(task: &TaskSpec) -> String {
    let files = task.files.iter().map(|file| {
        let (kind, name, version) = (file.kind, &file.name, file.version);
        format!("{} ({kind} {name}, version {version})", file.target)
    });
    files.collect::<Vec<_>>().join(", ")
}
