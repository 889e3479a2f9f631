//! A runtime of its own for each test, and nothing left of it afterwards.

use futures::StreamExt;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use weft_proto::TaskId;
use weft_worker::runtime::Exit;
use weft_worker::runtime::ExitReason;
use weft_worker::runtime::LogQuery;
use weft_worker::runtime::ProcessRuntime;
use weft_worker::runtime::ProcessRuntimeConfig;
use weft_worker::runtime::Runtime;
use weft_worker::runtime::StopPolicy;
use weft_worker::runtime::TaskLaunch;
use weft_worker::runtime::TaskObservation;
use weft_worker::runtime::cgroup::Cgroups;
use weft_worker::runtime::cgroup::Group;

/// Nothing here takes this long unless it is broken.
pub(crate) const CEILING: Duration = Duration::from_secs(20);

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Unique on this machine.
pub(crate) fn unique() -> String {
    format!(
        "{}-{}",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock of these tests is the real one"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Directory and control group of one test.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) state: tempfile::TempDir,
    pub(crate) cgroup_base: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            // Not below /tmp: that is another file system inside tasks anyway.
            state: tempfile::Builder::new()
                .prefix("weft-rt-")
                .tempdir_in("/var/tmp")
                .unwrap(),
            cgroup_base: format!("weft-test-{}", unique()),
        }
    }

    pub(crate) fn tasks_dir(&self) -> PathBuf {
        self.state.path().join("tasks")
    }

    pub(crate) async fn open(&self) -> ProcessRuntime {
        let config = ProcessRuntimeConfig {
            shim_program: PathBuf::from(env!("CARGO_BIN_EXE_weft-shim")),
            ..ProcessRuntimeConfig::new(self.tasks_dir(), self.cgroup_base.clone(), now)
        };
        ProcessRuntime::open(config).await.unwrap()
    }

    /// A launch of a shell script that must not see this bench.
    pub(crate) fn shell(&self, script: &str) -> TaskLaunch {
        self.launch(&["sh", "-c", script])
    }

    pub(crate) fn launch(&self, command: &[&str]) -> TaskLaunch {
        let command = command.iter().map(|&word| word.to_owned()).collect();
        TaskLaunch {
            hidden_dirs: vec![self.state.path().to_owned()],
            ..TaskLaunch::new(task_id(), command)
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let Ok(cgroups) = Cgroups::detect(&self.cgroup_base) else {
            return;
        };
        for entry in fs::read_dir(self.tasks_dir())
            .into_iter()
            .flatten()
            .flatten()
        {
            if let Some(task) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            {
                let _ = cgroups.remove(Group::Task(task));
            }
        }
        // Supervisors write down how their tasks ended and go.
        let _ = wait_sync(|| cgroups.remove_base().is_ok().then_some(()));
    }
}

pub(crate) fn task_id() -> TaskId {
    let high = u128::from(std::process::id());
    let low = u128::from(COUNTER.fetch_add(1, Ordering::Relaxed));
    TaskId::from_entropy((high << 64) | (low << 8) | 7)
}

pub(crate) async fn start(runtime: &ProcessRuntime, launch: TaskLaunch) -> TaskObservation {
    let task = launch.id;
    runtime.prepare(launch).await.unwrap();
    runtime.start(task).await.unwrap()
}

/// Runs to the end and returns it with everything the task wrote.
pub(crate) async fn run(runtime: &ProcessRuntime, launch: TaskLaunch) -> (Exit, String) {
    let task = launch.id;
    start(runtime, launch).await;
    let exit = exit(runtime, task).await;
    (exit, output(runtime, task).await)
}

/// What a script that succeeds writes.
pub(crate) async fn script(bench: &Bench, runtime: &ProcessRuntime, script: &str) -> String {
    let (exit, output) = run(runtime, bench.shell(script)).await;
    assert_eq!(exit.reason, ExitReason::Code(0), "{script}: {output}");
    output
}

pub(crate) async fn exit(runtime: &ProcessRuntime, task: TaskId) -> Exit {
    let mut changes = runtime.changes();
    let waited = tokio::time::timeout(CEILING, async {
        loop {
            changes.borrow_and_update();
            if let Some(exit) = runtime.observe().get(&task).and_then(TaskObservation::exit) {
                return exit.clone();
            }
            changes.changed().await.unwrap();
        }
    });
    waited.await.expect("the task ends")
}

pub(crate) async fn output(runtime: &ProcessRuntime, task: TaskId) -> String {
    let lines = runtime.logs(task, LogQuery::default()).await.unwrap();
    let lines: Vec<_> = lines.map(|line| line.unwrap().bytes).collect().await;
    lines
        .iter()
        .map(|line| format!("{}\n", String::from_utf8_lossy(line)))
        .collect()
}

/// Polls a condition, without luck: it either comes or the test fails.
pub(crate) async fn wait<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < CEILING, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn wait_sync<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < CEILING {
        if let Some(value) = condition() {
            return Some(value);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

pub(crate) async fn wait_for_output(runtime: &ProcessRuntime, task: TaskId, text: &str) {
    let start = Instant::now();
    loop {
        let output = output(runtime, task).await;
        if output.contains(text) {
            return;
        }
        assert!(start.elapsed() < CEILING, "{text:?} never came: {output}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn pid(observation: &TaskObservation) -> u32 {
    match observation {
        TaskObservation::Running { pid, .. } => *pid,
        TaskObservation::Prepared | TaskObservation::Starting | TaskObservation::Exited(_) => {
            panic!("not running: {observation:?}")
        }
    }
}

pub(crate) fn term(grace: Duration) -> StopPolicy {
    StopPolicy { signal: 15, grace }
}

pub(crate) fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// A network namespace with a loopback that is up.
#[derive(Debug)]
pub(crate) struct NetNs {
    name: String,
}

impl NetNs {
    pub(crate) fn new() -> Self {
        let netns = Self {
            name: format!("weft-rt-{}", unique()),
        };
        ip(&["netns", "add", &netns.name]);
        ip(&["-n", &netns.name, "link", "set", "lo", "up"]);
        netns
    }

    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// What an HTTP server in there answers.
    pub(crate) fn curl(&self, url: &str) -> Option<String> {
        let out = Command::new("ip")
            .args(["netns", "exec", &self.name, "curl", "-sf", "-m", "2", url])
            .output()
            .unwrap();
        out.status
            .success()
            .then(|| String::from_utf8_lossy(&out.stdout).into_owned())
    }
}

impl Drop for NetNs {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
    }
}

fn ip(args: &[&str]) {
    assert!(
        Command::new("ip").args(args).status().unwrap().success(),
        "ip {args:?}"
    );
}

/// Directories of a group in all hierarchies of this machine.
pub(crate) fn cgroup_dirs(name: &str) -> Vec<PathBuf> {
    let mut dirs = vec![Path::new("/sys/fs/cgroup").join(name)];
    for entry in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        dirs.push(entry.path().join(name));
    }
    dirs.retain(|dir| dir.is_dir());
    dirs
}
