//! Three members over real connections: writes, failures, restarts, membership.

mod common;

use common::CEILING;
use common::Cluster;
use common::eventually;
use common::id;
use std::time::Duration;
use tokio::time::Instant;
use tonic::Code;
use weft_proto::ClusterId;
use weft_proto::wire;
use weft_raft::MembershipError;
use weft_raft::ProposeError;
use weft_raft::ReadError;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn followers_name_the_leader_and_see_what_it_writes() {
    let cluster = Cluster::of_three(10_000).await;
    let leader = cluster.leader().await;
    let applied = cluster.write("a", "1").await;
    assert_eq!(applied.response, applied.index.to_be_bytes());
    let follower = cluster.alive().into_iter().find(|n| *n != leader).unwrap();
    let refused = cluster.node(follower).propose(b"b=1".to_vec()).await;
    let Err(ProposeError::NotLeader {
        leader: Some(named),
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(named, cluster.hosts[&leader].member);
    assert!(matches!(
        cluster.node(follower).read_index().await,
        Err(ReadError::NotLeader { leader: Some(_) })
    ));
    cluster.settle().await;
    assert_eq!(cluster.get(follower, "a").as_deref(), Some("1"));
    cluster.assert_same_everywhere();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_leaders_lose_no_acknowledged_write() {
    let mut cluster = Cluster::of_three(10_000).await;
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        for i in 0..20 {
            let key = format!("{round}-{i}");
            cluster.write(&key, "x").await;
            acknowledged.push(key);
        }
        let leader = cluster.leader().await;
        cluster.kill(leader);
        let key = format!("after-{round}");
        cluster.write(&key, "x").await;
        acknowledged.push(key);
        cluster.start(leader).await.unwrap();
    }
    cluster.settle().await;
    for number in cluster.alive() {
        for key in &acknowledged {
            assert!(
                cluster.get(number, key).is_some(),
                "member {number} lost {key}"
            );
        }
    }
    cluster.assert_same_everywhere();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_whole_cluster_restart_keeps_everything_after_the_log_was_purged() {
    let mut cluster = Cluster::of_three(40).await;
    for i in 0..200 {
        cluster.write(&format!("k{i}"), "x").await;
    }
    for number in cluster.alive() {
        let status = cluster.node(number).status();
        eventually("a purged log", || {
            status.borrow().purged.filter(|p| *p > 40)
        })
        .await;
    }
    for kill in [true, false] {
        for number in cluster.alive() {
            if kill {
                cluster.kill(number);
            } else {
                cluster.stop(number).await;
            }
        }
        for number in [1, 2, 3] {
            cluster.start(number).await.unwrap();
            let status = cluster.node(number).status();
            assert!(status.borrow().is_initialised(), "known at once");
        }
        cluster.write(&format!("after-{kill}"), "x").await;
        cluster.settle().await;
        for number in cluster.alive() {
            assert!((0..200).all(|i| cluster.get(number, &format!("k{i}")).is_some()));
        }
        cluster.assert_same_everywhere();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_learner_joins_by_snapshot_is_promoted_and_can_be_removed() {
    let mut cluster = Cluster::of_one(40).await;
    for i in 0..150 {
        cluster.write(&format!("k{i}"), "x").await;
    }
    let status = cluster.node(1).status();
    eventually("a purged log", || status.borrow().purged).await;
    cluster.join(2).await;
    cluster.settle().await;
    assert!((0..150).all(|i| cluster.get(2, &format!("k{i}")).is_some()));
    let joined = cluster.node(2).status();
    eventually("the snapshot at the learner", || joined.borrow().snapshot).await;
    assert!(cluster.node(1).status().borrow().voters.contains(&id(2)));

    let stranger = cluster.node(1).promote(id(9), CEILING).await;
    assert_eq!(stranger, Err(MembershipError::Unknown { id: id(9) }));
    cluster.node(1).remove(id(2)).await.unwrap();
    cluster.node(1).remove(id(2)).await.unwrap();
    cluster.write("alone", "x").await;
    let last = cluster.node(1).remove(id(1)).await;
    assert_eq!(last, Err(MembershipError::LastVoter { id: id(1) }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_leader_hands_its_office_over_on_request() {
    let cluster = Cluster::of_three(10_000).await;
    let leader = cluster.leader().await;
    let term = cluster.node(leader).status().borrow().term;
    let next = cluster.alive().into_iter().find(|n| *n != leader).unwrap();
    cluster
        .node(leader)
        .transfer_leader(id(next))
        .await
        .unwrap();
    assert_eq!(cluster.leader().await, next);
    cluster.write("a", "1").await;
    let stale = cluster
        .node(next)
        .propose_in_term(term, b"b=1".to_vec())
        .await;
    assert!(
        matches!(stale, Err(ProposeError::NotLeader { .. })),
        "{stale:?}"
    );
    let now = cluster.node(next).status().borrow().term;
    cluster
        .node(next)
        .propose_in_term(now, b"c=1".to_vec())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_leader_without_majority_stops_answering_and_says_why() {
    let mut cluster = Cluster::of_three(10_000).await;
    let leader = cluster.leader().await;
    for number in cluster.alive() {
        if number != leader {
            cluster.kill(number);
        }
    }
    let status = cluster.node(leader).status();
    eventually("the office ends", || {
        (!status.borrow().holds_office(Instant::now())).then_some(())
    })
    .await;
    assert!(cluster.node(leader).read_index().await.is_err());
    let refused = cluster.node(leader).propose(b"a=1".to_vec()).await;
    assert_eq!(refused, Err(ProposeError::NotLeader { leader: None }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lost_majority_is_recovered_from_one_directory() {
    let mut cluster = Cluster::of_three(40).await;
    for i in 0..100 {
        cluster.write(&format!("k{i}"), "x").await;
    }
    cluster.settle().await;
    for number in [1, 2, 3] {
        cluster.stop(number).await;
    }
    weft_raft::force_new_cluster(&cluster.hosts[&3].config).unwrap();
    cluster.start(3).await.unwrap();
    assert_eq!(cluster.leader().await, 3);
    cluster.write("after", "x").await;
    assert!((0..100).all(|i| cluster.get(3, &format!("k{i}")).is_some()));
    let members = cluster.node(3).status().borrow().members.len();
    assert_eq!(members, 1);
    cluster.join(4).await;
    cluster.settle().await;
    cluster.assert_same_everywhere();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_member_that_moved_is_found_at_its_new_address() {
    let mut cluster = Cluster::of_three(10_000).await;
    let leader = cluster.leader().await;
    let moved = cluster.alive().into_iter().find(|n| *n != leader).unwrap();
    cluster.stop(moved).await;
    let old = cluster.hosts[&moved].member.addr;
    cluster.add_host(moved).await;
    let member = cluster.hosts[&moved].member;
    assert_ne!(member.addr, old);
    cluster.start(moved).await.unwrap();
    cluster.node(leader).update_addr(member).await.unwrap();
    cluster.write("a", "1").await;
    cluster.settle().await;
    assert_eq!(cluster.get(moved, "a").as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calls_from_another_cluster_or_for_another_member_are_refused() {
    let cluster = Cluster::of_one(10_000).await;
    let addr = cluster.hosts[&1].member.addr;
    let mut client = wire::raft_client::RaftClient::connect(format!("http://{addr}"))
        .await
        .unwrap();
    let request = |cluster: ClusterId, to| wire::RaftVoteRequest {
        header: Some(wire::RaftHeader {
            acknowledged: None,
            cluster: cluster.to_string(),
            from: 2,
            to,
        }),
        vote: Some(wire::RaftVote {
            term: 99,
            node: 2,
            committed: false,
        }),
        last_log_id: None,
        leadership_transfer: true,
    };
    let foreign = ClusterId::from_entropy(43);
    for wrong in [request(foreign, 1), request(cluster.id, 7)] {
        let refused = client.vote(wrong.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        let refused = client.pre_vote(wrong.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        let append = wire::RaftAppendRequest {
            header: wrong.header,
            vote: wrong.vote,
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: None,
        };
        let requests = futures::stream::iter([append]);
        let mut replies = client.append(requests).await.unwrap().into_inner();
        let refused = replies.message().await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
    }
    let term = cluster.node(1).status().borrow().term;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(term < 99, "a foreign vote was counted");
    cluster.write("a", "1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_follower_whose_disk_went_back_is_told_so_and_never_votes_again() {
    let mut cluster = Cluster::of_three(10_000).await;
    cluster.write("old", "1").await;
    let leader = cluster.leader().await;
    let follower = *cluster.alive().iter().find(|n| **n != leader).unwrap();
    cluster.settle().await;
    // A copy, as of a virtual machine's disk.
    cluster.stop(follower).await;
    let (dir, copy) = (cluster.host_dir(follower), cluster.host_dir(99));
    copy_all(&dir, &copy).unwrap();
    cluster.start(follower).await.unwrap();
    for i in 0..20 {
        cluster.write(&format!("new-{i}"), "1").await;
    }
    cluster.settle().await;
    assert_eq!(cluster.leader().await, leader, "the same one all the time");

    cluster.stop(follower).await;
    std::fs::remove_dir_all(&dir).unwrap();
    copy_all(&copy, &dir).unwrap();
    cluster.start(follower).await.unwrap();
    let why = tokio::time::timeout(CEILING, cluster.node(follower).failed()).await;
    let why = why.expect("it stops");
    assert!(why.contains("forgotten"), "{why}");
    cluster.kill(follower);
    let again = cluster.start(follower).await.unwrap_err();
    assert!(again.is_damage(), "{again:?}");
    // The others never noticed.
    cluster.write("after", "1").await;
    assert_eq!(cluster.leader().await, leader);
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
