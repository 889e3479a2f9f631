use super::*;

fn process(pid: i32, parent: i32) -> ProcessInfo {
    ProcessInfo {
        id: ProcessId { pid, started: 1 },
        parent,
        netns: Some(1),
        marker: None,
        args: Vec::new(),
        cgroups: Vec::new(),
    }
}

fn owner() -> Owner {
    Owner {
        marker: "demo/n1".to_owned(),
        netns: BTreeSet::from([77]),
        cgroup_tag: "demo-n1".to_owned(),
        state_dirs: vec!["/var/lib/weft-demo/n1".into()],
    }
}

fn pids(all: &[ProcessInfo]) -> Vec<i32> {
    select(all, &owner(), 999)
        .iter()
        .map(|process| process.id.pid)
        .collect()
}

#[test]
fn a_task_in_its_own_namespaces_is_found_through_its_parent() {
    let daemon = ProcessInfo {
        netns: Some(77),
        ..process(10, 1)
    };
    let all = [
        process(1, 0),
        daemon,
        process(11, 10),
        process(12, 11),
        process(20, 1),
    ];
    assert_eq!(pids(&all), [10, 11, 12]);
}

#[test]
fn a_task_whose_shim_died_is_found_through_its_cgroup() {
    let orphan = ProcessInfo {
        cgroups: vec!["/weft-demo-n1/redis.1".to_owned()],
        ..process(12, 1)
    };
    assert_eq!(pids(&[orphan, process(13, 1)]), [12]);
}

#[test]
fn a_neighbour_host_with_a_longer_name_is_left_alone() {
    let neighbour = ProcessInfo {
        marker: Some("demo/n10".to_owned()),
        cgroups: vec!["/weft-demo-n10/x".to_owned()],
        ..process(12, 1)
    };
    assert_eq!(pids(&[neighbour]), [] as [i32; 0]);
}

#[test]
fn somebody_reading_a_log_is_left_alone_but_a_shim_is_not() {
    let args = |words: &[&str]| words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
    let file = "/var/lib/weft-demo/n1/state/log";
    let reader = ProcessInfo {
        args: args(&["tail", "-f", file]),
        ..process(12, 1)
    };
    let shim = ProcessInfo {
        args: args(&["/usr/bin/weft", "shim", file]),
        ..process(13, 1)
    };
    assert_eq!(pids(&[reader, shim]), [13]);
}

#[test]
fn the_rig_itself_is_never_chosen() {
    let me = ProcessInfo {
        netns: Some(77),
        ..process(999, 1)
    };
    assert_eq!(pids(&[me]), [] as [i32; 0]);
}

#[test]
fn a_program_name_with_parentheses_does_not_shift_the_fields() {
    let text = "42 (a) S (b) R 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 12345 0";
    let stat = Stat::parse(text).unwrap();
    assert_eq!((stat.dead, stat.parent, stat.started), (false, 7, 12345));
}

#[test]
fn a_killed_program_lives_until_its_last_thread_has_let_go() {
    let stat = |threads| format!("42 (a) Z 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 {threads} 0 12345 0");
    assert!(!Stat::parse(&stat(2)).unwrap().dead);
    assert!(Stat::parse(&stat(1)).unwrap().dead);
}

#[test]
fn this_process_is_alive_and_an_older_one_with_its_number_is_not() {
    let me = ProcessId::current().unwrap();
    assert!(me.is_alive());
    assert!(
        !ProcessId {
            started: me.started - 1,
            ..me
        }
        .is_alive()
    );
}
