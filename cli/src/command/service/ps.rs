//! `weft service ps`.

use crate::command::context::Context;
use crate::command::output::ListArgs;
use crate::command::output::Row;
use crate::command::service::fetch;
use crate::render::task;
use crate::render::task::TaskRow;
use clap::Args;

/// Which services' tasks.
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Services
    #[arg(required = true, value_name = "SERVICE")]
    targets: Vec<String>,
    #[command(flatten)]
    list: ListArgs,
}

impl Row for TaskRow {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// Runs it.
pub(super) async fn run(context: &Context, args: PsArgs) -> anyhow::Result<()> {
    let client = context.connect().await?.reading(args.list.read);
    let mut rows = Vec::new();
    for target in &args.targets {
        rows.extend(fetch::rows(&client, target).await?);
    }
    args.list
        .print(&rows, |rows| task::table(rows, context.now()))
}
