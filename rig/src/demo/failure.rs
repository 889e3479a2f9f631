//! A demo that did not come up, told so that a newcomer can go on from there.

use crate::error::RigError;

/// Why `weft demo` failed: what was attempted, why it did not work, what to do.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The demo is there already.
    #[error("the demo is already up: `weft demo status` shows it, `weft demo down` removes it")]
    AlreadyUp,
    /// There is no demo.
    #[error("the demo is not up: start it with `weft demo up`")]
    NotUp,
    /// A program of the sample services is not installed.
    #[error("{program} is not installed: run `make deps`, or apt-get install {package}")]
    Missing {
        /// The program.
        program: &'static str,
        /// Its Debian package.
        package: &'static str,
    },
    /// No address range is free for the nodes.
    #[error("all of 10.77.0.0/16 is routed on this machine: remove one of those routes")]
    NoRange,
    /// One step of `up` failed; everything was removed again.
    #[error(
        "{step} failed: {}{}\nEverything was removed again. {hint}",
        crate::error::chain(source.as_ref()),
        logs_part(logs)
    )]
    Step {
        /// The step in words.
        step: String,
        /// Why.
        #[source]
        source: Box<RigError>,
        /// Ends of the daemons' logs, where they are not in the cause already.
        logs: String,
        /// What to try.
        hint: &'static str,
    },
    /// A task or node nobody knows.
    #[error(
        "no node and no running task is called {name:?}: `weft demo status` lists the nodes, \
             `weft service ps SERVICE` the tasks"
    )]
    NoTarget {
        /// What was asked for.
        name: String,
    },
    /// Nothing was given to run.
    #[error("say what to run: weft demo exec {target} -- COMMAND [ARGS...]")]
    NoCommand {
        /// Where it would have run.
        target: String,
    },
    /// Another operation failed.
    #[error(transparent)]
    Rig(Box<RigError>),
}

impl From<RigError> for DemoError {
    fn from(error: RigError) -> Self {
        Self::Rig(Box::new(error))
    }
}

fn logs_part(logs: &str) -> String {
    if logs.is_empty() {
        String::new()
    } else {
        format!("\n{logs}")
    }
}
