use super::*;
use crate::agent::Hello;
use crate::agent::Managers;
use crate::agent::Told;
use crate::agent::fake_manager::CEILING;
use crate::agent::fake_manager::FakeManager;
use crate::agent::fake_manager::Held;
use crate::desired::Desired;
use crate::fixture::desired;
use crate::fixture::node_id;
use crate::fixture::status;
use crate::fixture::task;
use crate::fixture::task_id;
use crate::fixture::tunnel_key;
use crate::keys::KeyTable;
use crate::runtime::Runtime;
use crate::runtime::TaskLaunch;
use crate::runtime::fake::FakeRuntime;
use bytes::Bytes;
use std::time::UNIX_EPOCH;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;
use weft_proto::NodeId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::EpochsRecord;
use weft_proto::assignment::TunnelRecord;
use weft_proto::key::SecretKey;
use weft_proto::task_state::TaskState;

struct Node {
    desired: watch::Receiver<Arc<Desired>>,
    outbox: watch::Sender<Outbox>,
    applied: watch::Sender<u64>,
    runtime: Arc<FakeRuntime>,
    told: watch::Sender<Told>,
    keys: watch::Sender<Arc<KeyTable>>,
    _end: tokio_util::sync::DropGuard,
}

impl Node {
    fn start(first: Option<SocketAddr>, managers: Vec<SocketAddr>) -> Self {
        let (desired_tx, desired) = watch::channel(Arc::default());
        let (outbox, outbox_rx) = watch::channel(Outbox::new());
        let (applied, applied_rx) = watch::channel(0);
        let told = watch::Sender::new(Told::default());
        let keys = watch::Sender::<Arc<KeyTable>>::default();
        let runtime = Arc::new(FakeRuntime::new());
        let agent = Agent {
            keys: keys.clone(),
            hello: Hello {
                node: node_id(),
                description: crate::describe::describe("host".to_owned(), "0.1.0"),
                data_addr: "192.0.2.7".parse().unwrap(),
                tunnel_key: tunnel_key(1),
                instance: 7,
            },
            managers: Managers::new(managers, first),
            dial: Arc::new(|addr| {
                let uri = format!("http://{addr}");
                Endpoint::from_shared(uri).unwrap().connect_lazy()
            }),
            desired: desired_tx,
            outbox: outbox_rx,
            applied: applied_rx,
            told: told.clone(),
            runtime: runtime.clone(),
            seed: 1,
        };
        let end = CancellationToken::new();
        tokio::spawn(agent.run(end.clone()));
        Node {
            desired,
            outbox,
            applied,
            runtime,
            told,
            keys,
            _end: end.drop_guard(),
        }
    }

    async fn reaches(&mut self, revision: u64) -> Arc<Desired> {
        let reached = self
            .desired
            .wait_for(|desired| desired.revision == revision);
        let reached = timeout(CEILING, reached).await.expect("in time");
        Arc::clone(&reached.unwrap())
    }
}

#[tokio::test]
async fn a_snapshot_and_deltas_become_what_is_desired() {
    let mut manager = FakeManager::start().await;
    let mut node = Node::start(None, vec![manager.addr]);
    let mut session = manager.session().await;
    session.welcome().await;
    session.snapshot(3, [task(1)]).await;
    assert_eq!(*node.reaches(3).await, desired(3, [task(1)]));
    session.delta(5, [task(2)]).await;
    assert_eq!(*node.reaches(5).await, desired(5, [task(1), task(2)]));
    // Older than what is known: changes nothing.
    session.delta(4, [task(3)]).await;
    session.delta(6, []).await;
    assert_eq!(*node.reaches(6).await, desired(6, [task(1), task(2)]));
}

fn keys(snapshot: bool, active: u64, newest: u64) -> Assignments {
    let key = |epoch| (epoch, SecretKey::new([0xc0; 32]));
    Assignments {
        snapshot,
        upserts: vec![
            Assignment::Epochs(EpochsRecord { active, newest }),
            Assignment::Tunnel(TunnelRecord {
                node: NodeId::from_entropy(2),
                public_key: tunnel_key(2),
                data_addr: "192.0.2.8".parse().unwrap(),
                keys: (active..=newest).map(key).collect(),
            }),
        ],
        ..desired(3, []).to_snapshot()
    }
}

async fn held(session: &mut Held) -> u64 {
    loop {
        if let Up::KeysHeld(held) = session.next().await {
            return held.epoch;
        }
    }
}

#[tokio::test]
async fn keys_are_held_acknowledged_in_every_session_and_never_saved() {
    let mut manager = FakeManager::start().await;
    let node = Node::start(None, vec![manager.addr]);
    let mut session = manager.session().await;
    session.welcome().await;
    session
        .say(Down::Assignments((&keys(true, 1, 1)).into()))
        .await;
    assert_eq!(held(&mut session).await, 1);
    session
        .say(Down::Assignments((&keys(false, 1, 2)).into()))
        .await;
    assert_eq!(held(&mut session).await, 2);
    let table = Arc::clone(&node.keys.borrow());
    assert_eq!(table.epochs.active, 1);
    assert!(table.active(NodeId::from_entropy(2)).is_some());
    // What goes to the disk is made of this.
    let known = Arc::clone(&node.desired.borrow());
    assert_eq!(known.to_snapshot().upserts, []);

    drop(session);
    let mut session = manager.session().await;
    session.welcome().await;
    session
        .say(Down::Assignments((&keys(true, 1, 2)).into()))
        .await;
    assert_eq!(held(&mut session).await, 2, "the new session knows nothing");
}

#[tokio::test]
async fn the_applied_revision_goes_up_at_once_and_with_every_heartbeat() {
    let mut manager = FakeManager::start().await;
    let node = Node::start(None, vec![manager.addr]);
    let mut session = manager.session().await;
    session.welcome().await;
    session.snapshot(3, []).await;
    node.applied.send_replace(3);
    for _ in 0..3 {
        loop {
            if let Up::Heartbeat(beat) = session.next().await
                && beat.applied_revision == 3
            {
                break;
            }
        }
    }
}

#[tokio::test]
async fn it_moves_to_another_manager_when_its_own_dies_and_says_everything_again() {
    let mut one = FakeManager::start().await;
    let mut two = FakeManager::start().await;
    let mut node = Node::start(Some(one.addr), vec![one.addr, two.addr]);
    let mut session = one.session().await;
    session.welcome().await;
    session.snapshot(3, [task(1)]).await;
    node.reaches(3).await;
    let report = Outbox::from([(task_id(1), status(TaskState::Running))]);
    node.outbox.send_replace(report);
    session.told(task_id(1), TaskState::Running).await;

    drop((one, session));
    let died = Instant::now();
    let mut session = two.session().await;
    assert!(
        died.elapsed() < Duration::from_secs(1),
        "{:?}",
        died.elapsed()
    );
    session.welcome().await;
    session.snapshot(4, [task(1)]).await;
    session.told(task_id(1), TaskState::Running).await;
    assert_eq!(node.reaches(4).await.tasks.len(), 1);
}

#[tokio::test]
async fn it_leaves_a_manager_that_stops_answering() {
    let mut one = FakeManager::start().await;
    let mut two = FakeManager::start().await;
    let mut node = Node::start(Some(one.addr), vec![one.addr, two.addr]);
    let mut frozen = one.session().await;
    frozen.welcome().await;
    frozen.snapshot(3, []).await;
    frozen.delta(3, []).await;
    node.reaches(3).await;
    let mut session = two.session().await;
    session.welcome().await;
    session.snapshot(4, []).await;
    node.reaches(4).await;
}

#[tokio::test]
async fn a_manager_with_nothing_to_say_is_kept() {
    let mut one = FakeManager::start().await;
    let mut two = FakeManager::start().await;
    let mut node = Node::start(Some(one.addr), vec![one.addr, two.addr]);
    let mut quiet = one.session().await;
    quiet.welcome().await;
    quiet.snapshot(3, []).await;
    quiet.delta(4, []).await;
    node.reaches(4).await;
    let other = timeout(SILENCE + Duration::from_millis(500), two.session()).await;
    assert!(other.is_err(), "it stayed");
    quiet.delta(5, []).await;
    node.reaches(5).await;
}

#[tokio::test]
async fn an_older_snapshot_is_refused_and_another_manager_asked() {
    let mut one = FakeManager::start().await;
    let mut two = FakeManager::start().await;
    let mut node = Node::start(Some(one.addr), vec![one.addr, two.addr]);
    let mut session = one.session().await;
    session.welcome().await;
    session.snapshot(10, [task(1)]).await;
    node.reaches(10).await;
    drop(session);

    let mut lagging = two.session().await;
    lagging.welcome().await;
    lagging.snapshot(9, []).await;
    let mut session = one.session().await;
    assert_eq!(*node.desired.borrow().as_ref(), desired(10, [task(1)]));
    session.welcome().await;
    session.snapshot(11, []).await;
    node.reaches(11).await;
}

#[tokio::test]
async fn what_it_is_to_be_is_passed_on_and_so_is_its_removal_but_no_other_refusal() {
    let mut manager = FakeManager::start().await;
    let node = Node::start(None, vec![manager.addr]);
    let mut told = node.told.subscribe();
    let mut session = manager.session().await;
    session.welcome().await;
    session.snapshot(1, []).await;
    let standing = wire::Standing {
        version: 7,
        role: wire::NodeRole::Manager.into(),
        raft_id: 3,
    };
    session.say(Down::Standing(standing)).await;
    let member = Told::Member(Standing::read(standing).unwrap());
    let heard = timeout(CEILING, told.wait_for(|told| *told == member)).await;
    heard.unwrap().unwrap();

    session
        .refuse(tonic::Status::permission_denied("not now"))
        .await;
    let session = manager.session().await;
    assert_eq!(*node.told.borrow(), member);
    session.refuse(weft_pki::removed_status("gone")).await;
    let removed = Told::Removed("gone".to_owned());
    let heard = timeout(CEILING, told.wait_for(|told| *told == removed)).await;
    heard.unwrap().unwrap();
}

#[tokio::test]
async fn it_never_gives_up() {
    let mut manager = FakeManager::start().await;
    let gone = FakeManager::start().await.addr;
    let mut node = Node::start(Some(gone), vec![gone, manager.addr]);
    for revision in 1..4 {
        let mut session = manager.session().await;
        session.welcome().await;
        session.snapshot(revision, []).await;
        node.reaches(revision).await;
    }
}

#[tokio::test]
async fn it_learns_managers_from_a_manager() {
    let mut one = FakeManager::start().await;
    let mut two = FakeManager::start().await;
    let mut node = Node::start(None, vec![one.addr]);
    let mut session = one.session().await;
    session.welcome().await;
    let mut known = desired(3, []);
    known.managers = vec![one.addr, two.addr];
    session
        .say(Down::Assignments((&known.to_snapshot()).into()))
        .await;
    node.reaches(3).await;
    drop((one, session));
    two.session().await;
}

#[tokio::test]
async fn output_of_a_task_is_sent_to_whom_asked() {
    let mut manager = FakeManager::start().await;
    let mut node = Node::start(None, vec![manager.addr]);
    let launch = TaskLaunch::new(task_id(1), vec!["true".to_owned()]);
    node.runtime.prepare(launch).await.unwrap();
    let line = crate::runtime::LogLine {
        time: UNIX_EPOCH + Duration::from_millis(5),
        stream: crate::runtime::LogStream::Stderr,
        bytes: Bytes::from_static(b"hello"),
        partial: false,
    };
    node.runtime.push_log(task_id(1), line);
    let mut session = manager.session().await;
    session.welcome().await;
    session.snapshot(1, [task(1)]).await;
    node.reaches(1).await;
    let task_ids = vec![task_id(1).to_string(), task_id(2).to_string()];
    session
        .say(Down::LogRequest(wire::LogRequest {
            subscription: 7,
            task_ids,
            follow: false,
            tail: 0,
            all: true,
            since_ms: 0,
        }))
        .await;
    let chunk = session.logs().await;
    assert_eq!((chunk.subscription, chunk.end), (7, false));
    let line = &chunk.lines[0];
    assert_eq!(
        (line.line.as_slice(), line.task_name.as_str()),
        (&b"hello"[..], "web.1")
    );
    assert_eq!((line.at_ms, line.stderr), (5, true));
    let chunk = session.logs().await;
    assert!(chunk.end && chunk.lines.is_empty());
}

fn move_to(manager: &FakeManager) -> Down {
    Down::Move(wire::Move {
        manager_addrs: vec![manager.addr.to_string()],
        within_ms: 1,
    })
}

#[tokio::test]
async fn asked_to_move_it_opens_the_new_session_before_it_ends_the_old_one() {
    let mut one = FakeManager::start().await;
    let mut two = FakeManager::start().await;
    let mut node = Node::start(Some(one.addr), vec![one.addr, two.addr]);
    let mut old = one.session().await;
    old.welcome().await;
    old.snapshot(10, [task(1)]).await;
    node.reaches(10).await;
    old.say(move_to(&two)).await;

    let mut new = two.session().await;
    new.welcome().await;
    new.snapshot(9, []).await;
    // The new one does not know enough yet: the old one is still listened to.
    old.delta(11, [task(2)]).await;
    assert_eq!(node.reaches(11).await.tasks.len(), 2);
    assert!(!old.is_over().await, "it is held until the other one is");
    new.delta(12, [task(1), task(2), task(3)]).await;
    assert_eq!(node.reaches(12).await.tasks.len(), 3);
    old.farewell().await;
    new.delta(13, [task(4)]).await;
    assert_eq!(node.reaches(13).await.tasks.len(), 4);
}

#[tokio::test]
async fn a_move_that_fails_leaves_the_session_where_it_is() {
    let mut one = FakeManager::start().await;
    let gone = FakeManager::start().await;
    let mut node = Node::start(Some(one.addr), vec![one.addr]);
    let mut session = one.session().await;
    session.welcome().await;
    session.snapshot(3, []).await;
    node.reaches(3).await;
    let order = move_to(&gone);
    drop(gone);
    session.say(order).await;
    let mut two = FakeManager::start().await;
    session.delta(4, []).await;
    node.reaches(4).await;
    // It can still be asked to go elsewhere.
    let mut new = loop {
        session.say(move_to(&two)).await;
        let new = timeout(Duration::from_millis(500), two.session()).await;
        if let Ok(new) = new {
            break new;
        }
    };
    new.welcome().await;
    new.snapshot(5, []).await;
    node.reaches(5).await;
    session.farewell().await;
}
