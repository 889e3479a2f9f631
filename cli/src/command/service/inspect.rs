//! `weft service inspect`.

use crate::command::context::Context;
use crate::command::network;
use crate::command::output;
use crate::command::output::Format;
use crate::command::service::fetch;
use crate::render::service as render;
use clap::Args;
use std::collections::BTreeMap;
use weft_proto::NetworkId;
use weft_proto::object::Service;

/// Which services.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Services
    #[arg(required = true, value_name = "SERVICE")]
    targets: Vec<String>,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

/// Runs it.
pub(super) async fn run(context: &Context, args: &InspectArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let mut services = Vec::new();
    for target in &args.targets {
        services.push(fetch::service(&client, target).await?);
    }
    match args.format {
        Format::Json => {
            let services: Vec<&Service> = services.iter().map(|(service, _)| service).collect();
            output::json(&services)
        }
        Format::Table => {
            let networks = network::fetch(&client, "").await?;
            let names: BTreeMap<NetworkId, String> = networks
                .into_iter()
                .map(|network| (network.id, network.spec.name.to_string()))
                .collect();
            let name = |id: &NetworkId| names.get(id).cloned().unwrap_or_else(|| id.to_string());
            let texts = services
                .iter()
                .map(|(service, running)| render::inspect(service, *running, &name));
            output::text(&texts.collect::<Vec<_>>().join("\n\n"))
        }
    }
}
