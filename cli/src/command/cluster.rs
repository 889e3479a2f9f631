//! `weft cluster`.

use crate::client::Client;
use crate::client::Refused;
use crate::command::autolock;
use crate::command::autolock::UnlockArgs;
use crate::command::autolock::UnlockKeyArgs;
use crate::command::ca;
use crate::command::ca::CaArgs;
use crate::command::context::Context;
use crate::command::join_token;
use crate::command::join_token::JoinTokenArgs;
use crate::command::keys;
use crate::command::keys::KeysArgs;
use crate::command::output;
use crate::command::output::Format;
use crate::command::recovery;
use crate::command::recovery::BackupArgs;
use crate::command::recovery::RestoreArgs;
use crate::command::recovery::UpdateAddrArgs;
use crate::command::settings;
use crate::command::settings::UpdateArgs;
use crate::render;
use clap::Args;
use clap::Subcommand;
use ipnet::IpNet;
use std::time::Duration;
use tokio::time::sleep;
use weft_proto::wire;
use zeroize::Zeroizing;

/// How often is asked whether somebody let this node in.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Make a cluster, with this node as its first manager
    Init(InitArgs),
    /// Join a cluster; the token decides whether as a worker or a manager. On a node whose certificate
    /// has expired: renew it
    Join(JoinArgs),
    /// Leave the cluster
    Leave(LeaveArgs),
    /// Print how to join as a worker or as a manager; make, list and remove join tokens
    JoinToken(JoinTokenArgs),
    /// Show the keys of encrypted networks, or make a new one
    Keys(KeysArgs),
    /// Show this node's place in the cluster, and the cluster's settings
    Info(InfoArgs),
    /// Write the cluster's whole state to a file, while it runs; on a manager
    Backup(BackupArgs),
    /// Make a cluster out of a backup, with this node as its only manager
    Restore(RestoreArgs),
    /// Change what is set for the whole cluster
    Update(UpdateArgs),
    /// Open this manager's disk, which is locked after a restart
    Unlock(UnlockArgs),
    /// Print what managers are unlocked with
    UnlockKey(UnlockKeyArgs),
    /// Say that this node is reached at another address from now on
    UpdateAddr(UpdateAddrArgs),
    /// Show the root of all certificates, or change to another one while everything runs
    Ca(CaArgs),
}

/// How others reach this node.
#[derive(Debug, Args)]
pub(super) struct AddressArgs {
    /// Address that other nodes reach this one at: IP or IP:PORT [default: the only one, port 2377]
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) advertise_addr: String,
    /// Address that other nodes send the traffic of tasks to: IP [default: the advertised one]
    #[arg(long, value_name = "IP", default_value = "", hide_default_value = true)]
    pub(super) data_path_addr: String,
}

/// A new cluster.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    address: AddressArgs,
    /// Addresses that subnets of networks are cut from; may be repeated [default: 10.0.0.0/9]
    #[arg(long, value_name = "CIDR")]
    default_addr_pool: Vec<IpNet>,
    /// Addresses of tasks towards the outside, a /24 per node [default: 10.255.0.0/16]
    #[arg(long, value_name = "CIDR")]
    ingress_addr_pool: Option<IpNet>,
    /// On a manager whose cluster lost its majority for good: go on alone with all it has. The other
    /// managers are members no more
    #[arg(long, conflicts_with_all = ["default_addr_pool", "ingress_addr_pool", "data_path_addr"])]
    force_new_cluster: bool,
    /// Lock managers after a restart: their disks are of no use without the unlock key, which is
    /// printed once
    #[arg(long, conflicts_with = "force_new_cluster")]
    autolock: bool,
}

/// A cluster to join.
#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    #[command(flatten)]
    address: AddressArgs,
    /// The secret printed by `weft cluster join-token` on a manager
    #[arg(long, value_name = "TOKEN")]
    token: String,
    /// A manager to join through: HOST or HOST:PORT [default port: 2377]
    #[arg(value_name = "MANAGER")]
    remote: String,
}

/// How to leave.
#[derive(Debug, Args)]
pub(crate) struct LeaveArgs {
    /// Leave also where the cluster may lose its quorum or cannot be told
    #[arg(short, long)]
    force: bool,
}

/// How to print it.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs it.
pub(super) async fn run(context: &Context, command: ClusterCommand) -> anyhow::Result<()> {
    match command {
        ClusterCommand::Init(args) => init(context, args).await,
        ClusterCommand::Join(args) => join(context, args).await,
        ClusterCommand::Leave(args) => leave(context, &args).await,
        ClusterCommand::JoinToken(args) => join_token::run(context, args).await,
        ClusterCommand::Keys(args) => keys::run(context, &args).await,
        ClusterCommand::Info(args) => info(context, &args).await,
        ClusterCommand::Backup(args) => recovery::backup(context, &args).await,
        ClusterCommand::Restore(args) => recovery::restore(context, args).await,
        ClusterCommand::Unlock(args) => autolock::unlock(context, &args).await,
        ClusterCommand::UnlockKey(args) => autolock::unlock_key(context, &args).await,
        ClusterCommand::UpdateAddr(args) => recovery::update_addr(context, args).await,
        ClusterCommand::Update(args) => settings::run(context, &args).await,
        ClusterCommand::Ca(args) => ca::run(context, &args).await,
    }
}

fn init_request(args: InitArgs) -> wire::InitRequest {
    let pools = args.default_addr_pool.iter().map(ToString::to_string);
    let ingress = args.ingress_addr_pool.map(|pool| pool.to_string());
    wire::InitRequest {
        advertise_addr: args.address.advertise_addr,
        data_path_addr: args.address.data_path_addr,
        address_pools: pools.collect(),
        ingress_pool: ingress.unwrap_or_default(),
        force_new_cluster: args.force_new_cluster,
        autolock: args.autolock,
    }
}

/// `weft init` too.
pub(super) async fn init(context: &Context, args: InitArgs) -> anyhow::Result<()> {
    let recovered = args.force_new_cluster;
    let request = init_request(args);
    let answer = context.connect().await?.local().init(request).await;
    let made = answer.map_err(Refused::from)?.into_inner();
    if recovered {
        return output::text(&render::cluster::recovered(&made.fenced, &made.addr));
    }
    output::text(&render::cluster::initialised(
        &made.node_id,
        &made.worker_token,
        &made.addr,
        &Zeroizing::new(made.unlock_key),
    ))
}

/// `weft join` too.
pub(super) async fn join(context: &Context, args: JoinArgs) -> anyhow::Result<()> {
    let request = wire::JoinRequest {
        token: args.token,
        remote_addr: args.remote,
        advertise_addr: args.address.advertise_addr,
        data_path_addr: args.address.data_path_addr,
    };
    let client = context.connect().await?;
    let mut told = false;
    let joined = loop {
        let answer = client.local().join(request.clone()).await;
        let answer = answer.map_err(Refused::from)?.into_inner();
        if !answer.waits {
            break answer;
        }
        if !told {
            eprintln!("{}", render::cluster::waits(&answer.node_id));
            told = true;
        }
        sleep(ASK_AGAIN).await;
    };
    let role = match joined.role() {
        wire::NodeRole::Manager => "manager",
        wire::NodeRole::Worker | wire::NodeRole::Unspecified => "worker",
    };
    if joined.again {
        return output::text(&format!(
            "This node's certificate is renewed: it goes on as the {role} that it was."
        ));
    }
    output::text(&format!("This node joined the cluster as a {role}."))
}

/// `weft leave` too.
pub(super) async fn leave(context: &Context, args: &LeaveArgs) -> anyhow::Result<()> {
    let request = wire::LeaveRequest { force: args.force };
    let answer = context.connect().await?.local().leave(request).await;
    let note = answer.map_err(Refused::from)?.into_inner().note;
    if note.is_empty() {
        return output::text("This node left the cluster.");
    }
    output::text(&format!(
        "This node left the cluster, which has {note} now."
    ))
}

/// What a manager says; there is no node here to have a place.
async fn info_from_afar(client: &Client, args: &InfoArgs) -> anyhow::Result<()> {
    let answer = client
        .control()
        .get_cluster(wire::GetClusterRequest::default())
        .await;
    let cluster = answer.map_err(Refused::from)?.into_inner();
    let local = wire::InfoResponse {
        state: "remote".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster_id: cluster.id.clone(),
        leader_node_id: cluster.leader_node_id.clone(),
        manager_addrs: cluster
            .members
            .iter()
            .map(|member| member.addr.clone())
            .collect(),
        ..wire::InfoResponse::default()
    };
    let info = render::cluster::info(local, Some(cluster));
    match args.format {
        Format::Json => output::json(&info),
        Format::Table => output::text(&render::cluster::text(&info)),
    }
}

async fn info(context: &Context, args: &InfoArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    if context.chosen()?.is_some() {
        return info_from_afar(&client, args).await;
    }
    let local = client.local().info(wire::InfoRequest {}).await;
    let local = local.map_err(Refused::from)?.into_inner();
    // A manager without a leader still knows its place; what it cannot say is left out.
    let cluster = match local.state.as_str() {
        "manager" => client
            .control()
            .get_cluster(wire::GetClusterRequest::default())
            .await
            .ok(),
        _ => None,
    };
    let info = render::cluster::info(local, cluster.map(tonic::Response::into_inner));
    match args.format {
        Format::Json => output::json(&info),
        Format::Table => output::text(&render::cluster::text(&info)),
    }
}
