//! What a task's launch order says. Pure.

use crate::runtime::Bind;
use crate::runtime::Limits;
use crate::runtime::NanoCpus;
use crate::runtime::StopPolicy;
use crate::runtime::TaskLaunch;
use crate::task::Lookup;
use crate::task::fill;
use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use weft_proto::NodeId;
use weft_proto::convert::signal_number;
use weft_proto::object::Task;

/// Where programs are looked up if the service does not say: what login shells use.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Longest host name Linux takes (`__NEW_UTS_LEN`).
const HOSTNAME_MAX: usize = 64;

/// Where tasks find `weft` itself: on [`DEFAULT_PATH`], so that `weft whoami` is a command on every
/// node.
const PROGRAM: &str = "/usr/local/bin/weft";

/// Number of SIGTERM, for a spec whose signal has no number.
const SIGTERM: u8 = 15;

/// What a task is told and not shown of its node.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Which node.
    pub id: NodeId,
    /// Its host name.
    pub hostname: String,
    /// Directories that no task sees: keys, state and sockets of the daemon.
    pub hidden_dirs: Vec<PathBuf>,
    /// The daemon's own program, which tasks see as [`PROGRAM`], wherever it is installed.
    pub program: Option<PathBuf>,
}

/// The launch order of a task in its network namespace. The files by which it finds names are the
/// network's to say, and not in it.
///
/// # Errors
/// In words: what it asks for can never be made.
pub fn launch(
    task: &Task,
    netns: PathBuf,
    node: &NodeFacts,
    lookup: Lookup<'_>,
) -> Result<TaskLaunch, String> {
    let spec = &task.spec;
    let hostname = hostname(task, node);
    let env = environment(task, node);
    let files = fill::files(task, node, &env, lookup)?;
    Ok(TaskLaunch {
        command: spec.command.clone(),
        env,
        files,
        working_dir: PathBuf::from(spec.working_dir.as_deref().unwrap_or("/")),
        user: spec.user.clone(),
        limits: Limits {
            cpu: (spec.limits.nano_cpus > 0).then_some(NanoCpus(spec.limits.nano_cpus)),
            memory_bytes: (spec.limits.memory_bytes > 0).then_some(spec.limits.memory_bytes),
            pids: None,
        },
        netns: Some(netns),
        hidden_dirs: node.hidden_dirs.clone(),
        mounts: node
            .program
            .as_deref()
            .map(own_program)
            .into_iter()
            .collect(),
        hostname,
        ..TaskLaunch::new(task.id, Vec::new())
    })
}

fn own_program(program: &Path) -> Bind {
    Bind {
        source: program.to_owned(),
        target: PathBuf::from(PROGRAM),
        read_only: true,
    }
}

/// How a task is asked to end, as its spec says.
pub fn stop_policy(task: &Task) -> StopPolicy {
    StopPolicy {
        signal: signal_number(&task.spec.stop_signal)
            .unwrap_or(SIGTERM)
            .into(),
        grace: task.spec.stop_grace,
    }
}

fn hostname(task: &Task, node: &NodeFacts) -> String {
    if let Some(name) = &task.spec.hostname {
        return fill::text(name.as_str(), task, node);
    }
    let name = task.name();
    if name.len() <= HOSTNAME_MAX {
        name
    } else {
        task.id.short().to_owned()
    }
}

/// What the service asks for wins over what is filled in, but not over who the task is.
fn environment(task: &Task, node: &NodeFacts) -> BTreeMap<String, String> {
    let defaults = [("PATH".to_owned(), DEFAULT_PATH.to_owned())];
    let asked = task.spec.env.iter().map(|line| {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        (name.to_owned(), fill::text(value, task, node))
    });
    let facts = [
        ("WEFT_TASK_ID", task.id.to_string()),
        ("WEFT_TASK_NAME", task.name()),
        ("WEFT_SERVICE_NAME", task.service_name.to_string()),
        ("WEFT_NODE_NAME", node.hostname.clone()),
        ("WEFT_NODE_ID", node.id.to_string()),
    ];
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    defaults.into_iter().chain(asked).chain(facts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::node_facts;
    use crate::fixture::task;

    #[test]
    fn a_task_knows_who_and_where_it_is() {
        let mut task = task(1);
        task.spec.env = vec!["A=b=c".into(), "WEFT_TASK_NAME=other".into()];
        let launch = launch(&task, "/ns".into(), &node_facts(), &|_| None).unwrap();
        assert_eq!(launch.env["A"], "b=c");
        assert_eq!(launch.env["WEFT_TASK_NAME"], "web.1");
        assert_eq!(launch.env["WEFT_NODE_NAME"], "host");
        assert_eq!(launch.env["PATH"], DEFAULT_PATH);
        assert_eq!(launch.hostname, "web.1");
        assert_eq!(launch.netns, Some("/ns".into()));
        assert_eq!(launch.hidden_dirs, node_facts().hidden_dirs);
    }

    #[test]
    fn weft_itself_is_a_command_in_every_task() {
        let facts = NodeFacts {
            program: Some("/tmp/built/weft".into()),
            ..node_facts()
        };
        let launch = launch(&task(1), "/ns".into(), &facts, &|_| None).unwrap();
        let [bind] = launch.mounts.as_slice() else {
            panic!("{:?}", launch.mounts)
        };
        assert_eq!(bind.source, PathBuf::from("/tmp/built/weft"));
        let dir = bind.target.parent().unwrap().to_str().unwrap();
        assert!(bind.read_only && DEFAULT_PATH.split(':').any(|entry| entry == dir));
    }

    #[test]
    fn its_own_path_wins_over_the_default() {
        let mut task = task(1);
        task.spec.env = vec!["PATH=/opt".into()];
        let launch = launch(&task, "/ns".into(), &node_facts(), &|_| None).unwrap();
        assert_eq!(launch.env["PATH"], "/opt");
    }

    #[test]
    fn a_name_too_long_for_a_host_is_replaced_by_its_identifier() {
        let mut task = task(1);
        task.service_name = "a".repeat(63).parse().unwrap();
        assert_eq!(hostname(&task, &node_facts()), task.id.short());
    }

    #[test]
    fn zero_means_no_limit() {
        let launch = launch(&task(1), "/ns".into(), &node_facts(), &|_| None).unwrap();
        assert_eq!(launch.limits, Limits::default());
    }
}
