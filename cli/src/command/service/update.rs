//! `weft service update`.
use crate::command::context::Context;
use clap::Args;
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {}
pub(super) async fn run(_: &Context, _: UpdateArgs) -> anyhow::Result<()> {
    Ok(())
}
