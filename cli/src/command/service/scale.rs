//! `weft service scale`.

use crate::client::Control;
use crate::command::context::Context;
use crate::command::service::fetch;
use crate::command::service::wait;
use crate::command::service::wait::WaitArgs;
use crate::command::value::amount;
use anyhow::bail;
use clap::Args;
use std::str::FromStr;
use weft_proto::object::Service;
use weft_proto::wire;

/// How many tasks which services should have.
#[derive(Debug, Args)]
#[command(after_help = "Example: weft service scale web=5 api=2")]
pub(crate) struct ScaleArgs {
    /// Service and its number of tasks
    #[arg(required = true, value_name = "SERVICE=N")]
    targets: Vec<Scale>,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Scale {
    service: String,
    replicas: u32,
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, replicas) = text
            .split_once('=')
            .filter(|(service, _)| !service.is_empty())
            .ok_or("does not say how many: write SERVICE=N")?;
        let replicas = amount::replicas(replicas).map_err(|error| format!("{replicas} {error}"))?;
        Ok(Scale {
            service: service.to_owned(),
            replicas,
        })
    }
}

/// Runs it.
pub(super) async fn run(context: &Context, args: &ScaleArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let mut changed = Vec::with_capacity(args.targets.len());
    for Scale { service, replicas } in &args.targets {
        let (old, _) = fetch::service(&client, service).await?;
        let mut spec = wire::ServiceSpec::from(&old.spec);
        match (&mut spec.replicated, &mut spec.replicated_job) {
            (Some(mode), _) => mode.replicas = *replicas,
            (None, Some(mode)) => mode.completions = *replicas,
            (None, None) => bail!(
                "service {} is {}: it has one task on every node that may run it, and cannot be \
                 scaled",
                old.spec.name,
                old.spec.mode
            ),
        }
        let request = wire::UpdateServiceRequest {
            target: old.id.to_string(),
            version: old.meta.version,
            spec: Some(spec),
            request_id: context.request_id(),
        };
        let update = |mut control: Control| {
            let request = request.clone();
            async move { control.update_service(request).await }
        };
        let service = client.repeat(update).await?.service;
        changed.push(Service::try_from(service.unwrap_or_default())?);
        crate::command::output::text(&format!("{} scaled to {replicas}", old.spec.name))?;
    }
    for service in &changed {
        wait::converge(context, &client, &args.wait, service).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_scaled_to_a_number() {
        let scale = |text: &str| text.parse::<Scale>();
        assert_eq!(
            scale("web=3"),
            Ok(Scale {
                service: "web".to_owned(),
                replicas: 3
            })
        );
        for bad in ["web", "=3", "web=", "web=-1", "web=many", "web=10001"] {
            assert!(scale(bad).is_err(), "{bad}");
        }
    }
}
