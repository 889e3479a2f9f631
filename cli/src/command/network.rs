//! `weft network`.

use crate::client::Client;
use crate::client::Control;
use crate::client::ReadArgs;
use crate::client::Refused;
use crate::command::context::Context;
use crate::command::output;
use crate::command::output::Format;
use crate::command::output::ListArgs;
use crate::command::output::Row;
use crate::command::value::label::Label;
use crate::render::network as render;
use crate::render::network::NetworkRow;
use anyhow::bail;
use clap::Args;
use clap::Subcommand;
use ipnet::IpNet;
use weft_proto::Name;
use weft_proto::defaults;
use weft_proto::object::Network;
use weft_proto::wire;

/// What to do with networks. Networks are named by name, identifier, or the beginning of one.
#[derive(Debug, Subcommand)]
pub(crate) enum NetworkCommand {
    /// Make an overlay network
    Create(CreateArgs),
    /// List the networks
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Show networks in full
    Inspect(InspectArgs),
    /// Remove networks that no service uses
    Rm(RmArgs),
}

/// A new network.
#[derive(Debug, Args)]
#[command(after_help = "Example: weft network create --subnet 10.1.2.0/24 backend")]
pub(crate) struct CreateArgs {
    /// Name: 1 to 63 lower-case letters, digits and '-'
    #[arg(value_name = "NAME")]
    name: Name,
    /// Addresses of its tasks [default: a free /24 of the cluster's pools]
    #[arg(long, value_name = "CIDR")]
    subnet: Option<IpNet>,
    /// No way out of the cluster for tasks that are on internal networks only
    #[arg(long)]
    internal: bool,
    /// Containers started by hand may attach
    #[arg(long)]
    attachable: bool,
    /// Free label; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Kind of network: overlay is all there is
    #[arg(short, long, value_name = "DRIVER", default_value = OVERLAY)]
    driver: String,
    /// Option of the driver: encrypted=true or encrypted=false, between nodes
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
}

const OVERLAY: &str = "overlay";

/// Which networks.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Networks
    #[arg(required = true, value_name = "NETWORK")]
    targets: Vec<String>,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    #[command(flatten)]
    read: ReadArgs,
}

/// Which networks.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Networks
    #[arg(required = true, value_name = "NETWORK")]
    targets: Vec<String>,
}

impl Row for NetworkRow {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// Runs it.
pub(super) async fn run(context: &Context, command: NetworkCommand) -> anyhow::Result<()> {
    match command {
        // What is refused without a manager is refused before one is looked for.
        NetworkCommand::Create(args) => create(context, spec(args)?).await,
        NetworkCommand::Ls(list) => {
            let client = context.connect().await?.reading(list.read);
            let rows = render::rows(&fetch(&client, "").await?);
            list.print(&rows, render::table)
        }
        NetworkCommand::Inspect(args) => inspect(context, &args).await,
        NetworkCommand::Rm(args) => rm(context, args).await,
    }
}

/// The network that the flags ask for.
fn spec(args: CreateArgs) -> anyhow::Result<wire::NetworkSpec> {
    if args.driver != OVERLAY {
        bail!(
            "there is no network driver {:?}: leave --driver out, all networks are overlays",
            args.driver
        );
    }
    let mut encrypted = defaults::NETWORK_ENCRYPTED;
    for option in &args.opt {
        match option.split_once('=').unwrap_or((option, "true")) {
            ("encrypted", "false" | "0") => encrypted = false,
            // A manager knows whether there are nodes that can.
            ("encrypted", "true" | "1" | "") => encrypted = true,
            ("encrypted", value) => bail!(
                "--opt encrypted={value:?} says neither yes nor no: use encrypted=true or \
                 encrypted=false; nothing was created"
            ),
            (key, _) => bail!("overlay networks have no option {key:?}: nothing was created"),
        }
    }
    Ok(wire::NetworkSpec {
        name: args.name.to_string(),
        labels: args.label.into_iter().map(Into::into).collect(),
        subnet: args.subnet.map(|net| net.to_string()).unwrap_or_default(),
        internal: args.internal,
        attachable: args.attachable,
        encrypted,
    })
}

async fn create(context: &Context, spec: wire::NetworkSpec) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let request = wire::CreateNetworkRequest {
        spec: Some(spec),
        request_id: context.request_id(),
    };
    let create = |mut control: Control| {
        let request = request.clone();
        async move { control.create_network(request).await }
    };
    let network = client.repeat(create).await?.network;
    output::text(&network.unwrap_or_default().id)
}

/// The network that is meant; all with an empty target.
pub(super) async fn fetch(client: &Client, target: &str) -> anyhow::Result<Vec<Network>> {
    let request = wire::ListNetworksRequest {
        target: target.to_owned(),
        read: client.read(),
    };
    let answer = client.control().list_networks(request).await;
    let answer = answer.map_err(Refused::from)?.into_inner();
    client.showed(answer.shown.as_ref());
    let networks = answer.networks;
    let networks: Result<_, _> = networks.into_iter().map(Network::try_from).collect();
    Ok(networks?)
}

async fn inspect(context: &Context, args: &InspectArgs) -> anyhow::Result<()> {
    let client = context.connect().await?.reading(args.read);
    let mut networks = Vec::new();
    for target in &args.targets {
        networks.extend(fetch(&client, target).await?);
    }
    match args.format {
        Format::Json => output::json(&networks),
        Format::Table => {
            let texts: Vec<String> = networks.iter().map(render::inspect).collect();
            output::text(&texts.join("\n\n"))
        }
    }
}

async fn rm(context: &Context, args: RmArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    for target in args.targets {
        // By its identifier, which is the answer too when this is sent again.
        let found = fetch(&client, &target).await?;
        let target = found.first().map_or(target, |found| found.id.to_string());
        let request = wire::RemoveNetworkRequest {
            target,
            request_id: context.request_id(),
        };
        let remove = |mut control: Control| {
            let request = request.clone();
            async move { control.remove_network(request).await }
        };
        output::text(&client.repeat(remove).await?.network_id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Cli;
    use clap::Parser;

    fn parsed(line: &str) -> Result<wire::NetworkSpec, String> {
        let words = ["weft", "network", "create"]
            .into_iter()
            .chain(line.split(' '));
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        let crate::command::Command::Network(NetworkCommand::Create(args)) = cli.command else {
            panic!("not network create");
        };
        spec(args).map_err(|error| error.to_string())
    }

    #[test]
    fn every_flag_reaches_the_spec() {
        let spec = parsed(
            "--subnet 10.1.2.0/24 --internal --attachable --label a=b --label c \
             --driver overlay --opt encrypted=false net-1",
        );
        let label = |key: &str, value: &str| wire::Label {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        assert_eq!(
            spec,
            Ok(wire::NetworkSpec {
                name: "net-1".to_owned(),
                labels: vec![label("a", "b"), label("c", "")],
                subnet: "10.1.2.0/24".to_owned(),
                internal: true,
                attachable: true,
                encrypted: false,
            })
        );
    }

    #[test]
    fn a_network_is_as_encrypted_as_was_said_last() {
        let encrypted = |line: &str| parsed(line).map(|spec| spec.encrypted);
        assert_eq!(encrypted("net"), Ok(defaults::NETWORK_ENCRYPTED));
        assert_eq!(encrypted("--opt encrypted net"), Ok(true));
        assert_eq!(encrypted("--opt encrypted= net"), Ok(true));
        assert_eq!(encrypted("-o encrypted=true -o encrypted=0 net"), Ok(false));
    }

    #[test]
    fn what_cannot_be_had_is_refused_by_name() {
        for (line, text) in [
            ("--opt encrypted=maybe net", "nothing was created"),
            ("--opt mtu=9000 net", "no option \"mtu\""),
            (
                "--driver macvlan net",
                "there is no network driver \"macvlan\"",
            ),
            ("--subnet 10.1.2.0/99 net", "--subnet"),
            ("--bogus net", "--bogus"),
            ("Net", "cannot be a name"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(text), "{line}: {error}");
        }
    }
}
