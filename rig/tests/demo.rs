//! The demo from beginning to end, with a stand-in for the product that answers as a healthy
//! cluster would.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use weft_rig::demo;
use weft_rig::demo::DemoError;
use weft_rig::demo::Progress;
use weft_rig::layout::Layout;
use weft_rig::leftovers::leftovers;

fn layout(name: &str) -> Layout {
    Layout::test(&format!("rig-{name}-{}-1", std::process::id()))
}

/// Removes the demo also when the test fails.
struct Guard(Layout);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = demo::down(&self.0) {
            eprintln!("{error}");
        }
    }
}

fn fake() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake-cluster.sh")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn the_demo_comes_up_shows_itself_and_leaves_nothing() {
    let layout = layout("up");
    let guard = Guard(layout.clone());
    assert!(matches!(demo::status(&layout), Err(DemoError::NotUp)));
    assert!(!demo::down(&layout).unwrap(), "there was nothing to remove");

    let mut told = Vec::new();
    let summary = demo::up(&layout, &fake(), &mut |step| told.push(step)).unwrap();
    let begun = told
        .iter()
        .filter(|step| matches!(step, Progress::Begin(_)))
        .count();
    assert_eq!(begun * 2, told.len(), "a step was not ended: {told:?}");
    assert!(told.contains(&Progress::Begin(
        "weft cluster join on n5 as worker".to_owned()
    )));
    let text = summary.to_string();
    assert!(
        text.contains("TABLE of node ls") && text.contains(":8080"),
        "{text}"
    );

    let again = demo::up(&layout, &fake(), &mut |_| {});
    assert!(matches!(again, Err(DemoError::AlreadyUp)));

    let status = demo::status(&layout).unwrap();
    assert_eq!(status.nodes.len(), 5);
    assert!(
        status.nodes.iter().all(|line| line.answers == [true, true]),
        "{status}"
    );
    assert!(
        status.to_string().contains("TABLE of service ls"),
        "{status}"
    );

    let on_node = demo::exec(&layout, "n3", &words(&["sh", "-c", "[ $(hostname) = n3 ]"]));
    assert!(on_node.unwrap().success());
    let in_task = demo::exec(
        &layout,
        "redis.1",
        &words(&["sh", "-c", "[ $(hostname) = redis-1 ]"]),
    );
    assert!(in_task.unwrap().success());
    let nobody = demo::exec(&layout, "redis.7", &words(&["true"]));
    assert!(matches!(nobody, Err(DemoError::NoTarget { .. })));

    assert!(demo::down(&layout).unwrap());
    assert_eq!(leftovers(&layout).unwrap(), [] as [String; 0]);
    drop(guard);
}

#[test]
fn a_failing_step_names_itself_quotes_the_daemons_and_removes_everything() {
    let layout = layout("fail");
    let _guard = Guard(layout.clone());
    let temp = tempfile::tempdir().unwrap();
    let broken = temp.path().join("weft");
    let script = fs::read_to_string(fake()).unwrap();
    let script = script.replace("echo initialised", "{ echo 'disk is full' >&2; exit 1; }");
    fs::write(&broken, script).unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();

    let error = demo::up(&layout, &broken, &mut |_| {})
        .unwrap_err()
        .to_string();
    for part in [
        "weft cluster init on n1 failed",
        "disk is full",
        "fake daemon of n1",
        "removed",
    ] {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
    assert_eq!(leftovers(&layout).unwrap(), [] as [String; 0]);
}
