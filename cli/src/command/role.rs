//! `weft node promote` and `weft node demote`.

use crate::client::Client;
use crate::client::Refused;
use crate::command::node;
use crate::command::output;
use crate::command::output::Format;
use crate::command::value::duration;
use crate::render::node::MarginRow;
use anyhow::bail;
use clap::Args;
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use weft_proto::Role;
use weft_proto::object::Node;
use weft_proto::wire;

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(200);

/// Which nodes, and how long to wait.
#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    /// Nodes
    #[arg(required = true, value_name = "NODE")]
    targets: Vec<String>,
    /// Return at once; the cluster goes on by itself
    #[arg(short, long)]
    detach: bool,
    /// How long to wait at most, like 30s or 10m
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "1m")]
    wait_timeout: Duration,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// A node whose role was changed. The keys of its JSON do not change.
#[derive(Debug, Serialize)]
struct Change {
    id: String,
    hostname: String,
    role: &'static str,
    /// False when nobody waited for it.
    done: bool,
    before: Option<MarginRow>,
    after: Option<MarginRow>,
}

/// Gives the nodes a role, one after the other: each change is judged by how many managers there are
/// after the one before.
pub(super) async fn run(client: &Client, args: &RoleArgs, role: Role) -> anyhow::Result<()> {
    let mut changes = Vec::new();
    for target in &args.targets {
        let change = one(client, args, target, role).await;
        // What was done before is told even so.
        match change {
            Ok(change) => changes.push(change),
            Err(why) => {
                print(args, &changes)?;
                return Err(why);
            }
        }
    }
    print(args, &changes)
}

async fn one(client: &Client, args: &RoleArgs, target: &str, role: Role) -> anyhow::Result<Change> {
    let before = node::fetch(client).await?;
    let request = wire::UpdateNodeRequest {
        target: target.to_owned(),
        role: Some(wire::NodeRole::from(role).into()),
        ..wire::UpdateNodeRequest::default()
    };
    let answer = client.control().update_node(request).await;
    let updated = answer.map_err(Refused::from)?.into_inner().node;
    let updated = Node::try_from(updated.unwrap_or_default())?;
    let mut change = Change {
        id: updated.id.to_string(),
        hostname: updated.description.hostname.clone(),
        role: match role {
            Role::Manager => "manager",
            Role::Worker => "worker",
        },
        done: false,
        before: before.managers.margin(),
        after: None,
    };
    if args.detach {
        return Ok(change);
    }
    let deadline = Instant::now() + args.wait_timeout;
    loop {
        match node::fetch(client).await {
            Ok(now) if is(&now, &change.id, role) => {
                change.after = now.managers.margin();
                change.done = true;
                return Ok(change);
            }
            Ok(_) => {}
            // The node that answered is a manager no more: it says so, and that it is done.
            Err(_)
                if role == Role::Worker && before.own == change.id && is_worker(client).await =>
            {
                change.done = true;
                return Ok(change);
            }
            // The office is just handed over.
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            bail!(
                "{} is no {} yet after {}; the cluster goes on trying, look at it with \"weft node \
                 ls\" and \"weft node inspect {}\"",
                change.hostname,
                change.role,
                crate::render::time::span(args.wait_timeout),
                change.hostname
            );
        }
        sleep(PAUSE).await;
    }
}

/// Whether a node is what it should be: a manager that votes, or no member of the group.
fn is(nodes: &node::Nodes, id: &str, role: Role) -> bool {
    let mut members = nodes.managers.members.iter();
    let member = members.find(|member| member.node_id == id);
    let node = nodes.all.iter().find(|node| node.id.as_str() == id);
    match role {
        Role::Manager => member.is_some_and(|member| member.voter),
        Role::Worker => member.is_none() && node.is_none_or(|node| node.manager.is_none()),
    }
}

async fn is_worker(client: &Client) -> bool {
    let info = client.local().info(wire::InfoRequest {}).await;
    info.is_ok_and(|info| info.into_inner().state == "worker")
}

fn print(args: &RoleArgs, changes: &[Change]) -> anyhow::Result<()> {
    if args.format == Format::Json {
        return output::json(changes);
    }
    let mut lines = Vec::new();
    for change in changes {
        let Change { hostname, role, .. } = change;
        lines.push(if change.done {
            format!("{hostname} is a {role} now.")
        } else {
            format!("{hostname} is to be a {role}.")
        });
    }
    let before = changes.first().and_then(|change| change.before);
    let after = changes.last().and_then(|change| change.after);
    lines.extend(before.map(|margin| format!("Before: {margin}")));
    lines.extend(after.map(|margin| format!("Now:    {margin}")));
    output::lines(&lines)
}
