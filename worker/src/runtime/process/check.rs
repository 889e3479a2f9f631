//! Commands that say how a task is.

use super::Shared;
use crate::runtime::shim::TASK_EXEC;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use weft_proto::TaskId;

/// What the command may take longer than it was given, to be begun and ended on a busy machine.
const MARGIN: Duration = Duration::from_secs(5);
/// Of what the command wrote, so many characters at its end are told.
const SAID: usize = 200;

impl Shared {
    /// Runs a command in a running task.
    pub(super) async fn check(
        &self,
        task: TaskId,
        command: &[String],
        timeout: Duration,
    ) -> Result<(), String> {
        let dir = self.registry.dir(task).map_err(|error| error.to_string())?;
        let mut exec = Command::new(&self.config.shim_program);
        exec.arg0("weft")
            .arg(TASK_EXEC)
            .arg(dir.path())
            .arg(timeout.as_millis().to_string())
            .args(command)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        match tokio::time::timeout(timeout + MARGIN, exec.output()).await {
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => Err(words(&output)),
            Ok(Err(error)) => Err(format!("it cannot be run: {error}")),
            Err(_) => Err(format!("it took longer than {timeout:?}")),
        }
    }
}

/// How it ended, and what it said last.
fn words(output: &Output) -> String {
    let how = match output.status.code() {
        Some(code) => format!("exit code {code}"),
        None => "it was killed".to_owned(),
    };
    let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let said = texts.join(" ");
    let said = said.trim();
    let skip = said.chars().count().saturating_sub(SAID);
    match said.chars().skip(skip).collect::<String>() {
        said if said.is_empty() => how,
        said => format!("{how}: {said}"),
    }
}
