//! Services.

use crate::render::table;
use crate::render::time;
use crate::render::unit;
use serde::Serialize;
use std::time::Duration;
use weft_proto::Name;
use weft_proto::ServiceId;
use weft_proto::object::Service;
use weft_proto::spec::EndpointMode;
use weft_proto::spec::Port;
use weft_proto::spec::Resources;
use weft_proto::spec::RestartCondition;
use weft_proto::spec::Runtime;
use weft_proto::spec::UpdateOrder;

/// A service in a list. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ServiceRow {
    pub(crate) id: ServiceId,
    pub(crate) name: Name,
    pub(crate) mode: String,
    /// How many tasks run.
    pub(crate) running: u32,
    /// How many should.
    pub(crate) replicas: u32,
    pub(crate) runtime: &'static str,
    pub(crate) command: Vec<String>,
    pub(crate) ports: Vec<Port>,
}

/// The rows of a list, by name, from services and how many of their tasks run.
pub(crate) fn rows(services: &[(Service, u32)]) -> Vec<ServiceRow> {
    let mut rows: Vec<ServiceRow> = services.iter().map(row).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn row((service, running): &(Service, u32)) -> ServiceRow {
    let spec = &service.spec;
    ServiceRow {
        id: service.id,
        name: spec.name.clone(),
        mode: spec.mode.to_string(),
        running: *running,
        replicas: spec.mode.slots().unwrap_or(*running),
        runtime: runtime(spec.task.runtime),
        command: spec.task.command.clone(),
        ports: service.ports.clone(),
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
            format!("{}/{}", row.running, row.replicas),
            shortened(&command_line(&row.command)),
            ports(&row.ports),
        ]
    };
    table::table(header, rows.iter().map(line))
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

/// `*:8080->80/tcp`, for each published port.
pub(crate) fn ports(ports: &[Port]) -> String {
    let one = |port: &Port| match port.published {
        Some(published) => format!("*:{published}->{}/{}", port.target, port.protocol),
        None => format!("{}/{}", port.target, port.protocol),
    };
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
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

/// One service in full, for people. `network` gives the name of a network by its identifier.
pub(crate) fn inspect(
    service: &Service,
    running: u32,
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
    let order = match spec.update.order {
        UpdateOrder::StopFirst => "old task stops first",
        UpdateOrder::StartFirst => "new task starts first",
    };
    let pace = match spec.update.parallelism {
        0 => "all at once".to_owned(),
        n => format!("{n} at a time"),
    };
    let apart = match spec.update.delay {
        Duration::ZERO => String::new(),
        delay => format!(", {} apart", time::span(delay)),
    };
    let update = format!("{pace}{apart}, {order}");
    let endpoint = match spec.endpoint_mode {
        EndpointMode::Vip => "vip",
        EndpointMode::Dnsrr => "dnsrr",
    };
    table::pairs(&[
        ("ID", service.id.to_string()),
        ("Name", spec.name.to_string()),
        ("Created", time::rfc3339(service.meta.created_at)),
        ("Updated", time::rfc3339(service.meta.updated_at)),
        ("Labels", labels.collect::<Vec<_>>().join(", ")),
        (
            "Mode",
            match spec.mode.slots() {
                Some(slots) => format!("{}, {running} of {slots} run", spec.mode),
                None => format!("{}, {running} run", spec.mode),
            },
        ),
        ("Command", command_line(&task.command)),
        ("Environment", task.env.join(" ")),
        ("Runtime", runtime(task.runtime).to_owned()),
        ("Networks", networks.collect::<Vec<_>>().join(", ")),
        ("Endpoint mode", endpoint.to_owned()),
        ("Ports", ports(&service.ports)),
        ("Constraints", constraints.collect::<Vec<_>>().join(", ")),
        ("Limits", resources(task.limits)),
        ("Reservations", resources(task.reservations)),
        ("Restart", condition),
        ("Update", update),
        (
            "Stop",
            format!(
                "{}, killed after {}",
                task.stop_signal,
                time::span(task.stop_grace)
            ),
        ),
    ])
}
