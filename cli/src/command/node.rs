//! `weft node`.

use crate::client::Client;
use crate::client::Control;
use crate::client::ReadArgs;
use crate::client::Refused;
use crate::command::context::Context;
use crate::command::output;
use crate::command::output::Format;
use crate::command::output::ListArgs;
use crate::command::output::Row;
use crate::command::role;
use crate::command::role::RoleArgs;
use crate::command::value::label::Label;
use crate::render::node as render;
use crate::render::node::Managers;
use crate::render::node::NodeRow;
use crate::render::task;
use anyhow::bail;
use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use weft_proto::Role;
use weft_proto::object::Node;
use weft_proto::object::Task;
use weft_proto::wire;

/// What to do with nodes. Nodes are named by host name, identifier, or the beginning of one.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// List the nodes; * marks the one that answers
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Show nodes in full
    Inspect(InspectArgs),
    /// List the tasks of nodes
    Ps(PsArgs),
    /// Change what a node should do
    Update(UpdateArgs),
    /// Make nodes managers; their tasks go on
    Promote(RoleArgs),
    /// Make managers workers; their tasks go on
    Demote(RoleArgs),
    /// Remove nodes that are gone
    Rm(RmArgs),
    /// Cut nodes off at once that are not to be trusted any more: stolen machines, copied keys
    Revoke(RevokeArgs),
    /// Let nodes in that wait for it, as those do that join with a token made with --approve
    Accept(DecideArgs),
    /// Do not let nodes in that wait for it
    Reject(DecideArgs),
}

/// Which nodes.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Nodes; `self` is the one that answers
    #[arg(required = true, value_name = "NODE")]
    targets: Vec<String>,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    #[command(flatten)]
    read: ReadArgs,
}

/// Which nodes' tasks.
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Nodes [default: self, the one that answers]
    #[arg(value_name = "NODE", default_value = "self", hide_default_value = true)]
    targets: Vec<String>,
    #[command(flatten)]
    list: ListArgs,
}

/// Whether a node gets tasks.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Availability {
    /// Gets tasks
    Active,
    /// Keeps its tasks and gets no new ones
    Pause,
    /// Gives its tasks away
    Drain,
}

impl From<Availability> for wire::Availability {
    fn from(value: Availability) -> Self {
        match value {
            Availability::Active => wire::Availability::Active,
            Availability::Pause => wire::Availability::Pause,
            Availability::Drain => wire::Availability::Drain,
        }
    }
}

/// Changes of a node.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct UpdateArgs {
    /// Node
    #[arg(value_name = "NODE")]
    target: String,
    /// Whether it gets tasks
    #[arg(long, value_enum)]
    availability: Option<Availability>,
    /// Label to put on it, for constraints like node.labels.KEY==VALUE; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    label_add: Vec<Label>,
    /// Label to take off; may be repeated
    #[arg(long, value_name = "KEY")]
    label_rm: Vec<String>,
}

/// Which nodes.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Nodes
    #[arg(required = true, value_name = "NODE")]
    targets: Vec<String>,
    /// Remove also managers and nodes that seem to be there
    #[arg(short, long)]
    force: bool,
}

/// Which nodes.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Nodes; their tasks run elsewhere, and they can only come back as new nodes
    #[arg(required = true, value_name = "NODE")]
    targets: Vec<String>,
}

/// Which waiting nodes.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// Nodes that "weft node ls" shows as pending; compare the identifier with what the node says
    #[arg(required = true, value_name = "NODE")]
    targets: Vec<String>,
}

impl Row for NodeRow {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// Runs it.
pub(super) async fn run(context: &Context, command: NodeCommand) -> anyhow::Result<()> {
    let client = context.connect().await?;
    match command {
        NodeCommand::Ls(list) => {
            let nodes = fetch(&client.reading(list.read)).await?;
            let mut rows = render::rows(&nodes.all, &nodes.managers, &nodes.own);
            rows.extend(render::pending(&nodes.waiting));
            list.print(&rows, |rows| render::table(rows, &nodes.managers))
        }
        NodeCommand::Inspect(args) => inspect(context, &client.reading(args.read), &args).await,
        NodeCommand::Ps(args) => ps(context, &client.reading(args.list.read), args).await,
        NodeCommand::Update(args) => update(context, &client, args).await,
        NodeCommand::Promote(args) => role::run(&client, &args, Role::Manager).await,
        NodeCommand::Demote(args) => role::run(&client, &args, Role::Worker).await,
        NodeCommand::Rm(args) => rm(context, &client, args.targets, args.force, false).await,
        NodeCommand::Revoke(args) => rm(context, &client, args.targets, false, true).await,
        NodeCommand::Accept(args) => decide(&client, args, true).await,
        NodeCommand::Reject(args) => decide(&client, args, false).await,
    }
}

/// All nodes, and what the managers think of each other.
pub(super) struct Nodes {
    pub(super) all: Vec<Node>,
    pub(super) managers: Managers,
    pub(super) own: String,
    /// Machines that wait to be let in.
    pub(super) waiting: Vec<wire::WaitingNode>,
}

/// Asks for all nodes.
pub(super) async fn fetch(client: &Client) -> anyhow::Result<Nodes> {
    let request = wire::ListNodesRequest {
        read: client.read(),
    };
    let answer = client.control().list_nodes(request).await;
    let answer = answer.map_err(Refused::from)?.into_inner();
    client.showed(answer.shown.as_ref());
    let all: Result<_, _> = answer.nodes.into_iter().map(Node::try_from).collect();
    Ok(Nodes {
        all: all?,
        managers: Managers {
            leader: answer.leader_node_id,
            members: answer.members,
        },
        own: answer.self_node_id,
        waiting: answer.waiting,
    })
}

/// The node that is meant, by the same rules as on the managers.
fn find<'a>(nodes: &'a [Node], own: &str, target: &str) -> anyhow::Result<&'a Node> {
    let target = if target == "self" { own } else { target };
    let exact = |node: &&Node| node.id.as_str() == target || node.description.hostname == target;
    let begins = |node: &&Node| !target.is_empty() && node.id.as_str().starts_with(target);
    let mut meant: Vec<&Node> = nodes.iter().filter(exact).collect();
    if meant.is_empty() {
        meant = nodes.iter().filter(begins).collect();
    }
    match meant.as_slice() {
        [node] => Ok(node),
        [] => bail!("there is no node {target:?}: list them with \"weft node ls\""),
        several => {
            let ids: Vec<&str> = several.iter().map(|node| node.id.short()).collect();
            bail!(
                "{target:?} fits several nodes: {}; give an identifier",
                ids.join(", ")
            )
        }
    }
}

async fn inspect(context: &Context, client: &Client, args: &InspectArgs) -> anyhow::Result<()> {
    let nodes = fetch(client).await?;
    let found: Result<Vec<&Node>, _> = args
        .targets
        .iter()
        .map(|target| find(&nodes.all, &nodes.own, target))
        .collect();
    let found = found?;
    match args.format {
        Format::Json => output::json(&found),
        Format::Table => {
            let texts = found
                .iter()
                .map(|node| render::inspect(node, &nodes.managers, context.now()));
            output::text(&texts.collect::<Vec<_>>().join("\n\n"))
        }
    }
}

async fn ps(context: &Context, client: &Client, args: PsArgs) -> anyhow::Result<()> {
    let nodes = fetch(client).await?;
    let mut tasks = Vec::new();
    for target in &args.targets {
        let request = wire::ListTasksRequest {
            service: String::new(),
            node: find(&nodes.all, &nodes.own, target)?.id.to_string(),
            read: client.read(),
        };
        let answer = client.control().list_tasks(request).await;
        let answer = answer.map_err(Refused::from)?.into_inner();
        client.showed(answer.shown.as_ref());
        for task in answer.tasks {
            tasks.push(Task::try_from(task)?);
        }
    }
    let rows = task::rows(&tasks, &task::names(&nodes.all));
    args.list
        .print(&rows, |rows| task::table(rows, context.now()))
}

fn update_request(args: UpdateArgs) -> anyhow::Result<wire::UpdateNodeRequest> {
    if args.availability.is_none() && args.label_add.is_empty() && args.label_rm.is_empty() {
        bail!("nothing to change: give --availability, --label-add or --label-rm");
    }
    let availability = args
        .availability
        .map(|value| wire::Availability::from(value).into());
    Ok(wire::UpdateNodeRequest {
        target: args.target,
        availability,
        add_labels: args.label_add.into_iter().map(Into::into).collect(),
        remove_labels: args.label_rm,
        ..wire::UpdateNodeRequest::default()
    })
}

async fn update(context: &Context, client: &Client, args: UpdateArgs) -> anyhow::Result<()> {
    let request = wire::UpdateNodeRequest {
        request_id: context.request_id(),
        ..update_request(args)?
    };
    let update = |mut control: Control| {
        let request = request.clone();
        async move { control.update_node(request).await }
    };
    let node = client.repeat(update).await?.node;
    output::text(&node.unwrap_or_default().id)
}

async fn decide(client: &Client, args: DecideArgs, accept: bool) -> anyhow::Result<()> {
    for target in args.targets {
        let request = wire::DecideNodeRequest { target, accept };
        let answer = client.control().decide_node(request).await;
        output::text(&answer.map_err(Refused::from)?.into_inner().node_id)?;
    }
    Ok(())
}

async fn rm(
    context: &Context,
    client: &Client,
    targets: Vec<String>,
    force: bool,
    revoke: bool,
) -> anyhow::Result<()> {
    let before = fetch(client).await?;
    let managed = |id: &str| before.managers.members.iter().any(|m| m.node_id == id);
    let mut fewer = false;
    for target in targets {
        let request = wire::RemoveNodeRequest {
            // By its identifier, which is the answer too when this is sent again.
            target: find(&before.all, &before.own, &target)?.id.to_string(),
            force,
            revoke,
            request_id: context.request_id(),
        };
        let remove = |mut control: Control| {
            let request = request.clone();
            async move { control.remove_node(request).await }
        };
        let id = client.repeat(remove).await?.node_id;
        fewer |= managed(&id);
        output::text(&id)?;
    }
    if fewer && let Some(margin) = before.managers.margin() {
        // Beside the identifiers, which scripts read.
        eprintln!("Before: {margin}");
        if let Ok(now) = fetch(client).await {
            // The log's own membership follows within a second.
            let left = |member: &wire::ManagerMember| {
                now.all
                    .iter()
                    .any(|node| node.id.as_str() == member.node_id)
            };
            let mut managers = now.managers.clone();
            managers.members.retain(left);
            if let Some(margin) = managers.margin() {
                eprintln!("Now:    {margin}");
            }
        }
    }
    Ok(())
}
