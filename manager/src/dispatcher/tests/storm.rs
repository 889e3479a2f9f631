//! Many agents at once.

use crate::dispatcher::tests::support::Bed;
use crate::dispatcher::tests::support::eventually;
use crate::fixture::*;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tonic::Status;
use weft_proto::addr::NodeNumber;
use weft_proto::object::*;
use weft_proto::task_state::TaskState;
use weft_proto::wire;
use weft_proto::wire::manager_message::Kind as ToAgent;

const AGENTS: u16 = 1_000;

fn worker(n: u16) -> Node {
    let mut worker = node(1);
    worker.id = node_id(u128::from(n));
    worker.number = NodeNumber::try_from(n).unwrap();
    let [high, low] = n.to_be_bytes();
    worker.data_addr = IpAddr::V4(Ipv4Addr::new(192, 0, high, low));
    worker
}

/// Every one of a thousand agents that lost their manager comes to this one in the same moment, and
/// each is told all that is its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_agents_that_come_at_once_are_all_served() {
    let workers: Vec<Node> = (1..=AGENTS).map(worker).collect();
    let mut objects: Vec<Object> = vec![cluster().into(), service(1, 1).into()];
    for (n, worker) in (1_u16..).zip(&workers) {
        let mine = task(u128::from(n), &service(1, 1)).slot(u32::from(n));
        objects.push(mine.on(worker).state(TaskState::Assigned).into());
        objects.push(worker.clone().into());
    }
    let bed = Arc::new(Bed::new(objects).await);
    let (served, mut agents) = (Arc::new(AtomicUsize::new(0)), tokio::task::JoinSet::new());
    for worker in workers {
        let (bed, served) = (Arc::clone(&bed), Arc::clone(&served));
        agents.spawn(async move {
            // Who is not served in time comes again, as agents do.
            let all = loop {
                match snapshot(&bed, &worker).await {
                    Ok(all) => break all,
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            };
            assert!(all.snapshot);
            // Its own task and all nodes.
            assert_eq!(all.upserts.len(), 1 + usize::from(AGENTS));
            served.fetch_add(1, Ordering::Relaxed);
        });
    }
    let all = async {
        while let Some(agent) = agents.join_next().await {
            agent.unwrap();
        }
    };
    let ceiling = tokio::time::timeout(Duration::from_secs(300), all).await;
    assert!(
        ceiling.is_ok(),
        "{} were served",
        served.load(Ordering::Relaxed)
    );
    assert_eq!(served.load(Ordering::Relaxed), usize::from(AGENTS));
    let left = || bed.presence.count() == 0;
    eventually("agents that left hold no session", left).await;
}

/// What an agent is told first.
async fn snapshot(bed: &Bed, worker: &Node) -> Result<wire::Assignments, Status> {
    let mut agent = bed.introduce(worker).await?;
    loop {
        let message = agent.message().await?;
        let message = message.ok_or_else(|| Status::unknown("closed"))?;
        if let Some(ToAgent::Assignments(all)) = message.kind {
            return Ok(all);
        }
    }
}
