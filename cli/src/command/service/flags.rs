//! Flags that `create` and `update` share.

use crate::command::service::health::HealthFlags;
use crate::command::service::roll::RollbackFlags;
use crate::command::service::roll::UpdateFlags;
use crate::command::value::amount;
use crate::command::value::duration;
use anyhow::bail;
use clap::Args;
use clap::ValueEnum;
use weft_proto::convert::signal_name;
use weft_proto::defaults;
use weft_proto::spec::Hostname;
use weft_proto::spec::Schedule;
use weft_proto::wire;

/// When a task that ended is replaced.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RestartCondition {
    /// Never
    None,
    /// When it failed
    OnFailure,
    /// However it ended
    Any,
}

/// How other tasks find the service.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum EndpointMode {
    /// By one address that stands for all its tasks
    Vip,
    /// By the addresses of its tasks
    Dnsrr,
}

/// What may be said of a service when it is made and later.
#[derive(Debug, Default, Args)]
pub(super) struct ServiceFlags {
    /// Number of tasks; of a job: how many must complete [default: 1]
    #[arg(long, value_name = "N", value_parser = amount::replicas, allow_hyphen_values = true)]
    replicas: Option<u32>,
    /// Number of tasks of a job that run at the same time; 0: all [default: 0]
    #[arg(long, value_name = "N")]
    max_concurrent: Option<u32>,
    /// When a job runs again, in UTC, like "30 4 * * *" or @daily; empty: once [default: once]
    #[arg(long, value_name = "CRON", value_parser = schedule)]
    schedule: Option<String>,
    /// How many tasks of the service one node may run; 0: without bound [default: 0]
    #[arg(long, value_name = "N")]
    replicas_max_per_node: Option<u32>,
    /// Directory the command starts in [default: /]
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// User the command runs as: NAME, UID, or either with :GROUP [default: root]
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Host name within each task; placeholders like {{.Node.Hostname}} are filled in [default: the task's name]
    #[arg(long, value_name = "NAME")]
    hostname: Option<Hostname>,
    /// CPUs a task may use at most, like 0.5 [default: no limit]
    #[arg(long, value_name = "CPUS", value_parser = amount::nano_cpus)]
    limit_cpu: Option<u64>,
    /// Memory a task may use at most, like 64M [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = amount::bytes)]
    limit_memory: Option<u64>,
    /// CPUs that must be free on a task's node, like 0.5 [default: none]
    #[arg(long, value_name = "CPUS", value_parser = amount::nano_cpus)]
    reserve_cpu: Option<u64>,
    /// Memory that must be free on a task's node, like 64M [default: none]
    #[arg(long, value_name = "BYTES", value_parser = amount::bytes)]
    reserve_memory: Option<u64>,
    /// When a task that ended is replaced [default: any; of a job: on-failure]
    #[arg(long, value_enum, value_name = "CONDITION")]
    restart_condition: Option<RestartCondition>,
    /// Time between a task's end and its replacement, like 5s [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    restart_delay: Option<u64>,
    /// How many times a task is replaced within the window; 0: without bound [default: 0]
    #[arg(long, value_name = "N")]
    restart_max_attempts: Option<u32>,
    /// Time over which replacements are counted, like 1m; 0: for ever [default: 0]
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    restart_window: Option<u64>,
    /// Signal that asks a task to end [default: SIGTERM]
    #[arg(long, value_name = "SIGNAL", value_parser = signal)]
    stop_signal: Option<String>,
    /// Time a task has to end before it is killed, like 30s [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    stop_grace_period: Option<u64>,
    /// How other tasks find the service [default: vip]
    #[arg(long, value_enum, value_name = "MODE")]
    endpoint_mode: Option<EndpointMode>,
    /// What runs the tasks [default: process]
    #[arg(long, value_name = "RUNTIME", value_parser = runtime)]
    runtime: Option<i32>,
    #[command(flatten)]
    health: HealthFlags,
    #[command(flatten)]
    update: UpdateFlags,
    #[command(flatten)]
    rollback: RollbackFlags,
}

fn signal(text: &str) -> Result<String, String> {
    signal_name(text)
        .map(str::to_owned)
        .ok_or_else(|| "is no signal: use a name like SIGTERM or a number from 1 to 31".to_owned())
}

fn runtime(text: &str) -> Result<i32, String> {
    match text {
        "process" => Ok(wire::Runtime::Process.into()),
        "docker" => Err("the docker runtime is not in this release: use process".to_owned()),
        _ => Err("is no runtime: use process".to_owned()),
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

impl ServiceFlags {
    /// Puts what was said into `spec`, and leaves the rest as it is.
    ///
    /// # Errors
    /// A flag that means nothing without another one.
    pub(super) fn apply(self, spec: &mut wire::ServiceSpec) -> anyhow::Result<()> {
        let task = spec.task.get_or_insert_default();
        set(&mut task.working_dir, self.workdir);
        set(&mut task.user, self.user);
        set(
            &mut task.hostname,
            self.hostname.map(|name| name.to_string()),
        );
        set(&mut task.stop_signal, self.stop_signal);
        set(&mut task.runtime, self.runtime);
        if self.stop_grace_period.is_some() {
            task.stop_grace_ms = self.stop_grace_period;
        }
        let limits = task.limits.get_or_insert_default();
        set(&mut limits.nano_cpus, self.limit_cpu);
        set(&mut limits.memory_bytes, self.limit_memory);
        let reservations = task.reservations.get_or_insert_default();
        set(&mut reservations.nano_cpus, self.reserve_cpu);
        set(&mut reservations.memory_bytes, self.reserve_memory);

        // A job that ended well is done.
        let default = match spec.replicated_job.is_some() || spec.global_job.is_some() {
            true => &defaults::JOB_RESTART,
            false => &defaults::RESTART,
        };
        let restart = task
            .restart
            .get_or_insert_with(|| wire::RestartPolicy::from(default));
        let condition = self.restart_condition.map(|condition| match condition {
            RestartCondition::None => wire::RestartCondition::None.into(),
            RestartCondition::OnFailure => wire::RestartCondition::OnFailure.into(),
            RestartCondition::Any => wire::RestartCondition::Any.into(),
        });
        set(&mut restart.condition, condition);
        set(&mut restart.delay_ms, self.restart_delay);
        set(&mut restart.max_attempts, self.restart_max_attempts);
        set(&mut restart.window_ms, self.restart_window);

        task.max_per_node = self.replicas_max_per_node.unwrap_or(task.max_per_node);
        set(&mut spec.schedule, self.schedule);
        self.health.apply(spec.task.get_or_insert_default())?;
        self.update.apply(spec);
        self.rollback.apply(spec);

        let endpoint = self.endpoint_mode.map(|mode| match mode {
            EndpointMode::Vip => wire::EndpointMode::Vip.into(),
            EndpointMode::Dnsrr => wire::EndpointMode::Dnsrr.into(),
        });
        set(&mut spec.endpoint_mode, endpoint);
        Ok(())
    }

    /// Puts numbers of tasks into the mode that `spec` has.
    ///
    /// # Errors
    /// The mode has no such number.
    pub(super) fn apply_counts(&self, spec: &mut wire::ServiceSpec) -> anyhow::Result<()> {
        if let Some(job) = &mut spec.replicated_job {
            set(&mut job.completions, self.replicas);
            set(&mut job.max_concurrent, self.max_concurrent);
            return Ok(());
        }
        if self.max_concurrent.is_some() {
            bail!("--max-concurrent is for services of mode replicated-job only");
        }
        match (&mut spec.replicated, self.replicas) {
            (Some(replicated), replicas) => set(&mut replicated.replicas, replicas),
            (None, None) => {}
            (None, Some(_)) => bail!(
                "--replicas is for services of mode replicated or replicated-job: a global service \
                 has one task on every node that may run it"
            ),
        }
        Ok(())
    }
}

/// A schedule, or nothing for none.
fn schedule(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let schedule: Schedule = text.parse().map_err(|err| format!("{err}"))?;
    Ok(schedule.to_string())
}
