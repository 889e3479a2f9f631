//! Names, asked from inside tasks.

use crate::traffic::dig;
use crate::world::World;
use crate::world::placed;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_finds_services_and_tasks_of_its_networks_and_learns_of_changes() {
    let tasks = vec![
        placed("ask.1", 1, &[(1, "10.5.1.2")]),
        placed("web.1", 2, &[(1, "10.5.1.3")]),
        placed("web.2", 2, &[(1, "10.5.1.4")]),
        placed("other.1", 2, &[(2, "10.5.2.2")]),
    ];
    let services = vec![
        ("web", 1, Some("10.5.1.101")),
        ("robin", 1, None),
        ("other", 2, Some("10.5.2.100")),
    ];
    let mut world = World::new(tasks, services).await;
    world.reconcile().await;
    let from = world.netns("ask.1");
    assert_eq!(dig(&from, &["web"]), ["10.5.1.101"]);
    assert_eq!(dig(&from, &["web-alias"]), ["10.5.1.101"]);
    assert_eq!(dig(&from, &["+tcp", "web"]), ["10.5.1.101"]);
    assert_eq!(dig(&from, &["tasks.web"]), ["10.5.1.3", "10.5.1.4"]);
    assert_eq!(dig(&from, &["web.1"]), ["10.5.1.3"]);
    assert_eq!(dig(&from, &["-x", "10.5.1.4"]), ["web.2."]);
    assert_eq!(dig(&from, &["robin"]), [""; 0]);
    assert_eq!(dig(&from, &["other"]), [""; 0]);

    world.tasks[1].ready = false;
    world.reconcile().await;
    assert_eq!(dig(&from, &["tasks.web"]), ["10.5.1.4"]);
    assert_eq!(dig(&from, &["web"]), ["10.5.1.101"]);
}
