//! `weft completion`.

use crate::config::Cli;
use clap::Args;
use clap::CommandFactory;
use clap_complete::Shell;

/// For which shell.
#[derive(Debug, Args)]
#[command(after_help = "Example: weft completion bash > /etc/bash_completion.d/weft")]
pub(crate) struct CompletionArgs {
    /// The shell that reads the script
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &CompletionArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "weft", &mut script);
    super::output::text(&String::from_utf8(script)?)
}
