//! Flags and environment: the only place that reads either.

use crate::command::Command;
use clap::Parser;
use std::ffi::OsString;
use std::path::PathBuf;
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
    /// Socket of the daemon to talk to
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "PATH",
        env = "WEFT_SOCKET",
        default_value_os_t = default_socket(),
        hide_env_values = true
    )]
    pub(crate) socket: PathBuf,
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

fn default_socket() -> PathBuf {
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
                PathBuf::from("/x")
            );
        }
    }
}
