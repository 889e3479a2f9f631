//! `weft cluster update`.

use crate::client::Control;
use crate::command::autolock::AutolockArgs;
use crate::command::context::Context;
use crate::command::output;
use crate::command::value::duration;
use clap::Args;
use weft_proto::wire;

/// Settings of the cluster.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct UpdateArgs {
    /// How long certificates of nodes are valid, 1h to 2160h (90 days); all nodes get new ones when
    /// it becomes shorter
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    cert_ttl: Option<u64>,
    /// Allow lives of seconds; for tests of weft itself
    #[arg(long, hide = true, requires = "cert_ttl")]
    development: bool,
    #[command(flatten)]
    autolock: AutolockArgs,
}

/// What is asked for, if it is; other settings have calls of their own.
fn request(args: &UpdateArgs) -> Option<wire::UpdateClusterRequest> {
    args.cert_ttl.map(|ttl| wire::UpdateClusterRequest {
        certificate_ttl_ms: Some(ttl),
        development: args.development,
        ..wire::UpdateClusterRequest::default()
    })
}

/// Runs it.
pub(super) async fn run(context: &Context, args: &UpdateArgs) -> anyhow::Result<()> {
    if let Some(request) = request(args) {
        let request = wire::UpdateClusterRequest {
            request_id: context.request_id(),
            ..request
        };
        let client = context.connect().await?;
        let update = |mut control: Control| {
            let request = request.clone();
            async move { control.update_cluster(request).await }
        };
        client.repeat(update).await?;
        output::text("The cluster is updated.")?;
    }
    match args.autolock.apply(context).await? {
        Some(told) => output::text(&told),
        None => Ok(()),
    }
}
