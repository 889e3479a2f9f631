//! `weft service`.

mod create;
mod fetch;
mod flags;
mod health;
mod inspect;
mod logs;
mod ls;
mod meter;
mod progress;
mod ps;
mod rm;
mod roll;
mod rollback;
mod scale;
mod update;
mod wait;

use crate::command::context::Context;
use crate::command::output::ListArgs;
use clap::Subcommand;

/// What to do with services. Services are named by name, identifier, or the beginning of one.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Run a command on the cluster
    Create(Box<create::CreateArgs>),
    /// Change a service; its tasks roll over where that is needed
    Update(Box<rollback::UpdateOrRollback>),
    /// Return a service to its spec before the last change; how many tasks it has stays
    Rollback(rollback::RollbackArgs),
    /// Change how many tasks services have
    Scale(scale::ScaleArgs),
    /// List the services
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// List the tasks of services, with what they wait for
    Ps(ps::PsArgs),
    /// Show services in full
    Inspect(inspect::InspectArgs),
    /// Print what the tasks of a service, or a single task, wrote
    Logs(logs::LogsArgs),
    /// Remove services
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
}

/// Runs it.
pub(super) async fn run(context: &Context, command: ServiceCommand) -> anyhow::Result<()> {
    match command {
        ServiceCommand::Create(args) => create::run(context, *args).await,
        ServiceCommand::Update(args) => rollback::update(context, *args).await,
        ServiceCommand::Rollback(args) => rollback::run(context, &args).await,
        ServiceCommand::Scale(args) => scale::run(context, &args).await,
        ServiceCommand::Ls(list) => ls::run(context, list).await,
        ServiceCommand::Ps(args) => ps::run(context, args).await,
        ServiceCommand::Inspect(args) => inspect::run(context, &args).await,
        ServiceCommand::Logs(args) => logs::run(context, args).await,
        ServiceCommand::Rm(args) => rm::run(context, &args).await,
    }
}
