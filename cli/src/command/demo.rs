//! `weft demo`.

use anyhow::Context as _;
use clap::Subcommand;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitCode;
use std::process::ExitStatus;
use weft_rig::demo;
use weft_rig::demo::DemoError;
use weft_rig::demo::Progress;
use weft_rig::layout::Layout;

/// What to do with the demo.
#[derive(Debug, Subcommand)]
pub(crate) enum DemoCommand {
    /// Start five nodes, a network and three services
    Up,
    /// Show how the demo is doing
    Status,
    /// Remove every trace of the demo
    Down,
    /// Kill a node's daemon without warning; its tasks go on
    #[command(after_help = "Examples: weft demo kill leader; weft demo kill n4")]
    Kill {
        /// A node of the demo, or "leader"
        node: String,
    },
    /// Start a node's daemon again
    Start {
        /// A node of the demo
        node: String,
    },
    /// Run a program on a node (n1) or inside a task (redis.1)
    #[command(after_help = "Example: weft demo exec redis.1 -- redis-cli -h redis ping")]
    Exec {
        /// A node or a task of the demo
        target: String,
        /// The program and its arguments
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
}

/// Runs it; `exec` ends with the code of the program it ran.
pub(super) fn run(command: DemoCommand) -> anyhow::Result<ExitCode> {
    let layout = Layout::demo();
    match command {
        DemoCommand::Up => {
            let weft = std::env::current_exe().context("cannot find this very program")?;
            match demo::up(&layout, &weft, &mut tell) {
                Ok(summary) => super::output::text(&summary.to_string())?,
                // Asked for twice, there once: that is what was wanted.
                Err(DemoError::AlreadyUp) => {
                    super::output::text(&format!("{}\n", DemoError::AlreadyUp))?;
                    super::output::text(&demo::status(&layout)?.to_string())?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        DemoCommand::Status => super::output::text(&demo::status(&layout)?.to_string())?,
        DemoCommand::Down => {
            let done = match demo::down(&layout)? {
                true => "The demo is removed.",
                false => "There was no demo to remove.",
            };
            super::output::text(done)?;
        }
        DemoCommand::Kill { node } => {
            let name = demo::kill(&layout, &node)?;
            super::output::text(&format!("The daemon of {name} is killed; its tasks go on."))?;
        }
        DemoCommand::Start { node } => {
            let name = demo::start(&layout, &node)?;
            super::output::text(&format!("The daemon of {name} is up."))?;
        }
        DemoCommand::Exec { target, command } => {
            return Ok(code(demo::exec(&layout, &target, &command)?));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One line per step, on standard error: the summary is the answer.
fn tell(progress: Progress) {
    let mut err = std::io::stderr().lock();
    // A reader that went away is no reason to stop half-way.
    let _ = match progress {
        Progress::Begin(step) => write!(err, "{step} ... "),
        Progress::Done(took) => writeln!(err, "{:.1} s", took.as_secs_f64()),
    };
}

/// The code a shell would give.
fn code(status: ExitStatus) -> ExitCode {
    let number = status.code().or(status.signal().map(|signal| 128 + signal));
    ExitCode::from(number.and_then(|n| u8::try_from(n).ok()).unwrap_or(1))
}
