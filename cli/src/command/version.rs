//! `weft version`.

use crate::client::Refused;
use crate::command::context::Context;
use crate::command::output;
use crate::command::output::Format;
use clap::Args;
use weft_proto::wire;

/// How to print it.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, serde::Serialize)]
struct Versions {
    client: &'static str,
    daemon: Option<String>,
}

/// Prints the version of this program, and that of the daemon where there is one.
pub(super) async fn run(context: &Context, args: &VersionArgs) -> anyhow::Result<()> {
    let daemon = match context.connect().await {
        Ok(client) => {
            let info = client.local().info(wire::InfoRequest {}).await;
            Some(info.map_err(Refused::from)?.into_inner().version)
        }
        Err(_) => None,
    };
    let versions = Versions {
        client: env!("CARGO_PKG_VERSION"),
        daemon,
    };
    match args.format {
        Format::Json => output::json(&versions),
        Format::Table => output::text(&format!(
            "weft {}\ndaemon {}",
            versions.client,
            versions.daemon.as_deref().unwrap_or("not running")
        )),
    }
}
