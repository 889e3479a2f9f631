//! `weft service create`.

use crate::client::Control;
use crate::command::context::Context;
use crate::command::output;
use crate::command::service::flags::ServiceFlags;
use crate::command::service::wait;
use crate::command::service::wait::WaitArgs;
use crate::command::value::env;
use crate::command::value::env::Lookup;
use crate::command::value::file;
use crate::command::value::generic::GenericResource;
use crate::command::value::label::Label;
use crate::command::value::network;
use crate::command::value::port;
use crate::command::value::port::Published;
use crate::config;
use anyhow::Context as _;
use clap::Args;
use clap::ValueEnum;
use std::path::PathBuf;
use weft_proto::Name;
use weft_proto::object::Service;
use weft_proto::spec::Constraint;
use weft_proto::spec::SpreadPreference;
use weft_proto::wire;

const EXAMPLES: &str = "\
Examples:
  # three copies of nginx, answering on port 8080 of every node
  weft service create --name web --replicas 3 --publish 8080:80 -- nginx -g 'daemon off;'

  # a database that other services on the network reach as redis and as cache
  weft network create backend
  weft service create --name redis --network name=backend,alias=cache \\
      --limit-memory 256M -- redis-server --save '' --protected-mode no

  # only on nodes with fast disks, replaced one at a time, new task first
  weft service create --name api --replicas 4 --constraint node.labels.disk==ssd \\
      --update-order start-first --update-delay 10s --env-file api.env -- /usr/bin/api

  # on its own node's port 53 only, with the clients' addresses, healthy before it gets traffic
  weft service create --name dns --mode global --publish mode=host,published=53,target=53,protocol=udp \
      --health-cmd 'dig +short @127.0.0.1 health.test' --health-interval 10s -- dnsmasq -k

  # one on every node; and a job that runs every night at 04:30 UTC until it ended well once
  weft service create --name agent --mode global -- /usr/bin/node-agent
  weft service create --name backup --mode replicated-job --schedule '30 4 * * *' \\
      --restart-max-attempts 3 -- /usr/bin/backup";

/// A new service.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct CreateArgs {
    /// Name, also its name in DNS: 1 to 63 lower-case letters, digits and '-' [default: made up]
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    #[command(flatten)]
    flags: ServiceFlags,
    /// Port that every node answers: PUBLISHED:TARGET[/udp], or TARGET for a free one; with
    /// mode=host,published=PORT,target=PORT only the node of a task does; may be repeated
    #[arg(short, long, value_name = "PORT", value_parser = port::parse)]
    publish: Vec<Published>,
    /// Network to attach to: NETWORK, or name=NETWORK,alias=ALIAS; may be repeated
    #[arg(long, value_name = "NETWORK", value_parser = network::parse)]
    network: Vec<wire::NetworkAttachment>,
    /// Secret that tasks find in /run/secrets: NAME, or
    /// source=NAME,target=FILE,uid=0,gid=0,mode=0444; may be repeated
    #[arg(long, value_name = "SECRET", value_parser = file::secret)]
    secret: Vec<wire::FileReference>,
    /// Config that tasks find as a file: NAME, or source=NAME,target=/etc/FILE,uid=0,gid=0,mode=0444;
    /// may be repeated
    #[arg(long, value_name = "CONFIG", value_parser = file::config)]
    config: Vec<wire::FileReference>,
    /// Environment variable, or the name of one to take from here; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// File of environment variables, one per line; may be repeated
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Free label; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Condition on nodes, like node.role==worker or node.labels.disk!=hdd; may be repeated
    #[arg(long, value_name = "CONDITION")]
    constraint: Vec<Constraint>,
    /// Over which groups of nodes tasks spread: spread=node.labels.KEY; may be repeated, the first
    /// one counts most
    #[arg(long, value_name = "PREFERENCE")]
    placement_pref: Vec<SpreadPreference>,
    /// Counted resource that must be free on a task's node, like gpu=1; may be repeated
    #[arg(long, value_name = "NAME=COUNT")]
    generic_resource: Vec<GenericResource>,
    /// How many tasks there are, and whether they end
    #[arg(long, value_enum, value_name = "MODE", default_value = "replicated")]
    mode: Mode,
    #[command(flatten)]
    wait: WaitArgs,
    /// Command of each task, and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// How many tasks there are, and whether they end.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// As many as --replicas says
    Replicated,
    /// One on every node that may run it
    Global,
    /// Until as many as --replicas says have ended with exit code 0
    ReplicatedJob,
    /// Until one has ended with exit code 0 on every node that may run it
    GlobalJob,
}

impl Mode {
    fn apply(self, spec: &mut wire::ServiceSpec) {
        match self {
            Mode::Replicated => spec.replicated = Some(wire::ReplicatedMode { replicas: 1 }),
            Mode::Global => spec.global = Some(wire::GlobalMode {}),
            Mode::ReplicatedJob => {
                spec.replicated_job = Some(wire::ReplicatedJobMode {
                    completions: 1,
                    max_concurrent: 0,
                });
            }
            Mode::GlobalJob => spec.global_job = Some(wire::GlobalJobMode {}),
        }
    }
}

/// The service that the flags ask for; `name` makes one up.
fn spec(
    args: CreateArgs,
    lookup: Lookup<'_>,
    name: impl FnOnce() -> String,
) -> anyhow::Result<wire::ServiceSpec> {
    let mut entries = Vec::new();
    for file in &args.env_file {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read --env-file {}", file.display()))?;
        entries.extend(env::lines(&text));
    }
    entries.extend(args.env);
    let mut spec = wire::ServiceSpec {
        name: args.name.map_or_else(name, |name| name.to_string()),
        labels: args.label.into_iter().map(Into::into).collect(),
        task: Some(wire::TaskSpec {
            runtime: wire::Runtime::Process.into(),
            command: args.command,
            env: env::merge(&entries, lookup).map_err(anyhow::Error::msg)?,
            networks: args.network,
            files: args.secret.into_iter().chain(args.config).collect(),
            constraints: args.constraint.iter().map(ToString::to_string).collect(),
            preferences: args.placement_pref.iter().map(preference).collect(),
            reserved_generic: args.generic_resource.into_iter().map(Into::into).collect(),
            ..wire::TaskSpec::default()
        }),
        endpoint_mode: wire::EndpointMode::Vip.into(),
        ..wire::ServiceSpec::default()
    };
    for port in args.publish {
        port.put(&mut spec);
    }
    args.mode.apply(&mut spec);
    args.flags.apply_counts(&mut spec)?;
    args.flags.apply(&mut spec)?;
    Ok(spec)
}

/// A preference as it travels.
pub(super) fn preference(preference: &SpreadPreference) -> wire::SpreadPreference {
    wire::SpreadPreference {
        key: preference.key.clone(),
    }
}

/// Short enough to read out, long enough that two do not meet: 32 random bits.
fn made_up() -> String {
    format!("svc-{:08x}", rand::random::<u32>())
}

/// Runs it.
pub(super) async fn run(context: &Context, mut args: CreateArgs) -> anyhow::Result<()> {
    let wait = std::mem::take(&mut args.wait);
    let spec = spec(args, &config::variable, made_up)?;
    let client = context.connect().await?;
    let request = wire::CreateServiceRequest {
        spec: Some(spec),
        request_id: context.request_id(),
    };
    let create = |mut control: Control| {
        let request = request.clone();
        async move { control.create_service(request).await }
    };
    let service = client.repeat(create).await?.service;
    let service = Service::try_from(service.unwrap_or_default())?;
    output::text(service.id.as_str())?;
    wait::converge(context, &client, &wait, &service).await
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
