//! `weft service update`.

use crate::client::Client;
use crate::client::Control;
use crate::command::context::Context;
use crate::command::network as networks;
use crate::command::output;
use crate::command::service::create::preference;
use crate::command::service::fetch;
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
use anyhow::bail;
use clap::Args;
use std::collections::BTreeMap;
use weft_proto::object::Service;
use weft_proto::spec::Constraint;
use weft_proto::spec::SpreadPreference;
use weft_proto::wire;

const EXAMPLES: &str = "\
Examples:
  # another command for the same service; what is not said stays as it is
  weft service update web -- nginx -c /etc/nginx/other.conf -g 'daemon off;'

  # more memory, one more variable, and no longer on port 8080
  weft service update api --limit-memory 512M --env-add LEVEL=debug --publish-rm 80

  # restart all tasks, one after the other
  weft service update web --force";

/// Changes of a service; what is not said stays as it is.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct UpdateArgs {
    /// Service
    #[arg(value_name = "SERVICE")]
    target: String,
    #[command(flatten)]
    flags: ServiceFlags,
    #[command(flatten)]
    lists: ListChanges,
    /// Replace the tasks also where nothing else changes
    #[arg(long)]
    force: bool,
    /// Replace the arguments of the command, split at white space, and keep its program
    #[arg(
        long,
        value_name = "ARGS",
        allow_hyphen_values = true,
        conflicts_with = "command"
    )]
    args: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
    /// Replace the command and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Changes of what a service has several of. What is removed is removed first.
#[derive(Debug, Default, Args)]
struct ListChanges {
    /// Port to answer too: PUBLISHED:TARGET[/udp], or TARGET for a free one, or
    /// mode=host,published=PORT,target=PORT; takes the place of one with the same target
    #[arg(long, value_name = "PORT", value_parser = port::parse)]
    publish_add: Vec<Published>,
    /// Target of a port to answer no longer: TARGET[/udp]
    #[arg(long, value_name = "TARGET", value_parser = port::target)]
    publish_rm: Vec<wire::Port>,
    /// Environment variable to set; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env_add: Vec<String>,
    /// Environment variable to unset; may be repeated
    #[arg(long, value_name = "NAME")]
    env_rm: Vec<String>,
    /// Network to attach to: NETWORK, or name=NETWORK,alias=ALIAS; may be repeated
    #[arg(long, value_name = "NETWORK", value_parser = network::parse)]
    network_add: Vec<wire::NetworkAttachment>,
    /// Network to detach from; may be repeated
    #[arg(long, value_name = "NETWORK")]
    network_rm: Vec<String>,
    /// Secret to add: NAME, or source=NAME,target=FILE,uid=0,gid=0,mode=0444; takes the place of the
    /// same one; may be repeated
    #[arg(long, value_name = "SECRET", value_parser = file::secret)]
    secret_add: Vec<wire::FileReference>,
    /// Secret to take away; may be repeated
    #[arg(long, value_name = "SECRET")]
    secret_rm: Vec<String>,
    /// Config to add: NAME, or source=NAME,target=/etc/FILE,uid=0,gid=0,mode=0444; takes the place of
    /// the same one; may be repeated
    #[arg(long, value_name = "CONFIG", value_parser = file::config)]
    config_add: Vec<wire::FileReference>,
    /// Config to take away; may be repeated
    #[arg(long, value_name = "CONFIG")]
    config_rm: Vec<String>,
    /// Condition on nodes to add; may be repeated
    #[arg(long, value_name = "CONDITION")]
    constraint_add: Vec<Constraint>,
    /// Condition on nodes to drop; may be repeated
    #[arg(long, value_name = "CONDITION")]
    constraint_rm: Vec<Constraint>,
    /// Group of nodes to spread over too: spread=node.labels.KEY; may be repeated
    #[arg(long, value_name = "PREFERENCE")]
    placement_pref_add: Vec<SpreadPreference>,
    /// Group of nodes to spread over no longer; may be repeated
    #[arg(long, value_name = "PREFERENCE")]
    placement_pref_rm: Vec<SpreadPreference>,
    /// Counted resource to reserve, like gpu=1; may be repeated
    #[arg(long, value_name = "NAME=COUNT")]
    generic_resource_add: Vec<GenericResource>,
    /// Counted resource to reserve no longer; may be repeated
    #[arg(long, value_name = "NAME")]
    generic_resource_rm: Vec<String>,
    /// Label to set; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    label_add: Vec<Label>,
    /// Label to drop; may be repeated
    #[arg(long, value_name = "KEY")]
    label_rm: Vec<String>,
}

/// Names of networks, by identifier.
type Networks = BTreeMap<String, String>;

/// The service's spec with the changes made in it.
fn spec(
    old: &Service,
    args: UpdateArgs,
    networks: &Networks,
    lookup: Lookup<'_>,
) -> anyhow::Result<wire::ServiceSpec> {
    let mut spec = wire::ServiceSpec::from(&old.spec);
    args.flags.apply_counts(&mut spec)?;
    args.flags.apply(&mut spec)?;
    let mut lists = args.lists;
    change_ports(&mut spec, &lists)?;
    change_labels(
        &mut spec.labels,
        std::mem::take(&mut lists.label_add),
        &lists.label_rm,
    )?;
    let task = spec.task.get_or_insert_default();
    change_networks(&mut task.networks, &lists, networks)?;
    change_env(&mut task.env, &lists, lookup)?;
    change_files(&mut task.files, &lists)?;
    for gone in &lists.constraint_rm {
        remove(&mut task.constraints, "constraint", &gone.to_string())?;
    }
    for added in lists.constraint_add.iter().map(ToString::to_string) {
        if !task.constraints.contains(&added) {
            task.constraints.push(added);
        }
    }
    change_placement(task, &lists)?;
    if !args.command.is_empty() {
        task.command = args.command;
    }
    if let Some(words) = args.args {
        task.command.truncate(1);
        task.command
            .extend(words.split_whitespace().map(str::to_owned));
    }
    if args.force {
        task.force_update = task.force_update.wrapping_add(1);
    }
    Ok(spec)
}

fn remove(list: &mut Vec<String>, kind: &str, item: &str) -> anyhow::Result<()> {
    match list.iter().position(|other| other == item) {
        Some(index) => {
            list.remove(index);
            Ok(())
        }
        None => bail!("the service has no {kind} {item}: nothing was changed"),
    }
}

fn change_placement(task: &mut wire::TaskSpec, lists: &ListChanges) -> anyhow::Result<()> {
    for gone in &lists.placement_pref_rm {
        let before = task.preferences.len();
        task.preferences.retain(|other| other.key != gone.key);
        if task.preferences.len() == before {
            bail!("the service has no placement preference {gone}: nothing was changed");
        }
    }
    for added in lists.placement_pref_add.iter().map(preference) {
        if !task.preferences.contains(&added) {
            task.preferences.push(added);
        }
    }
    for gone in &lists.generic_resource_rm {
        let before = task.reserved_generic.len();
        task.reserved_generic.retain(|other| other.name != *gone);
        if task.reserved_generic.len() == before {
            bail!("the service reserves no {gone}: nothing was changed");
        }
    }
    for added in &lists.generic_resource_add {
        let added = wire::GenericResource::from(added.clone());
        task.reserved_generic
            .retain(|other| other.name != added.name);
        task.reserved_generic.push(added);
    }
    Ok(())
}

fn change_ports(spec: &mut wire::ServiceSpec, lists: &ListChanges) -> anyhow::Result<()> {
    let same = |a: &wire::Port, b: &wire::Port| (a.target, a.protocol) == (b.target, b.protocol);
    let mut remove = |gone: &wire::Port| {
        let hosts = &mut spec.task.get_or_insert_default().host_ports;
        let before = spec.ports.len() + hosts.len();
        spec.ports.retain(|port| !same(port, gone));
        hosts.retain(|port| !same(port, gone));
        before > spec.ports.len() + hosts.len()
    };
    if let Some(gone) = lists.publish_rm.iter().find(|gone| !remove(gone)) {
        bail!(
            "the service publishes no port {}: nothing was changed",
            gone.target
        );
    }
    for added in &lists.publish_add {
        remove(added.port());
    }
    for added in &lists.publish_add {
        added.put(spec);
    }
    Ok(())
}

fn change_labels(
    labels: &mut Vec<wire::Label>,
    added: Vec<Label>,
    gone: &[String],
) -> anyhow::Result<()> {
    for key in gone {
        let before = labels.len();
        labels.retain(|label| label.key != *key);
        if labels.len() == before {
            bail!("the service has no label {key}: nothing was changed");
        }
    }
    for label in added {
        labels.retain(|other| other.key != label.key);
        labels.push(label.into());
    }
    Ok(())
}

fn change_env(
    env: &mut Vec<String>,
    lists: &ListChanges,
    lookup: Lookup<'_>,
) -> anyhow::Result<()> {
    for name in &lists.env_rm {
        let before = env.len();
        env.retain(|entry| env::name(entry) != name);
        if env.len() == before {
            bail!("the service has no environment variable {name}: nothing was changed");
        }
    }
    for entry in &lists.env_add {
        if let Some(entry) = env::resolve(entry, lookup).map_err(anyhow::Error::msg)? {
            env::put(env, entry);
        }
    }
    Ok(())
}

fn change_files(files: &mut Vec<wire::FileReference>, lists: &ListChanges) -> anyhow::Result<()> {
    let is = |file: &wire::FileReference, kind: wire::MaterialKind, target: &str| {
        file.kind() == kind && (file.name == target || file.material_id == target)
    };
    let secrets = (wire::MaterialKind::Secret, "secret", &lists.secret_rm);
    let configs = (wire::MaterialKind::Config, "config", &lists.config_rm);
    for (kind, noun, gone) in [secrets, configs] {
        for gone in gone {
            let before = files.len();
            files.retain(|file| !is(file, kind, gone));
            if files.len() == before {
                bail!("the service has no {noun} {gone}: nothing was changed");
            }
        }
    }
    let added = || lists.secret_add.iter().chain(&lists.config_add);
    for added in added() {
        files.retain(|file| !is(file, added.kind(), &added.material_id));
    }
    files.extend(added().cloned());
    Ok(())
}

fn change_networks(
    attached: &mut Vec<wire::NetworkAttachment>,
    lists: &ListChanges,
    names: &Networks,
) -> anyhow::Result<()> {
    let is = |attachment: &wire::NetworkAttachment, target: &str| {
        let id = &attachment.network_id;
        id == target || names.get(id).is_some_and(|name| name == target)
    };
    for gone in &lists.network_rm {
        let before = attached.len();
        attached.retain(|attachment| !is(attachment, gone));
        if attached.len() == before {
            bail!("the service is not attached to network {gone}: nothing was changed");
        }
    }
    for added in &lists.network_add {
        // Adding one that is there gives it the new aliases.
        attached.retain(|attachment| !is(attachment, &added.network_id));
        attached.push(added.clone());
    }
    Ok(())
}

async fn network_names(client: &Client) -> anyhow::Result<Networks> {
    let all = networks::fetch(client, "").await?;
    let named = all
        .into_iter()
        .map(|network| (network.id.to_string(), network.spec.name.to_string()));
    Ok(named.collect())
}

/// Runs it.
pub(super) async fn run(context: &Context, mut args: UpdateArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let wait = std::mem::take(&mut args.wait);
    let (old, _) = fetch::service(&client, &args.target).await?;
    let names = network_names(&client).await?;
    let request = wire::UpdateServiceRequest {
        target: old.id.to_string(),
        // Another one's change in between is not undone: this one is refused.
        version: old.meta.version,
        spec: Some(spec(&old, args, &names, &config::variable)?),
        request_id: context.request_id(),
    };
    let update = |mut control: Control| {
        let request = request.clone();
        async move { control.update_service(request).await }
    };
    let service = client.repeat(update).await?.service;
    let service = Service::try_from(service.unwrap_or_default())?;
    output::text(service.id.as_str())?;
    wait::converge(context, &client, &wait, &service).await
}

impl UpdateArgs {
    /// Which service, and how to wait for it.
    pub(super) fn without_changes(self) -> (String, WaitArgs) {
        (self.target, self.wait)
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
