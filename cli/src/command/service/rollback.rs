//! `weft service rollback`, and `weft service update --rollback`.

use crate::client::Control;
use crate::command::context::Context;
use crate::command::output;
use crate::command::service::update;
use crate::command::service::update::UpdateArgs;
use crate::command::service::wait;
use crate::command::service::wait::WaitArgs;
use clap::Args;
use weft_proto::object::Service;
use weft_proto::wire;

/// Which service goes back.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// Service
    #[arg(value_name = "SERVICE")]
    target: String,
    #[command(flatten)]
    wait: WaitArgs,
}

/// A change of a service, or its return to what it was before.
#[derive(Debug, Args)]
pub(crate) struct UpdateOrRollback {
    #[command(flatten)]
    pub(super) update: UpdateArgs,
    /// Return to the spec before the last change, as \"weft service rollback\" does; other changes
    /// are not made
    #[arg(long)]
    rollback: bool,
}

/// Runs `update`.
pub(super) async fn update(context: &Context, args: UpdateOrRollback) -> anyhow::Result<()> {
    if !args.rollback {
        return update::run(context, args.update).await;
    }
    let (target, wait) = args.update.without_changes();
    run(context, &RollbackArgs { target, wait }).await
}

/// Runs `rollback`.
pub(super) async fn run(context: &Context, args: &RollbackArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let request = wire::RollbackServiceRequest {
        target: args.target.clone(),
        version: 0,
        request_id: context.request_id(),
    };
    let rollback = |mut control: Control| {
        let request = request.clone();
        async move { control.rollback_service(request).await }
    };
    let service = client.repeat(rollback).await?.service;
    let service = Service::try_from(service.unwrap_or_default())?;
    output::text(service.id.as_str())?;
    wait::converge(context, &client, &args.wait, &service).await
}
