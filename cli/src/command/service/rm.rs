//! `weft service rm`.

use crate::client::Control;
use crate::command::context::Context;
use crate::command::output;
use crate::command::service::fetch;
use crate::command::service::wait;
use crate::command::service::wait::WaitArgs;
use clap::Args;
use std::collections::BTreeSet;
use weft_proto::NodeId;
use weft_proto::wire;

/// Which services.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Services
    #[arg(required = true, value_name = "SERVICE")]
    targets: Vec<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Runs it.
pub(super) async fn run(context: &Context, args: &RmArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let mut removed = Vec::with_capacity(args.targets.len());
    for target in &args.targets {
        let (service, _) = fetch::service(&client, target).await?;
        let (tasks, _) = fetch::tasks(&client, service.id.as_str()).await?;
        let nodes: BTreeSet<NodeId> = tasks.iter().filter_map(|task| task.node).collect();
        let request = wire::RemoveServiceRequest {
            target: service.id.to_string(),
            request_id: context.request_id(),
        };
        let remove = |mut control: Control| {
            let request = request.clone();
            async move { control.remove_service(request).await }
        };
        client.repeat(remove).await?;
        output::text(target)?;
        removed.push((service, nodes));
    }
    for (service, nodes) in &removed {
        wait::gone(context, &client, &args.wait, service, nodes).await?;
    }
    Ok(())
}
