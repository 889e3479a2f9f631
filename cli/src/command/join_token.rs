//! `weft cluster join-token`.

use crate::client::Control;
use crate::client::Refused;
use crate::command::context::Context;
use crate::command::output;
use crate::command::output::Format;
use crate::command::output::Row;
use crate::command::value::duration;
use crate::command::value::label::Label;
use crate::render;
use crate::render::join_token::TokenRow;
use anyhow::bail;
use clap::Args;
use clap::Subcommand;
use weft_proto::Role;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// Which token, or what to do with tokens.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "The standing token of a role admits until it is replaced with --rotate, and can be \
                  shown again. With one of --ttl, --uses, --label, --approve or --name another token \
                  is made, as by \"weft cluster join-token create\": it is shown once."
)]
pub(crate) struct JoinTokenArgs {
    #[command(subcommand)]
    command: Option<TokenCommand>,
    /// worker or manager
    #[arg(value_name = "ROLE", required = true)]
    role: Option<Role>,
    /// Make a new standing token first: the old one no longer works
    #[arg(long, conflicts_with_all = ["ttl", "uses", "label", "approve", "name"])]
    rotate: bool,
    #[command(flatten)]
    bounds: Bounds,
    /// Only the token
    #[arg(short, long)]
    quiet: bool,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token for a purpose; it is shown once
    Create(CreateArgs),
    /// List the tokens that were made for a purpose
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Take tokens out of use; nodes that joined with them stay
    Rm(RmArgs),
}

/// What a token is good for.
#[derive(Debug, Args)]
struct Bounds {
    /// How long it admits nodes, like 30m or 24h [default: until it is removed]
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    ttl: Option<u64>,
    /// How many nodes it admits [default: any number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    uses: Option<u32>,
    /// Label for nodes that join with it; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Nodes that join with it wait until somebody runs "weft node accept"
    #[arg(long)]
    approve: bool,
    /// What it is called in the list
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    name: String,
}

impl Bounds {
    fn none(&self) -> bool {
        self.ttl.is_none()
            && self.uses.is_none()
            && self.label.is_empty()
            && !self.approve
            && self.name.is_empty()
    }
}

/// A token to make.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: weft cluster join-token create --role worker --ttl 1h --uses 3 \
                        --label zone=a"
)]
struct CreateArgs {
    /// worker or manager
    #[arg(long, value_name = "ROLE")]
    role: Role,
    #[command(flatten)]
    bounds: Bounds,
    /// Only the token
    #[arg(short, long)]
    quiet: bool,
}

/// How to print it.
#[derive(Debug, Args)]
struct LsArgs {
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Only identifiers, one per line
    #[arg(short, long)]
    quiet: bool,
}

/// Which tokens.
#[derive(Debug, Args)]
struct RmArgs {
    /// Tokens: identifiers, beginnings of them, or names
    #[arg(required = true, value_name = "TOKEN")]
    targets: Vec<String>,
}

impl Row for TokenRow {
    fn id(&self) -> &str {
        &self.id
    }
}

/// A duration that is one.
fn ttl(text: &str) -> Result<u64, String> {
    match duration::millis(text)? {
        0 => Err("is no time at all: leave --ttl out for a token that does not expire".to_owned()),
        millis => Ok(millis),
    }
}

/// Runs it.
pub(super) async fn run(context: &Context, args: JoinTokenArgs) -> anyhow::Result<()> {
    match args.command {
        Some(TokenCommand::Create(args)) => {
            create(context, args.role, args.bounds, args.quiet).await
        }
        Some(TokenCommand::Ls(args)) => ls(context, &args).await,
        Some(TokenCommand::Rm(args)) => rm(context, args).await,
        None => match args.role {
            None => bail!("say whether the token of workers or of managers is meant"),
            Some(role) if args.bounds.none() => {
                standing(context, role, args.rotate, args.quiet).await
            }
            Some(role) => create(context, role, args.bounds, args.quiet).await,
        },
    }
}

/// Shows the token of a role that always works.
async fn standing(context: &Context, role: Role, rotate: bool, quiet: bool) -> anyhow::Result<()> {
    let request = wire::GetJoinTokenRequest {
        request_id: context.request_id(),
        role: wire::NodeRole::from(role).into(),
        rotate,
    };
    let get = |mut control: Control| {
        let request = request.clone();
        async move { control.get_join_token(request).await }
    };
    let answer = context.connect().await?.repeat(get).await?;
    if quiet {
        return output::text(&answer.token);
    }
    let command =
        render::cluster::join_command(&role.to_string(), &answer.token, &answer.manager_addrs);
    if rotate {
        output::text(&format!(
            "The {role} token is new; the old one no longer works.\n\n{command}"
        ))
    } else {
        output::text(&command)
    }
}

async fn create(context: &Context, role: Role, bounds: Bounds, quiet: bool) -> anyhow::Result<()> {
    let request = wire::CreateJoinTokenRequest {
        role: wire::NodeRole::from(role).into(),
        name: bounds.name,
        ttl_ms: bounds.ttl.unwrap_or(0),
        uses: bounds.uses.unwrap_or(0),
        labels: bounds.label.into_iter().map(Into::into).collect(),
        approve: bounds.approve,
    };
    let client = context.connect().await?;
    let answer = client.control().create_join_token(request).await;
    let answer = answer.map_err(Refused::from)?.into_inner();
    if quiet {
        return output::text(&answer.token);
    }
    let made = answer.made.unwrap_or_default();
    let row = render::join_token::row(made, context.now());
    output::text(&format!(
        "{}\n\n{}",
        render::cluster::join_command(&role.to_string(), &answer.token, &answer.manager_addrs),
        render::join_token::made(&row)
    ))
}

async fn ls(context: &Context, args: &LsArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let request = wire::ListJoinTokensRequest {};
    let answer = client.control().list_join_tokens(request).await;
    let answer = answer.map_err(Refused::from)?.into_inner();
    let now = Timestamp::from_millis(answer.now_ms);
    let tokens = answer.tokens.into_iter();
    let rows: Vec<TokenRow> = tokens
        .map(|token| render::join_token::row(token, now))
        .collect();
    match (args.format, args.quiet) {
        (Format::Json, _) => output::json(&rows),
        (Format::Table, true) => output::lines(&rows.iter().map(Row::id).collect::<Vec<_>>()),
        (Format::Table, false) => output::text(&render::join_token::table(&rows, now)),
    }
}

async fn rm(context: &Context, args: RmArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    for target in args.targets {
        let request = wire::RemoveJoinTokenRequest { target };
        let answer = client.control().remove_join_token(request).await;
        output::text(&answer.map_err(Refused::from)?.into_inner().id)?;
    }
    Ok(())
}
