//! `weft audit`.

use crate::client::Client;
use crate::client::Refused;
use crate::command::context::Context;
use crate::command::output;
use crate::command::output::Format;
use crate::command::value::duration;
use crate::render::audit as render;
use crate::render::audit::AuditRow;
use clap::Args;
use std::time::Duration;
use tokio::time::sleep;
use weft_proto::wire;

/// How often a follower asks. Changes of people are rare, and nobody waits for them in a hurry.
const FOLLOW: Duration = Duration::from_secs(1);

/// Which changes.
#[derive(Debug, Args)]
#[command(after_help = "The cluster remembers the last 10000 changes.\n\
                  Example: weft audit --since 24h --actor user/alice")]
pub(crate) struct AuditArgs {
    /// Only changes of the last such time: 90m, 24h, 7d
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    since: Option<u64>,
    /// Only changes of those whose identity has this in it: user/alice, local, worker
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    actor: String,
    /// The newest so many; 0: all that the cluster remembers
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: u32,
    /// Go on with changes as they are made, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Show what the answering manager has, at once and also without a leader
    #[arg(long)]
    stale: bool,
    /// How to write the changes: with --follow, json writes one object per line
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs it.
pub(super) async fn run(context: &Context, args: &AuditArgs) -> anyhow::Result<()> {
    let since = args.since.and_then(|millis| i64::try_from(millis).ok());
    let since_ms = since.map_or(0, |ago| context.now().as_millis().saturating_sub(ago));
    let mut request = wire::ListAuditRequest {
        since_ms,
        actor: args.actor.clone(),
        limit: args.limit,
        after_revision: 0,
        stale: args.stale,
    };
    let client = context.connect().await?;
    let rows = fetch(&client, &mut request).await?;
    if !args.follow {
        return match args.format {
            Format::Json => output::json(&rows),
            Format::Table => output::text(&render::table(&rows)),
        };
    }
    lines(args.format, &rows)?;
    // From here on nothing may be left out.
    request.limit = 0;
    loop {
        sleep(FOLLOW).await;
        match fetch(&client, &mut request).await {
            Ok(rows) => lines(args.format, &rows)?,
            // An election, or a daemon that starts anew.
            Err(refused) if refused.is_passing() || refused.is_broken() => {}
            Err(refused) => return Err(refused.into()),
        }
    }
}

/// What was asked for; asks for what comes after it the next time.
async fn fetch(
    client: &Client,
    request: &mut wire::ListAuditRequest,
) -> Result<Vec<AuditRow>, Refused> {
    let answer = client.control().list_audit(request.clone()).await;
    let answer = answer.map_err(Refused::from)?.into_inner();
    request.after_revision = request.after_revision.max(answer.revision);
    Ok(render::rows(answer.records))
}

fn lines(format: Format, rows: &[AuditRow]) -> anyhow::Result<()> {
    let lines: Vec<String> = match format {
        Format::Table => rows.iter().map(render::line).collect(),
        Format::Json => rows
            .iter()
            .map(serde_json::to_string)
            .collect::<Result<_, _>>()?,
    };
    output::lines(&lines)
}
