//! A leader whose disk hangs keeps sending heartbeats; it has to give its office away itself.

use super::disk::Failing;
use super::suite::Nothing;
use crate::Dialer;
use crate::Member;
use crate::RaftConfig;
use crate::RaftId;
use crate::RaftNode;
use crate::directory::open_dir;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use weft_proto::ClusterId;
use weft_proto::NodeId;

struct Direct;

impl Dialer for Direct {
    fn channel(&self, member: &Member) -> Channel {
        let uri = format!("http://{}", member.addr);
        Endpoint::from_shared(uri).unwrap().connect_lazy()
    }
}

async fn member(number: u64, dir: &TempDir, hang: &Arc<AtomicBool>) -> RaftNode {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let me = Member {
        raft_id: RaftId(number),
        node_id: NodeId::from_entropy(u128::from(number)),
        addr: listener.local_addr().unwrap(),
    };
    let mut config = RaftConfig::new(me, ClusterId::from_entropy(1), dir.path());
    config.slow_disk = Duration::from_millis(300);
    let mut opened = open_dir(&config).unwrap();
    opened.engine = Box::new(Failing {
        inner: opened.engine,
        fail: Arc::default(),
        hang: Arc::clone(hang),
    });
    let node = RaftNode::start_opened(config, opened, Arc::new(Nothing), Arc::new(Direct));
    let node = node.await.unwrap();
    let server = Server::builder().add_service(node.service());
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_with_a_hanging_disk_hands_its_office_over() {
    const CEILING: Duration = Duration::from_secs(20);
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let (hang, never) = (Arc::default(), Arc::default());
    let leader = member(1, &dirs[0], &hang).await;
    leader.bootstrap().await.unwrap();
    let mut others = Vec::new();
    for (number, dir) in (2..).zip(&dirs[1..]) {
        let other = member(number, dir, &never).await;
        leader.add_learner(other.me()).await.unwrap();
        leader.promote(other.me().raft_id, CEILING).await.unwrap();
        others.push(other);
    }
    hang.store(true, Ordering::SeqCst);
    let write = leader.propose(vec![1]);
    let acknowledged = timeout(CEILING, write).await.unwrap();
    assert!(acknowledged.is_ok(), "the followers' disks are a majority");
    let mut status = others[0].status();
    let succeeded = status.wait_for(|s| s.leader.is_some_and(|l| l.raft_id != RaftId(1)));
    let next = timeout(CEILING, succeeded).await.unwrap().unwrap().leader;
    let next = others.iter().find(|n| Some(n.me()) == next).unwrap();
    next.propose(vec![2]).await.unwrap();
    hang.store(false, Ordering::SeqCst);
    for node in others.iter().chain([&leader]) {
        node.shutdown().await;
    }
}
