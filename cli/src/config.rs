//! Flags and environment: the only place that reads either.

use crate::command::Command;
use clap::Parser;
use std::ffi::OsString;
use std::path::PathBuf;
use weft_proto::Name;
use weft_proto::defaults;
use weft_worker::runtime::shim::SHIM;
use weft_worker::runtime::shim::TASK_EXEC;
use weft_worker::runtime::shim::TASK_INIT;

/// The command line as a whole.
#[derive(Debug, Parser)]
#[command(
    name = "weft",
    version,
    about = "Turns Linux machines into one cluster",
    propagate_version = false,
    disable_help_subcommand = true,
    max_term_width = 120
)]
pub(crate) struct Cli {
    /// Socket of the daemon to talk to [default: /run/weft/weft.sock]
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "PATH",
        env = "WEFT_SOCKET",
        hide_env_values = true
    )]
    pub(crate) socket: Option<PathBuf>,
    /// Cluster to talk to from afar, as `weft context ls` names it; `local` is the socket [default: what
    /// `weft context use` chose]
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "CONTEXT",
        env = "WEFT_CONTEXT",
        hide_env_values = true
    )]
    pub(crate) context: Option<Name>,
    /// Which log lines of a daemon or server are written: error, warn, info, debug, trace, or a
    /// filter like weft_manager=debug,info
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "FILTER",
        env = "WEFT_LOG",
        default_value = "info",
        hide_env_values = true
    )]
    pub(crate) log: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Whom commands talk to, as far as was said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Where {
    pub(crate) socket: Option<PathBuf>,
    pub(crate) context: Option<Name>,
    /// Where this person's contexts are; `None` when the environment names no home.
    pub(crate) config_dir: Option<PathBuf>,
}

/// Where the daemon listens unless it is told otherwise.
pub(crate) fn default_socket() -> PathBuf {
    PathBuf::from(defaults::RUN_DIR).join(defaults::SOCKET_NAME)
}

/// The command line of this process. Ends the process with code 2 and a message if it is wrong,
/// and with code 0 after `--help`.
pub(crate) fn parse() -> Cli {
    Cli::parse()
}

/// The arguments, if this process was started by a daemon as part of a task.
pub(crate) fn task_process() -> Option<impl Iterator<Item = OsString>> {
    let mut args = std::env::args_os().skip(1).peekable();
    let verb = args.peek()?;
    [SHIM, TASK_INIT, TASK_EXEC]
        .iter()
        .any(|known| verb == *known)
        .then_some(args)
}

/// Where this person's contexts are: `$WEFT_CONFIG`, or `weft` where the desktop's conventions put it.
pub(crate) fn config_dir() -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let home = || Some(PathBuf::from(set("HOME")?).join(".config"));
    let conventional = || set("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    set("WEFT_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(conventional()?.join("weft")))
}

/// A variable of the environment, for `--env NAME`; `None` also when it is no text.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the environment is read"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_socket_may_be_given_before_and_after_the_command() {
        for line in [
            ["weft", "--socket", "/x", "node", "ls"],
            ["weft", "node", "ls", "--socket", "/x"],
        ] {
            assert_eq!(
                Cli::try_parse_from(line).unwrap().socket,
                Some(PathBuf::from("/x"))
            );
        }
    }
}
