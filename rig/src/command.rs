//! Programs run to their end, with a limit on how long that may take.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use crate::error::RigError;
use crate::poll;

/// How a program ended and what it said.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it ended with 0.
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// Everything it said, for messages.
    pub fn said(&self) -> String {
        let said = [self.stderr.trim(), self.stdout.trim()];
        said.iter()
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// A command line for messages.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Starts `command` with `spawn`, waits at most `limit`, kills it otherwise.
///
/// Output goes to unlinked files, not pipes: a grandchild that keeps a pipe open would hold the
/// reader for ever.
///
/// # Errors
/// [`RigError::Spawn`] and [`RigError::TooSlow`].
pub(crate) fn run(
    host: &str,
    mut command: Command,
    limit: Duration,
    spawn: impl FnOnce(&mut Command) -> Result<io::Result<Child>, RigError>,
) -> Result<Output, RigError> {
    let line = line(&command);
    let fail = |source| RigError::Spawn {
        program: line.clone(),
        host: host.to_owned(),
        source,
    };
    let mut stdout = Sink::new().map_err(fail)?;
    let mut stderr = Sink::new().map_err(fail)?;
    command.stdin(Stdio::null());
    command
        .stdout(stdout.writer().map_err(fail)?)
        .stderr(stderr.writer().map_err(fail)?);
    let mut child = spawn(&mut command)?.map_err(fail)?;
    let ended = poll::until(limit, || child.try_wait().transpose());
    let status = match ended {
        Some(status) => status.map_err(fail)?,
        None => {
            child.kill().and_then(|()| child.wait()).map_err(fail)?;
            let said = format!("{} {}", stderr.text(), stdout.text());
            return Err(RigError::TooSlow {
                command: line,
                host: host.to_owned(),
                limit,
                said,
            });
        }
    };
    Ok(Output {
        status,
        stdout: stdout.text(),
        stderr: stderr.text(),
    })
}

/// A file without a name that collects output.
struct Sink(File);

impl Sink {
    fn new() -> io::Result<Self> {
        tempfile::tempfile().map(Self)
    }

    fn writer(&self) -> io::Result<Stdio> {
        self.0.try_clone().map(Stdio::from)
    }

    fn text(&mut self) -> String {
        let mut bytes = Vec::new();
        // What cannot be read back is shown as the reason why: this is text for people.
        match self
            .0
            .rewind()
            .and_then(|()| self.0.read_to_end(&mut bytes))
        {
            Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("(output unreadable: {error})"),
        }
    }
}
