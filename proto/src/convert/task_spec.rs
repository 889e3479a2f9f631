//! What a task should run.

use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::convert::health;
use crate::convert::limits::MAX_STOP_GRACE;
use crate::convert::material;
use crate::convert::service;
use crate::convert::signal::signal_name;
use crate::defaults;
use crate::name::Name;
use crate::spec::Constraint;
use crate::spec::Hostname;
use crate::spec::NetworkRef;
use crate::spec::Resources;
use crate::spec::RestartCondition;
use crate::spec::RestartPolicy;
use crate::spec::Runtime;
use crate::spec::SpreadPreference;
use crate::spec::TaskSpec;
use crate::wire;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

impl From<&TaskSpec> for wire::TaskSpec {
    fn from(spec: &TaskSpec) -> Self {
        wire::TaskSpec {
            runtime: wire::Runtime::from(spec.runtime).into(),
            command: spec.command.clone(),
            env: spec.env.clone(),
            working_dir: spec.working_dir.clone().unwrap_or_default(),
            user: spec.user.clone().unwrap_or_default(),
            hostname: spec
                .hostname
                .as_ref()
                .map(Hostname::to_string)
                .unwrap_or_default(),
            limits: Some(spec.limits.into()),
            reservations: Some(spec.reservations.into()),
            restart: Some((&spec.restart).into()),
            constraints: spec.constraints.iter().map(ToString::to_string).collect(),
            networks: spec.networks.iter().map(Into::into).collect(),
            stop_signal: spec.stop_signal.clone(),
            stop_grace_ms: Some(field::millis(spec.stop_grace)),
            force_update: spec.force_update,
            preferences: spec
                .preferences
                .iter()
                .map(|preference| wire::SpreadPreference {
                    key: preference.key.clone(),
                })
                .collect(),
            max_per_node: spec.max_per_node.map_or(0, NonZeroU32::get),
            reserved_generic: field::wire_generic(&spec.reserved_generic),
            host_ports: spec.host_ports.iter().map(Into::into).collect(),
            health: spec.health.as_ref().map(Into::into),
            files: spec.files.iter().map(Into::into).collect(),
            template_labels: field::wire_labels(&spec.template_labels),
        }
    }
}

pub(super) fn read(wire: wire::TaskSpec) -> Result<TaskSpec, ConvertError> {
    Ok(TaskSpec {
        runtime: field::enumeration_or::<wire::Runtime, Runtime>(
            "runtime",
            wire.runtime,
            Runtime::Process,
        )?,
        command: read_command(wire.command)?,
        env: field::list("env", wire.env, read_env)?,
        working_dir: field::optional("working_dir", &wire.working_dir, read_dir)?,
        user: field::optional("user", &wire.user, read_user)?,
        hostname: field::optional("hostname", &wire.hostname, field::parse::<Hostname>)?,
        limits: wire.limits.unwrap_or_default().into(),
        reservations: wire.reservations.unwrap_or_default().into(),
        restart: match wire.restart {
            Some(restart) => read_restart(restart).map_err(|e| e.within("restart"))?,
            None => defaults::RESTART,
        },
        constraints: field::list("constraints", wire.constraints, |text| {
            field::parse::<Constraint>("", &text)
        })?,
        networks: read_networks(wire.networks)?,
        stop_signal: field::optional("stop_signal", &wire.stop_signal, read_signal)?
            .unwrap_or_else(|| defaults::STOP_SIGNAL.to_owned()),
        stop_grace: read_grace(wire.stop_grace_ms)?,
        force_update: wire.force_update,
        preferences: field::list("preferences", wire.preferences, |preference| {
            field::parse::<SpreadPreference>("key", &format!("spread={}", preference.key))
        })?,
        max_per_node: NonZeroU32::new(wire.max_per_node),
        reserved_generic: field::generic("reserved_generic", wire.reserved_generic)?,
        host_ports: service::read_host_ports(wire.host_ports)?,
        health: wire
            .health
            .map(health::read)
            .transpose()
            .map_err(|e| e.within("health"))?,
        files: material::read_files(wire.files)?,
        template_labels: field::labels(wire.template_labels)
            .map_err(|error| error.within("template_labels"))?,
    })
}

door!(TaskSpec => TaskSpec, read, "task");

/// A text that the kernel takes as one string.
pub(super) fn without_nul(field: &str, text: &str) -> Result<(), ConvertError> {
    if text.contains('\0') {
        Err(ConvertError::at(
            field,
            format!(
                "{} has a NUL character, which ends a text for the kernel",
                field::shown(text)
            ),
        ))
    } else {
        Ok(())
    }
}

fn read_command(wire: Vec<String>) -> Result<Vec<String>, ConvertError> {
    if wire.first().is_none_or(String::is_empty) {
        return Err(ConvertError::at(
            "command",
            "is empty: give the command to run",
        ));
    }
    field::list("command", wire, |argument| {
        without_nul("", &argument)?;
        Ok(argument)
    })
}

fn read_env(entry: String) -> Result<String, ConvertError> {
    without_nul("", &entry)?;
    match entry.split_once('=') {
        None => Err(ConvertError::new(format!(
            "{} has no '=': write NAME=value",
            field::shown(&entry)
        ))),
        Some(("", _)) => Err(ConvertError::new(format!(
            "{} has no name: write NAME=value",
            field::shown(&entry)
        ))),
        Some(_) => Ok(entry),
    }
}

fn read_dir(field: &str, text: &str) -> Result<String, ConvertError> {
    without_nul(field, text)?;
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(ConvertError::at(
            field,
            format!("{} is relative: begin it with '/'", field::shown(text)),
        ))
    }
}

fn read_user(field: &str, text: &str) -> Result<String, ConvertError> {
    without_nul(field, text)?;
    if text.trim().is_empty() {
        Err(ConvertError::at(
            field,
            "is blank: give a user, or leave it out for root",
        ))
    } else {
        Ok(text.to_owned())
    }
}

fn read_signal(field: &str, text: &str) -> Result<String, ConvertError> {
    signal_name(text).map(str::to_owned).ok_or_else(|| {
        ConvertError::at(
            field,
            format!(
                "{} is no signal: use a name like SIGTERM or a number from 1 to 31",
                field::shown(text)
            ),
        )
    })
}

fn read_grace(millis: Option<u64>) -> Result<Duration, ConvertError> {
    let grace = millis.map_or(defaults::STOP_GRACE, Duration::from_millis);
    if grace > MAX_STOP_GRACE {
        return Err(ConvertError::at(
            "stop_grace_ms",
            format!(
                "{} ms are too long: use at most {} ms, a day",
                grace.as_millis(),
                MAX_STOP_GRACE.as_millis()
            ),
        ));
    }
    Ok(grace)
}

impl From<&RestartPolicy> for wire::RestartPolicy {
    fn from(restart: &RestartPolicy) -> Self {
        wire::RestartPolicy {
            condition: wire::RestartCondition::from(restart.condition).into(),
            delay_ms: field::millis(restart.delay),
            max_attempts: restart.max_attempts,
            window_ms: field::millis(restart.window),
        }
    }
}

fn read_restart(wire: wire::RestartPolicy) -> Result<RestartPolicy, ConvertError> {
    Ok(RestartPolicy {
        condition: field::enumeration_or::<wire::RestartCondition, RestartCondition>(
            "condition",
            wire.condition,
            defaults::RESTART.condition,
        )?,
        delay: Duration::from_millis(wire.delay_ms),
        max_attempts: wire.max_attempts,
        window: Duration::from_millis(wire.window_ms),
    })
}

door!(RestartPolicy => RestartPolicy, read_restart, "restart");

impl From<&NetworkRef> for wire::NetworkAttachment {
    fn from(network: &NetworkRef) -> Self {
        wire::NetworkAttachment {
            network_id: network.id.to_string(),
            aliases: network.aliases.iter().map(Name::to_string).collect(),
        }
    }
}

fn read_network(wire: wire::NetworkAttachment) -> Result<NetworkRef, ConvertError> {
    Ok(NetworkRef {
        id: field::parse("network_id", &wire.network_id)?,
        aliases: field::list("aliases", wire.aliases, |alias| {
            field::parse::<Name>("", &alias)
        })?,
    })
}

fn read_networks(wire: Vec<wire::NetworkAttachment>) -> Result<Vec<NetworkRef>, ConvertError> {
    let networks = field::list("networks", wire, read_network)?;
    let mut seen = BTreeSet::new();
    for (index, network) in networks.iter().enumerate() {
        if !seen.insert(network.id) {
            return Err(ConvertError::at(
                &format!("networks[{index}].network_id"),
                format!("network {} is given twice", network.id),
            ));
        }
    }
    Ok(networks)
}

door!(NetworkAttachment => NetworkRef, read_network, "network");

impl From<Resources> for wire::Resources {
    fn from(resources: Resources) -> Self {
        wire::Resources {
            nano_cpus: resources.nano_cpus,
            memory_bytes: resources.memory_bytes,
        }
    }
}

impl From<wire::Resources> for Resources {
    fn from(wire: wire::Resources) -> Self {
        Resources {
            nano_cpus: wire.nano_cpus,
            memory_bytes: wire.memory_bytes,
        }
    }
}
