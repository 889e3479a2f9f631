//! Names, asked from inside tasks.

use crate::traffic::dig;
use crate::traffic::oracle;
use crate::world::World;
use crate::world::placed;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_finds_services_and_tasks_of_its_networks_and_learns_of_changes() {
    let tasks = vec![
        placed("ask.1", 1, &[(1, "10.5.1.2")]),
        placed("web.1", 2, &[(1, "10.5.1.3")]),
        placed("web.2", 2, &[(1, "10.5.1.4")]),
        placed("front.1", 1, &[(1, "10.5.1.5")]),
        placed("front.2", 2, &[(1, "10.5.1.6")]),
        placed("other.1", 2, &[(2, "10.5.2.2")]),
    ];
    let services = vec![
        ("web", 1, Some("10.5.1.101")),
        ("robin", 1, None),
        ("front", 1, None),
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
    assert_eq!(dig(&from, &["front"]), ["10.5.1.5", "10.5.1.6"]);
    assert_eq!(dig(&from, &["robin"]), [""; 0]);
    assert_eq!(dig(&from, &["other"]), [""; 0]);

    world.tasks[1].ready = false;
    world.reconcile().await;
    assert_eq!(dig(&from, &["tasks.web"]), ["10.5.1.4"]);
    assert_eq!(dig(&from, &["web"]), ["10.5.1.101"]);
}

/// What the header of an answer says: NOERROR, NXDOMAIN, SERVFAIL.
fn status(world: &World, name: &str) -> String {
    let text = oracle(
        &world.netns("ask.1"),
        "dig",
        &["@127.0.0.11", "+tries=1", "+time=6", name],
    );
    let (_, rest) = text.split_once("status: ").unwrap();
    rest.split_once(',').unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_task_with_a_way_out_has_its_questions_passed_on() {
    let tasks = vec![placed("ask.1", 1, &[(1, "10.5.1.2")])];
    let mut world = World::new(tasks, vec![]).await;
    world.reconcile().await;
    assert_eq!(status(&world, "example.org"), "NXDOMAIN");
    // These nodes have no resolver to pass it on to, which is another answer than "no such name".
    world.internal = false;
    world.reconcile().await;
    assert_eq!(status(&world, "example.org"), "SERVFAIL");
}
