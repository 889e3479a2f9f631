//! Secrets and configs as a task finds them.

use crate::support::*;
use std::fs;
use std::path::Path;
use weft_proto::object::Data;
use weft_worker::runtime::ExitReason;
use weft_worker::runtime::Runtime;
use weft_worker::runtime::TaskFile;
use weft_worker::runtime::TaskLaunch;
use weft_worker::runtime::TaskObservation;

/// Found nowhere but where it belongs.
const CANARY: &str = "canary-7f3a9c51";

fn file(target: &str, data: &str) -> TaskFile {
    TaskFile {
        target: target.into(),
        uid: 0,
        gid: 0,
        mode: 0o444,
        data: Data::new(data.as_bytes().to_vec()),
    }
}

/// The files below a directory that hold the canary.
fn spilt(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(spilt(&path));
        } else if fs::read(&path).is_ok_and(|bytes| {
            let canary = CANARY.as_bytes();
            bytes.windows(canary.len()).any(|part| part == canary)
        }) {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_task_finds_its_files_with_their_owners_and_modes_and_cannot_change_them() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let mut own = file("/run/secrets/sub/own", "two");
    (own.uid, own.gid, own.mode) = (65534, 7, 0o440);
    let launch = TaskLaunch {
        files: vec![
            file("/run/secrets/pw", CANARY),
            own,
            file("/etc/weft-test.d/site.conf", "three"),
            file("/etc/hostname", "four"),
        ],
        ..bench.shell(
            "cat /run/secrets/pw /run/secrets/sub/own /etc/weft-test.d/site.conf /etc/hostname | wc -c; \
             stat -c '%a %u:%g %n' /run/secrets /run/secrets/pw /run/secrets/sub/own /etc/weft-test.d/site.conf; \
             stat -f -c %T /run/secrets /etc/weft-test.d/site.conf; \
             grep ' /run/secrets ' /proc/self/mounts | cut -d' ' -f4 | tr , '\\n' | grep -c -x -e ro -e nosuid -e nodev -e noexec; \
             touch /run/secrets/x 2>/dev/null || echo read-only; \
             (echo x > /etc/weft-test.d/site.conf) 2>/dev/null || echo read-only; \
             ls -d /.weft* 2>/dev/null | wc -l",
        )
    };
    let (exit, output) = run(&runtime, launch).await;
    assert_eq!(exit.reason, ExitReason::Code(0), "{output}");
    let length = CANARY.len() + 3 + 5 + 4;
    assert_eq!(
        output,
        format!(
            "{length}\n755 0:0 /run/secrets\n444 0:0 /run/secrets/pw\n440 65534:7 /run/secrets/sub/own\n\
             444 0:0 /etc/weft-test.d/site.conf\ntmpfs\ntmpfs\n4\nread-only\nread-only\n0\n"
        )
    );
    assert!(
        !Path::new("/etc/weft-test.d").exists(),
        "the host has nothing of it"
    );
    assert!(!Path::new("/run/secrets/pw").exists());
}

#[tokio::test]
async fn secrets_are_on_no_disk_and_stay_with_a_task_over_daemons() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = TaskLaunch {
        files: vec![file("/run/secrets/pw", CANARY)],
        ..bench.shell("while ! test -e /tmp/go; do sleep 0.05; done; wc -c < /run/secrets/pw")
    };
    let task = launch.id;
    let running = start(&runtime, launch.clone()).await;
    assert_eq!(spilt(bench.state.path()), Vec::<std::path::PathBuf>::new());
    let pid = pid(&running);
    for what in ["cmdline", "environ"] {
        let text = fs::read(format!("/proc/{pid}/{what}")).unwrap();
        assert!(!String::from_utf8_lossy(&text).contains(CANARY), "{what}");
    }
    drop(runtime);
    let runtime = bench.open().await;
    assert_eq!(runtime.observe()[&task], running, "adopted");
    // What brings it to its end is in its own file system.
    fs::write(format!("/proc/{pid}/root/tmp/go"), "").unwrap();
    let exit = exit(&runtime, task).await;
    assert_eq!(exit.reason, ExitReason::Code(0));
    assert_eq!(
        output(&runtime, task).await.trim(),
        CANARY.len().to_string()
    );
}

#[tokio::test]
async fn a_prepared_task_gets_its_files_anew_from_the_next_daemon() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = TaskLaunch {
        files: vec![file("/run/secrets/pw", "old")],
        ..bench.shell("cat /run/secrets/pw")
    };
    let task = launch.id;
    runtime.prepare(launch.clone()).await.unwrap();
    drop(runtime);
    let runtime = bench.open().await;
    assert_eq!(runtime.observe()[&task], TaskObservation::Prepared);
    let again = TaskLaunch {
        files: vec![file("/run/secrets/pw", "brought again")],
        ..launch
    };
    let (_, output) = run(&runtime, again).await;
    assert_eq!(output.trim(), "brought again");
}

#[tokio::test]
async fn large_files_arrive_whole_and_a_file_that_cannot_be_is_told() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let large = "x".repeat(500 << 10);
    let files = (0..6).map(|n| file(&format!("/run/secrets/{n}"), &large));
    let launch = TaskLaunch {
        files: files.collect(),
        ..bench.shell("cat /run/secrets/* | wc -c")
    };
    let (exit, output) = run(&runtime, launch).await;
    assert_eq!(exit.reason, ExitReason::Code(0), "{output}");
    assert_eq!(output.trim(), (6 * (500 << 10)).to_string());

    let launch = TaskLaunch {
        files: vec![file("/etc", "x")],
        ..bench.shell("true")
    };
    let (exit, _) = run(&runtime, launch).await;
    let ExitReason::NotStarted(why) = exit.reason else {
        panic!("{exit:?}");
    };
    assert!(why.contains("/etc"), "{why}");
}

#[tokio::test]
async fn a_task_is_never_started_without_its_files() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = TaskLaunch {
        files: vec![file("/run/secrets/pw", CANARY)],
        ..bench.shell("echo ran")
    };
    let task = launch.id;
    runtime.prepare(launch).await.unwrap();
    drop(runtime);
    let runtime = bench.open().await;
    // Nobody brought them again.
    runtime.start(task).await.unwrap();
    let exit = exit(&runtime, task).await;
    let ExitReason::NotStarted(why) = exit.reason else {
        panic!("{exit:?}");
    };
    assert!(why.contains("secrets and configs"), "{why}");
    assert_eq!(output(&runtime, task).await, "");
}
