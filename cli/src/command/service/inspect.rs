//! `weft service inspect`.

use crate::client::ReadArgs;
use crate::command::context::Context;
use crate::command::network;
use crate::command::output;
use crate::command::output::Format;
use crate::command::service::fetch;
use crate::render::service as render;
use crate::render::service::Counts;
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use weft_proto::NetworkId;
use weft_proto::object::Service;
use weft_proto::time::Timestamp;

/// Which services.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Services
    #[arg(required = true, value_name = "SERVICE")]
    targets: Vec<String>,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    #[command(flatten)]
    read: ReadArgs,
}

/// A service in full. The keys of its JSON do not change.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    service: &'a Service,
    #[serde(flatten)]
    counts: Counts,
    /// When its schedule begins the next run, in milliseconds of Unix time.
    next_run: Option<Timestamp>,
}

/// Runs it.
pub(super) async fn run(context: &Context, args: &InspectArgs) -> anyhow::Result<()> {
    let client = context.connect().await?.reading(args.read);
    let mut services = Vec::new();
    for target in &args.targets {
        services.push(fetch::service(&client, target).await?);
    }
    match args.format {
        Format::Json => {
            let now = context.now();
            let shown = services.iter().map(|(service, counts)| Shown {
                service,
                counts: *counts,
                next_run: render::next_run(service, now),
            });
            output::json(&shown.collect::<Vec<_>>())
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
                .map(|(service, counts)| render::inspect(service, *counts, context.now(), &name));
            output::text(&texts.collect::<Vec<_>>().join("\n\n"))
        }
    }
}
