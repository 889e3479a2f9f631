//! Waiting until a service is as it was asked for.

use crate::client::Client;
use crate::command::context::Context;
use clap::Args;
use weft_proto::object::Service;

/// How long to wait.
#[derive(Debug, Default, Args)]
pub(super) struct WaitArgs {
    /// Return at once; the cluster goes on by itself
    #[arg(short, long)]
    detach: bool,
}
pub(super) async fn converge(
    _: &Context,
    _: &Client,
    _: &WaitArgs,
    _: &Service,
) -> anyhow::Result<()> {
    Ok(())
}
pub(super) async fn gone(_: &Context, _: &Client, _: &WaitArgs, _: &Service) -> anyhow::Result<()> {
    Ok(())
}
