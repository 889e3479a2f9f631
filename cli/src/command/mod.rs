//! What a user can type, one module per noun.

mod audit;
mod cluster;
mod completion;
mod context;
mod contexts;
mod daemon;
mod demo;
mod events;
mod join_token;
mod keys;
mod material;
mod network;
mod node;
mod output;
mod recovery;
mod role;
mod service;
#[cfg(test)]
pub(crate) mod test_objects;
mod user;
mod value;
mod version;

use crate::client::Unreachable;
use crate::config;
use crate::config::Cli;
use crate::config::Where;
use crate::whoami;
use anyhow::Context as _;
use clap::Subcommand;
use context::Context;
use std::io;
use std::process::ExitCode;
use std::time::SystemTime;
use tracing_subscriber::EnvFilter;
use weft_proto::spec::MaterialKind;
use weft_proto::time::Clock;
use weft_proto::time::SystemClock;

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon: one per machine, in the foreground
    Daemon(daemon::DaemonArgs),
    /// Make, join, leave and look at the cluster
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Nodes: the machines of the cluster
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Overlay networks
    #[command(subcommand)]
    Network(network::NetworkCommand),
    /// Secrets: data that only tasks see, as files in memory
    #[command(subcommand)]
    Secret(material::MaterialCommand),
    /// Configs: files that the cluster gives to tasks
    #[command(subcommand)]
    Config(material::MaterialCommand),
    /// Services: what the cluster runs
    #[command(subcommand)]
    Service(Box<service::ServiceCommand>),
    /// Tell every change of the cluster as it happens
    Events(events::EventsArgs),
    /// Tell who changed what
    Audit(audit::AuditArgs),
    /// People who use the cluster from their own machines
    #[command(subcommand)]
    User(user::UserCommand),
    /// Clusters that this person uses from afar
    #[command(subcommand)]
    Context(contexts::ContextCommand),
    /// The same as `weft cluster init`
    Init(cluster::InitArgs),
    /// The same as `weft cluster join`
    Join(cluster::JoinArgs),
    /// The same as `weft cluster leave`
    Leave(cluster::LeaveArgs),
    /// A whole cluster on this one machine, in network namespaces
    #[command(subcommand)]
    Demo(demo::DemoCommand),
    /// A small HTTP, TCP and UDP server that says who answered
    Whoami(whoami::WhoamiArgs),
    /// Print a script that completes commands in a shell
    Completion(completion::CompletionArgs),
    /// Versions of this program and of the daemon
    Version(version::VersionArgs),
}

/// Ended by Ctrl-C, after the user was told what goes on without them.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Interrupted(String);

/// The code of a shell for a process ended by SIGINT.
const INTERRUPTED: u8 = 130;

/// Runs what was asked for.
///
/// # Errors
/// What to print; see [`report`].
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let context = Context::new(Where {
        socket: cli.socket,
        context: cli.context,
        config_dir: config::config_dir(),
    });
    match cli.command {
        Command::Daemon(args) => {
            log_to_stderr(&cli.log)?;
            many_threads()?.block_on(daemon::run(args))?;
        }
        Command::Whoami(args) => {
            log_to_stderr(&cli.log)?;
            many_threads()?.block_on(whoami::serve(args))?;
        }
        Command::Demo(command) => return demo::run(command),
        Command::Completion(args) => completion::run(&args)?,
        Command::Version(args) => one_thread()?.block_on(version::run(&context, &args))?,
        Command::Cluster(command) => one_thread()?.block_on(cluster::run(&context, command))?,
        Command::Init(args) => one_thread()?.block_on(cluster::init(&context, args))?,
        Command::Join(args) => one_thread()?.block_on(cluster::join(&context, args))?,
        Command::Leave(args) => one_thread()?.block_on(cluster::leave(&context, &args))?,
        Command::Node(command) => one_thread()?.block_on(node::run(&context, command))?,
        Command::Network(command) => one_thread()?.block_on(network::run(&context, command))?,
        Command::Audit(args) => one_thread()?.block_on(audit::run(&context, &args))?,
        Command::User(command) => one_thread()?.block_on(user::run(&context, command))?,
        Command::Context(command) => contexts::run(&context, command)?,
        Command::Secret(command) => {
            one_thread()?.block_on(material::run(&context, MaterialKind::Secret, command))?;
        }
        Command::Config(command) => {
            one_thread()?.block_on(material::run(&context, MaterialKind::Config, command))?;
        }
        Command::Events(args) => one_thread()?.block_on(events::run(&context, &args))?,
        Command::Service(command) => one_thread()?.block_on(service::run(&context, *command))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells the user, and chooses the exit code: 1 for everything that was refused or failed (2 is
/// for command lines that make no sense, and given before it comes to this).
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    // `weft ... | head` is no failure.
    let pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<io::Error>().is_some_and(pipe) {
        return ExitCode::SUCCESS;
    }
    eprintln!("{}", message(error));
    if error.is::<Interrupted>() {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::FAILURE
    }
}

fn message(error: &anyhow::Error) -> String {
    if error.is::<Unreachable>() || error.is::<Interrupted>() {
        error.to_string()
    } else {
        format!("weft: {error:#}")
    }
}

/// The time of this machine, for rooms that take a plain function.
pub(crate) fn wall_clock() -> SystemTime {
    SystemClock.now()
}

fn one_thread() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")
}

fn many_threads() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start")
}

/// Lines for journals: no colours, on standard error.
fn log_to_stderr(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("{filter:?} is no log filter: use info or weft=debug,info"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        .init();
    Ok(())
}
