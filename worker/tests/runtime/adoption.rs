use crate::support::*;
use std::fs;
use weft_worker::runtime::ExitReason;
use weft_worker::runtime::Runtime;
use weft_worker::runtime::TaskObservation;

#[tokio::test]
async fn a_restarted_daemon_adopts_a_running_task_and_sees_its_end() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = bench.shell("trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done");
    let task = launch.id;
    let before = start(&runtime, launch).await;
    drop(runtime);

    let runtime = bench.open().await;
    assert_eq!(runtime.observe()[&task], before, "same process, same start");
    wait_for_output(&runtime, task, "ready").await;
    let ended = runtime.stop(task, term(CEILING)).await.unwrap();
    assert_eq!(ended.exit().unwrap().reason, ExitReason::Code(5));
}

#[tokio::test]
async fn a_task_that_ends_without_a_daemon_is_reported_by_the_next() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = bench.shell("read line < /data/go; echo $line; exit 9");
    let volume = tempfile::tempdir_in("/var/tmp").unwrap();
    let fifo = volume.path().join("go");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let launch = weft_worker::runtime::TaskLaunch {
        mounts: vec![weft_worker::runtime::Bind {
            source: volume.path().to_owned(),
            target: "/data".into(),
            read_only: false,
        }],
        ..launch
    };
    let task = launch.id;
    start(&runtime, launch).await;
    drop(runtime);
    fs::write(&fifo, "gone on\n").unwrap();
    let record = bench.tasks_dir().join(task.as_str()).join("exit.json");
    wait("the exit is recorded", || record.exists().then_some(())).await;

    let runtime = bench.open().await;
    let exit = runtime.observe()[&task].exit().cloned().unwrap();
    assert_eq!(exit.reason, ExitReason::Code(9));
    assert_eq!(output(&runtime, task).await, "gone on\n");
}

#[tokio::test]
async fn a_task_whose_supervisor_was_killed_is_lost_and_ended() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = bench.launch(&["sleep", "1000"]);
    let task = launch.id;
    let pid = pid(&start(&runtime, launch).await);
    let shim = fs::read_to_string(bench.tasks_dir().join(task.as_str()).join("shim.json"));
    let shim: serde_json::Value = serde_json::from_str(&shim.unwrap()).unwrap();
    let shim = i32::try_from(shim["pid"].as_i64().unwrap()).unwrap();
    let killed = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(shim),
        nix::sys::signal::Signal::SIGKILL,
    );
    killed.unwrap();
    let exit = exit(&runtime, task).await;
    assert!(matches!(&exit.reason, ExitReason::Lost(why) if why.contains("supervisor vanished")));
    // An orphan: until the machine's own init has reaped it, it is there as a zombie.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    drop(runtime);
    let runtime = bench.open().await;
    assert_eq!(runtime.observe()[&task], TaskObservation::Exited(exit));
}

#[tokio::test]
async fn a_prepared_task_can_be_started_by_the_next_daemon() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = bench.shell("exit 4");
    let task = launch.id;
    runtime.prepare(launch).await.unwrap();
    drop(runtime);
    let runtime = bench.open().await;
    assert_eq!(runtime.observe()[&task], TaskObservation::Prepared);
    runtime.start(task).await.unwrap();
    assert_eq!(exit(&runtime, task).await.reason, ExitReason::Code(4));
}

#[tokio::test]
async fn a_directory_without_a_launch_record_is_cleared_away() {
    let bench = Bench::new();
    let dir = bench.tasks_dir().join(task_id().as_str());
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("exit.json.new"), "{").unwrap();
    let runtime = bench.open().await;
    assert!(runtime.observe().is_empty());
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_damaged_record_of_one_task_does_not_keep_the_others_from_being_adopted() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let damaged = bench.launch(&["true"]);
    let healthy = bench.launch(&["sleep", "1000"]);
    let (damaged_id, healthy_id) = (damaged.id, healthy.id);
    runtime.prepare(damaged).await.unwrap();
    let running = start(&runtime, healthy).await;
    drop(runtime);
    let dir = bench.tasks_dir().join(damaged_id.as_str());
    fs::write(dir.join("launch.json"), "{\"laun").unwrap();

    let runtime = bench.open().await;
    assert_eq!(runtime.observe().get(&healthy_id), Some(&running));
    assert_eq!(runtime.observe().get(&damaged_id), None);
    assert!(!dir.exists());
}
