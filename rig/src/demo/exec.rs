//! Running a program on a node, or inside a task, of the demo.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitStatus;

use crate::contract;
use crate::demo::failure::DemoError;
use crate::enter;
use crate::error::RigError;
use crate::host::Host;
use crate::layout::Layout;
use crate::rig::Rig;

/// How deep in a daemon's directories the directory of a task is looked for.
const DEPTH: usize = 4;

/// Runs `command` with this process's standard streams on node `target` (`n1`) or in task
/// `target` (`redis.1`), and returns how it ended.
///
/// # Errors
/// [`DemoError::NotUp`], [`DemoError::NoTarget`], or the program cannot be started.
pub fn exec(layout: &Layout, target: &str, command: &[String]) -> Result<ExitStatus, DemoError> {
    let Some((program, args)) = command.split_first() else {
        return Err(DemoError::NoCommand {
            target: target.to_owned(),
        });
    };
    let rig = match Rig::open(&layout.run) {
        Err(RigError::NotThere { .. }) => return Err(DemoError::NotUp),
        opened => opened?,
    };
    let mut command = Command::new(program);
    command.args(args);
    let hosts = rig.hosts();
    let fail = |source| RigError::Spawn {
        program: program.clone(),
        host: target.to_owned(),
        source,
    };
    let mut child = match hosts.iter().find(|host| host.name() == target) {
        Some(node) => {
            command.env(contract::SOCKET_ENV, node.socket());
            node.spawn(&mut command)?.map_err(fail)?
        }
        None => enter::spawn(task_process(&hosts, target)?, &mut command)?,
    };
    Ok(child.wait().map_err(fail)?)
}

/// The process that runs the command of task `name`, by its number on this machine.
fn task_process(hosts: &[Host], name: &str) -> Result<i32, DemoError> {
    let no_target = || DemoError::NoTarget {
        name: name.to_owned(),
    };
    let (service, _) = name.split_once('.').ok_or_else(no_target)?;
    // Any manager that answers will do: the first may have been killed, that is what demos are for.
    let answer = hosts
        .iter()
        .find_map(|host| host.weft_json(&contract::service_ps(service)).ok());
    let id = answer
        .as_ref()
        .and_then(|answer| contract::task_id(answer, name));
    let id = id.ok_or_else(no_target)?;
    let dirs = hosts
        .iter()
        .flat_map(|host| [host.state_dir(), host.run_dir()]);
    let record = dirs
        .into_iter()
        .find_map(|dir| find_record(&dir, &id, DEPTH));
    let record = record.and_then(|path| fs::read(path).ok());
    let record = record.and_then(|text| serde_json::from_slice(&text).ok());
    record
        .as_ref()
        .and_then(contract::task_pid)
        .ok_or_else(no_target)
}

/// The record in the directory called `id` somewhere below `dir`.
fn find_record(dir: &Path, id: &str, depth: usize) -> Option<PathBuf> {
    let direct = dir.join(id).join(contract::TASK_RECORD);
    if direct.exists() {
        return Some(direct);
    }
    if depth == 0 {
        return None;
    }
    let entries = fs::read_dir(dir).ok()?.flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.into_iter()
        .find_map(|entry| find_record(&entry.path(), id, depth - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tasks_record_is_found_below_the_daemons_directories() {
        let temp = tempfile::tempdir().unwrap();
        let task = temp.path().join("worker/tasks/abc");
        fs::create_dir_all(&task).unwrap();
        fs::write(task.join("running.json"), "{}").unwrap();
        assert_eq!(
            find_record(temp.path(), "abc", 4),
            Some(task.join("running.json"))
        );
        assert_eq!(find_record(temp.path(), "abd", 4), None);
    }

    #[test]
    fn an_empty_command_is_refused_before_anything_else() {
        let error = exec(&Layout::demo(), "n1", &[]).unwrap_err();
        assert!(matches!(error, DemoError::NoCommand { .. }));
    }
}
