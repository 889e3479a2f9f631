use super::*;
use crate::fixture::cluster;
use crate::fixture::node;
use crate::fixture::state;
use weft_proto::object::Object;
use weft_raft::Follower;

fn manager(n: u16, role: Role) -> Node {
    let mut node = node(n);
    node.spec.role = role;
    node.manager = Some(ManagerStatus {
        raft_id: n.into(),
        addr: format!("192.0.2.{n}:2377").parse().unwrap(),
    });
    node
}

/// Seen by manager 1, which leads; those of `answering` were heard just now.
fn raft(voters: &[u16], answering: &[u16], now: Instant) -> RaftStatus {
    let of = |n: &u16| {
        let node = manager(*n, Role::Manager);
        member(&node, node.manager.unwrap())
    };
    let members: BTreeMap<_, _> = voters.iter().map(of).map(|m| (m.raft_id, m)).collect();
    let heard = |n: &u16| Follower {
        matched: Some(u64::from(10 + n)),
        last_ack: answering.contains(n).then_some(now),
    };
    let others = voters.iter().filter(|n| **n != 1);
    RaftStatus {
        me: of(&1),
        leader: Some(of(&1)),
        is_leader: true,
        term: 1,
        last_applied: 9,
        committed: 9,
        last_log: 9,
        snapshot: None,
        purged: None,
        voters: members.keys().copied().collect(),
        learners: BTreeSet::new(),
        members,
        joint: false,
        quorum_acked: Some(now),
        followers: others.map(|n| (RaftId((*n).into()), heard(n))).collect(),
        lease: Duration::from_millis(600),
        fatal: None,
    }
}

fn next(nodes: Vec<Node>, raft: &RaftStatus, now: Instant) -> Option<MembershipStep> {
    let mut objects = vec![Object::from(cluster())];
    objects.extend(nodes.into_iter().map(Object::from));
    plan(&state(objects), raft, now)
}

#[test]
fn a_manager_that_joined_becomes_a_learner_and_a_learner_that_follows_a_voter() {
    let now = Instant::now();
    let nodes = || vec![manager(1, Role::Manager), manager(2, Role::Manager)];
    let mut raft = raft(&[1], &[], now);
    let two = manager(2, Role::Manager);
    let two = member(&two, two.manager.unwrap());
    let step = next(nodes(), &raft, now);
    assert_eq!(step, Some(MembershipStep::AddLearner(two)));
    raft.members.insert(RaftId(2), two);
    raft.learners.insert(RaftId(2));
    assert_eq!(next(nodes(), &raft, now), None, "it has not answered yet");
    let follower = Follower {
        matched: Some(1),
        last_ack: Some(now),
    };
    raft.followers.insert(RaftId(2), follower);
    assert_eq!(
        next(nodes(), &raft, now),
        Some(MembershipStep::Promote(RaftId(2)))
    );
}

#[test]
fn a_demoted_manager_goes_and_is_told_once_its_voice_counts_no_longer() {
    let now = Instant::now();
    let nodes = || {
        vec![
            manager(1, Role::Manager),
            manager(2, Role::Worker),
            manager(3, Role::Manager),
        ]
    };
    let three = raft(&[1, 2, 3], &[2, 3], now);
    assert_eq!(
        next(nodes(), &three, now),
        Some(MembershipStep::Remove(RaftId(2)))
    );
    let mut two = raft(&[1, 3], &[3], now);
    let Some(MembershipStep::Retire(retired)) = next(nodes(), &two, now) else {
        panic!("it is not told");
    };
    assert_eq!((retired.id, retired.manager), (node(2).id, None));
    two.joint = true;
    assert_eq!(next(nodes(), &two, now), None, "both sets still decide");
}

#[test]
fn a_demoted_manager_stays_as_long_as_the_rest_could_not_decide() {
    let now = Instant::now();
    let nodes = vec![
        manager(1, Role::Manager),
        manager(2, Role::Worker),
        manager(3, Role::Manager),
    ];
    let three = raft(&[1, 2, 3], &[2], now);
    assert_eq!(next(nodes, &three, now), None);
}

#[test]
fn one_that_was_removed_goes_even_so() {
    let now = Instant::now();
    let nodes = vec![manager(1, Role::Manager), manager(3, Role::Manager)];
    let three = raft(&[1, 2, 3], &[2], now);
    assert_eq!(
        next(nodes, &three, now),
        Some(MembershipStep::Remove(RaftId(2)))
    );
}

#[test]
fn a_demoted_leader_hands_over_to_the_best_that_stays_and_answers() {
    let now = Instant::now();
    let nodes = || {
        vec![
            manager(1, Role::Worker),
            manager(2, Role::Manager),
            manager(3, Role::Manager),
        ]
    };
    let all = raft(&[1, 2, 3], &[2, 3], now);
    assert_eq!(
        next(nodes(), &all, now),
        Some(MembershipStep::HandOver(RaftId(3)))
    );
    let late = now + ANSWERS_WITHIN;
    assert_eq!(next(nodes(), &all, late), None, "nobody is in touch");
}

#[test]
fn a_manager_that_moved_is_followed() {
    let now = Instant::now();
    let mut moved = manager(2, Role::Manager);
    let addr = "192.0.2.99:2377".parse().unwrap();
    moved.manager = Some(ManagerStatus { raft_id: 2, addr });
    let step = next(
        vec![manager(1, Role::Manager), moved],
        &raft(&[1, 2], &[2], now),
        now,
    );
    assert!(
        matches!(step, Some(MembershipStep::Move(member)) if member.addr == addr),
        "{step:?}"
    );
}
