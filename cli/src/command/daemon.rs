//! `weft daemon`.

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
    /// Control group that those of all tasks are made in
    #[arg(long, value_name = "NAME", env = "WEFT_CGROUP_PARENT", hide = true)]
    pub(crate) cgroup_parent: Option<String>,
}

/// Runs until it is told to stop.
pub(crate) async fn run(args: DaemonArgs) -> anyhow::Result<()> {
    // THE ONE PLACE to put the daemon in:
    //     crate::daemon::run(DaemonConfig {
    //         paths: Paths { state_dir: args.state_dir, run_dir: args.run_dir },
    //         hostname,
    //     })
    let _ = args;
    anyhow::bail!("this build has no daemon")
}
