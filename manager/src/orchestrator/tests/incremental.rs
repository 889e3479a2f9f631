//! Planning for what changed ends where planning for everything does.

use crate::orchestrator::tests::world::World;
use proptest::prelude::*;
use weft_proto::task_state::DesiredState;

/// What people and machines do.
fn action() -> impl Strategy<Value = String> {
    let service = prop_oneof![Just("web"), Just("agent"), Just("sum"), Just("sweep")];
    let node = 1..4_u8;
    prop_oneof![
        (1..6_u32).prop_map(|n| format!("update web replicas={n}")),
        (1..6_u32).prop_map(|n| format!("update sum replicas={n}")),
        (service.clone(), 1..4_u32).prop_map(|(s, v)| format!("update {s} command=v{v}")),
        service.clone().prop_map(|s| format!("update {s} force")),
        service.clone().prop_map(|s| format!("rollback {s}")),
        Just("update web update-order=start-first".to_owned()),
        Just("update web update-action=rollback".to_owned()),
        node.clone().prop_map(|n| format!("drain n{n}")),
        node.clone().prop_map(|n| format!("pause n{n}")),
        node.clone().prop_map(|n| format!("activate n{n}")),
        node.clone().prop_map(|n| format!("node n{n} down")),
        node.clone().prop_map(|n| format!("node n{n} up")),
        (node.clone(), 0..2_u8).prop_map(|(n, v)| format!("label n{n} disk={v}")),
        Just("update web constraint=disk:1".to_owned()),
        (1..4_u32, 1..40_u32).prop_map(|(v, s)| format!("fate v{v} fails after {s}s")),
        (1..4_u32, 1..40_u32).prop_map(|(v, s)| format!("fate v{v} completes after {s}s")),
        (1..4_u32).prop_map(|v| format!("fate v{v} hangs")),
        (1..4_u32).prop_map(|v| format!("fate v{v} runs")),
        (1..90_u32).prop_map(|s| format!("tick {s}s")),
        (1..90_u32).prop_map(|s| format!("tick {s}s")),
        Just("failover".to_owned()),
    ]
}

/// The cluster without the names of its tasks.
fn picture(world: &World) -> Vec<String> {
    let mut lines: Vec<String> = world
        .tasks()
        .iter()
        .map(|task| {
            let node = task.node.map(|id| world.node_name(id));
            format!(
                "{} {} {} {:?} {} {} {}",
                task.name(),
                task.status.state,
                task.desired,
                node,
                task.spec.command[0],
                task.iteration,
                task.status.message
            )
        })
        .collect();
    lines.sort();
    let services = world.state.services();
    lines.extend(services.map(|s| format!("{:?} {:?} {}", s.update, s.run, s.previous.is_some())));
    lines
}

/// In no slot do more than two tasks run: one that serves and one that takes its place.
fn crowded(world: &World) -> Option<String> {
    let tasks = world.tasks();
    let wanted = tasks.iter().filter(|task| task.is_wanted());
    let mut names: Vec<String> = wanted.map(|task| task.name()).collect();
    names.sort();
    let crowd = names.windows(3).find(|three| three[0] == three[2]);
    let forgotten = tasks
        .iter()
        .any(|task| task.desired == DesiredState::Remove && task.status.state.is_terminal());
    crowd
        .map(|three| three[0].clone())
        .or_else(|| forgotten.then(|| "a task to be forgotten is there".to_owned()))
}

const BEGIN: [&str; 7] = [
    "node n1 disk=1",
    "node n2 disk=1",
    "node n3",
    "service web replicas=3 update-parallelism=2",
    "service agent mode=global",
    "service sum mode=replicated-job replicas=3 concurrent=2 schedule=*_*_*_*_*",
    "service sweep mode=global-job attempts=2",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn planning_for_what_changed_ends_where_planning_for_everything_does(
        actions in prop::collection::vec(action(), 1..25)
    ) {
        let (mut parts, mut whole) = (World::new(false), World::new(true));
        let begin = BEGIN.iter().map(|line| (*line).to_owned());
        for line in begin.chain(actions) {
            parts.act(&line);
            whole.act(&line);
            prop_assert_eq!(picture(&parts), picture(&whole), "after {}", line);
            prop_assert_eq!(crowded(&parts), None, "after {}\n{}", line, parts.log.join("\n"));
        }
    }
}
