//! `weft daemon`.

use crate::command::value::generic::GenericResource;
use crate::daemon::DaemonConfig;
use crate::daemon::Paths;
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;
use weft_proto::defaults;

/// What a daemon is started with.
#[derive(Debug, Args)]
pub(crate) struct DaemonArgs {
    /// Directory of what survives a reboot: identity, log, tasks
    #[arg(long, value_name = "DIR", default_value = defaults::STATE_DIR)]
    pub(crate) state_dir: PathBuf,
    /// Directory of what does not: socket, namespaces
    #[arg(long, value_name = "DIR", default_value = defaults::RUN_DIR)]
    pub(crate) run_dir: PathBuf,
    /// Name of this node for people [default: the machine's host name]
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// Address that other nodes reach this one at, when it is another one than this node joined
    /// with: IP or IP:PORT
    #[arg(long, value_name = "ADDR")]
    pub(crate) advertise_addr: Option<String>,
    /// Something that this node has and services can reserve, counted; may be repeated
    #[arg(long, value_name = "NAME=COUNT")]
    pub(in crate::command) generic_resource: Vec<GenericResource>,
    /// Control group that those of all tasks are made in
    #[arg(long, value_name = "NAME", env = "WEFT_CGROUP_PARENT", hide = true)]
    pub(crate) cgroup_parent: Option<String>,
}

/// Below the control groups of this machine, unless another daemon runs beside this one.
const CGROUP_PARENT: &str = "weft";

/// Runs until it is told to stop.
pub(crate) async fn run(args: DaemonArgs) -> anyhow::Result<()> {
    let hostname = match args.hostname {
        Some(hostname) => hostname,
        None => nix::unistd::gethostname()
            .context("read this machine's host name")?
            .to_string_lossy()
            .into_owned(),
    };
    crate::daemon::run(DaemonConfig {
        paths: Paths {
            state_dir: args.state_dir,
            run_dir: args.run_dir,
        },
        hostname,
        generic: args
            .generic_resource
            .into_iter()
            .map(|resource| (resource.name.to_string(), resource.count))
            .collect(),
        cgroup_parent: args
            .cgroup_parent
            .unwrap_or_else(|| CGROUP_PARENT.to_owned()),
        advertise_addr: args.advertise_addr,
    })
    .await
}
