use crate::support::*;
use std::fs;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;
use weft_worker::runtime::ExitReason;
use weft_worker::runtime::Runtime;
use weft_worker::runtime::RuntimeError;
use weft_worker::runtime::TaskLaunch;
use weft_worker::runtime::TaskObservation;

#[tokio::test]
async fn the_exit_code_of_a_command_is_reported() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let (exit, output) = run(&runtime, bench.shell("echo out; echo err >&2; exit 7")).await;
    assert_eq!(exit.reason, ExitReason::Code(7));
    assert_eq!(exit.shell_code(), Some(7));
    assert!(!exit.oom_killed);
    assert!(
        output.contains("out\n") && output.contains("err\n"),
        "{output}"
    );
}

#[tokio::test]
async fn a_death_by_signal_is_reported_as_such() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    // The first process of a namespace cannot kill itself with SIGKILL, so the host does it.
    let launch = bench.shell("sleep 1000; true");
    let task = launch.id;
    let pid = pid(&start(&runtime, launch).await);
    let killed = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()),
        nix::sys::signal::Signal::SIGKILL,
    );
    killed.unwrap();
    assert_eq!(exit(&runtime, task).await.reason, ExitReason::Signal(9));
}

#[tokio::test]
async fn a_misspelt_command_is_named_in_the_exit() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let (exit, _) = run(&runtime, bench.launch(&["ngnix"])).await;
    let ExitReason::NotStarted(message) = &exit.reason else {
        panic!("{exit:?}");
    };
    assert!(
        message.starts_with("command \"ngnix\" not found in PATH"),
        "{message}"
    );
}

#[tokio::test]
async fn a_missing_working_directory_is_named_in_the_exit() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = TaskLaunch {
        working_dir: "/no/such/dir".into(),
        ..bench.launch(&["true"])
    };
    let (exit, _) = run(&runtime, launch).await;
    let ExitReason::NotStarted(message) = &exit.reason else {
        panic!("{exit:?}");
    };
    assert!(
        message.starts_with("working directory /no/such/dir: No such file"),
        "{message}"
    );
}

#[tokio::test]
async fn a_missing_network_namespace_is_named_in_the_exit() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = TaskLaunch {
        netns: Some("/run/netns/no-such".into()),
        ..bench.launch(&["true"])
    };
    let (exit, _) = run(&runtime, launch).await;
    let ExitReason::NotStarted(message) = &exit.reason else {
        panic!("{exit:?}");
    };
    assert!(
        message.contains("network namespace /run/netns/no-such"),
        "{message}"
    );
}

#[tokio::test]
async fn a_task_that_handles_the_signal_ends_in_its_own_way() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch =
        bench.shell("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    let task = launch.id;
    start(&runtime, launch).await;
    wait_for_output(&runtime, task, "ready").await;
    let ended = runtime.stop(task, term(CEILING)).await.unwrap();
    assert_eq!(ended.exit().unwrap().reason, ExitReason::Code(3));
    assert_eq!(output(&runtime, task).await, "ready\nbye\n");
}

#[tokio::test]
async fn a_task_that_ignores_the_signal_is_killed_after_its_grace() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = bench.shell("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    let task = launch.id;
    start(&runtime, launch).await;
    wait_for_output(&runtime, task, "ready").await;
    let before = Instant::now();
    let ended = runtime
        .stop(task, term(Duration::from_millis(300)))
        .await
        .unwrap();
    assert_eq!(ended.exit().unwrap().reason, ExitReason::Signal(9));
    assert!(before.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_task_that_could_never_hear_the_signal_is_not_waited_for() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = bench.launch(&["sleep", "1000"]);
    let task = launch.id;
    start(&runtime, launch).await;
    let before = Instant::now();
    let ended = runtime.stop(task, term(CEILING * 2)).await.unwrap();
    assert_eq!(ended.exit().unwrap().reason, ExitReason::Signal(9));
    assert!(before.elapsed() < CEILING);
}

#[tokio::test]
async fn stopping_before_the_start_keeps_the_task_from_starting() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = bench.launch(&["true"]);
    let task = launch.id;
    runtime.prepare(launch).await.unwrap();
    assert_eq!(runtime.observe()[&task], TaskObservation::Prepared);
    runtime.stop(task, term(CEILING)).await.unwrap();
    let seen = runtime.start(task).await.unwrap();
    assert!(
        matches!(seen.exit().unwrap().reason, ExitReason::NotStarted(_)),
        "{seen:?}"
    );
}

#[tokio::test]
async fn preparing_twice_is_fine_and_preparing_something_else_is_refused() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = bench.launch(&["true"]);
    runtime.prepare(launch.clone()).await.unwrap();
    runtime.prepare(launch.clone()).await.unwrap();
    let other = TaskLaunch {
        command: vec!["false".to_owned()],
        ..launch
    };
    let refused = runtime.prepare(other).await;
    assert!(
        matches!(refused, Err(RuntimeError::Conflict(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_task_that_is_not_here_is_named_unless_it_is_to_be_removed() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let refused = runtime.start(task_id()).await;
    assert!(
        matches!(refused, Err(RuntimeError::UnknownTask(_))),
        "{refused:?}"
    );
    runtime.remove(task_id()).await.unwrap();
}

#[tokio::test]
async fn nothing_is_left_of_a_running_task_that_is_removed() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let launch = bench.shell("sleep 1000 & sleep 1000 & echo ready; wait");
    let task = launch.id;
    let pid = pid(&start(&runtime, launch).await);
    wait_for_output(&runtime, task, "ready").await;
    let tasks = format!("{}/{task}", bench.cgroup_base);
    let members = fs::read_to_string(cgroup_dirs(&tasks)[0].join("cgroup.procs")).unwrap();
    let members: Vec<u32> = members.lines().map(|line| line.parse().unwrap()).collect();
    assert!(members.contains(&pid) && members.len() == 3, "{members:?}");

    runtime.remove(task).await.unwrap();
    for member in members {
        assert!(
            !Path::new(&format!("/proc/{member}")).exists(),
            "{member} is alive"
        );
    }
    assert!(cgroup_dirs(&tasks).is_empty());
    assert!(!bench.tasks_dir().join(task.as_str()).exists());
    assert!(!mounts().contains(task.as_str()));
    assert!(runtime.observe().is_empty());
    runtime.remove_base_cgroup().unwrap();
    assert!(cgroup_dirs(&bench.cgroup_base).is_empty());
}

#[tokio::test]
async fn a_check_runs_in_the_task_as_its_own_command_does() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = TaskLaunch {
        user: Some("nobody".to_owned()),
        working_dir: "/tmp".into(),
        env: env(&[("COLOUR", "red")]),
        ..bench.shell("echo inside > /tmp/mark; exec sleep 1000")
    };
    let task = launch.id;
    start(&runtime, launch).await;
    let check = async |script: &str, timeout| {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        runtime.check(task, &command, timeout).await
    };
    let patient = Duration::from_secs(60);
    let same = "test -e mark && test $COLOUR = red && test $(id -un) = nobody \
                && test $(readlink /proc/1/ns/pid) = $(readlink /proc/self/ns/pid) \
                && grep -q sleep /proc/1/cmdline";
    let mut seen = check(same, patient).await;
    for _ in 0..100 {
        if seen.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        seen = check(same, patient).await;
    }
    assert_eq!(seen, Ok(()));
    let failed = check("echo no answer; exit 3", patient).await;
    assert_eq!(failed, Err("exit code 3: no answer".to_owned()));
    let mute = check("exit 1", patient).await;
    assert_eq!(mute, Err("exit code 1".to_owned()));

    let begun = Instant::now();
    let slow = check("sleep 987 & sleep 987", Duration::from_millis(300)).await;
    assert!(slow.unwrap_err().contains("longer than 300ms"));
    assert!(begun.elapsed() < Duration::from_secs(60));
    let left = check("! grep -l '98[7]' /proc/[0-9]*/cmdline", patient).await;
    assert_eq!(left, Ok(()), "all that it began has ended");
    assert!(matches!(
        runtime.observe()[&task],
        TaskObservation::Running { .. }
    ));
}
