use crate::support::*;
use std::fs;
use weft_worker::runtime::Limits;
use weft_worker::runtime::NanoCpus;
use weft_worker::runtime::TaskLaunch;

/// First file of this name in the groups of a task, v1 or v2.
fn setting(group: &str, names: &[&str]) -> String {
    let dirs = cgroup_dirs(group);
    let files = dirs
        .iter()
        .flat_map(|dir| names.iter().map(|name| dir.join(name)));
    let texts: Vec<_> = files
        .filter_map(|file| fs::read_to_string(file).ok())
        .collect();
    texts
        .first()
        .unwrap_or_else(|| panic!("no {names:?} in {dirs:?}"))
        .trim()
        .to_owned()
}

#[tokio::test]
async fn limits_are_those_of_the_control_group() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = TaskLaunch {
        limits: Limits {
            cpu: Some(NanoCpus(500_000_000)),
            memory_bytes: Some(64 << 20),
            pids: Some(50),
        },
        ..bench.launch(&["sleep", "1000"])
    };
    let group = format!("{}/{}", bench.cgroup_base, launch.id);
    start(&runtime, launch).await;
    let cpu = setting(&group, &["cpu.cfs_quota_us", "cpu.max"]);
    assert_eq!(cpu.split(' ').next(), Some("50000"));
    assert_eq!(
        setting(&group, &["memory.limit_in_bytes", "memory.max"]),
        "67108864"
    );
    assert_eq!(setting(&group, &["pids.max"]), "50");
}

#[tokio::test]
async fn a_task_that_takes_too_much_memory_is_killed_and_that_is_said() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = TaskLaunch {
        limits: Limits {
            memory_bytes: Some(32 << 20),
            ..Limits::default()
        },
        ..bench.launch(&["tail", "/dev/zero"])
    };
    let (exit, output) = run(&runtime, launch).await;
    assert!(exit.oom_killed, "{exit:?} {output}");
    assert_eq!(exit.shell_code(), Some(137));
}

#[tokio::test]
async fn files_a_task_writes_count_as_its_memory() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = TaskLaunch {
        limits: Limits {
            memory_bytes: Some(32 << 20),
            ..Limits::default()
        },
        ..bench.launch(&["head", "-c", "200M", "/dev/zero"])
    };
    let launch = TaskLaunch {
        command: vec![
            "sh".to_owned(),
            "-c".to_owned(),
            "head -c 200M /dev/zero > /var/lib/big".to_owned(),
        ],
        ..launch
    };
    let (exit, _) = run(&runtime, launch).await;
    assert!(!exit.is_success(), "{exit:?}");
}

#[tokio::test]
async fn a_task_that_forks_too_much_is_held_back() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = TaskLaunch {
        limits: Limits {
            pids: Some(5),
            ..Limits::default()
        },
        ..bench.shell("for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait")
    };
    let (exit, output) = run(&runtime, launch).await;
    assert!(
        !exit.is_success() && output.contains("annot fork"),
        "{exit:?} {output}"
    );
}
