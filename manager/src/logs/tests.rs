//! From an agent to a reader, over real sessions, through one manager and through two.

use crate::dispatcher::tests::support::Agent;
use crate::dispatcher::tests::support::Bed;
use crate::fixture::*;
use crate::logs::ClusterLogs;
use crate::logs::LocalLogs;
use crate::logs::LogBroker;
use crate::logs::LogLines;
use crate::logs::LogQuery;
use crate::logs::LogSource;
use crate::logs::Peers;
use crate::logs::subscription::WAITING;
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::transport::Channel;
use weft_proto::NodeId;
use weft_proto::object::NodeState;
use weft_proto::object::Object;
use weft_proto::task_state::TaskState;
use weft_proto::wire;
use weft_proto::wire::agent_message::Kind as FromAgent;
use weft_proto::wire::manager_message::Kind as ToAgent;
use weft_proto::wire::peer_server;

const CEILING: Duration = Duration::from_secs(10);

/// Task 1 on node 1, task 2 on node 2, task 3 on node 3, which is down.
fn world() -> Vec<Object> {
    let service = service(1, 3);
    let mut objects = vec![Object::from(cluster())];
    for n in 1..=3u16 {
        let mut node = node(n);
        if n == 3 {
            node.status.state = NodeState::Down;
        }
        let task = task(u128::from(n), &service).slot(n.into()).on(&node);
        objects.push(task.state(TaskState::Running).into());
        objects.push(node.into());
    }
    objects
}

fn query(tasks: &[u128], follow: bool) -> LogQuery {
    LogQuery {
        tasks: tasks.iter().map(|n| task_id(*n)).collect(),
        follow,
        tail: 10,
        ..LogQuery::default()
    }
}

fn line(task: u128, text: &str) -> wire::LogLine {
    wire::LogLine {
        task_id: task_id(task).to_string(),
        at_ms: 1,
        line: text.as_bytes().to_vec(),
        ..wire::LogLine::default()
    }
}

fn chunk(subscription: u64, lines: Vec<wire::LogLine>, end: bool) -> FromAgent {
    FromAgent::Log(wire::LogChunk {
        subscription,
        lines,
        end,
    })
}

async fn request(agent: &mut Agent) -> wire::LogRequest {
    loop {
        match agent.hear().await {
            ToAgent::LogRequest(request) => return request,
            ToAgent::Assignments(_)
            | ToAgent::Welcome(_)
            | ToAgent::Standing(_)
            | ToAgent::Move(_) => {}
            ToAgent::LogCancel(cancel) => panic!("{cancel:?} before the request"),
        }
    }
}

async fn cancelled(agent: &mut Agent) -> u64 {
    loop {
        if let ToAgent::LogCancel(cancel) = agent.hear().await {
            return cancel.subscription;
        }
    }
}

async fn next(lines: &mut LogLines) -> Option<wire::LogLine> {
    tokio::time::timeout(CEILING, lines.next())
        .await
        .expect("no line comes")
}

async fn texts(lines: LogLines) -> Vec<String> {
    let all = lines.map(|line| match line.note.as_str() {
        "" => format!(
            "{}: {}",
            line.task_name,
            String::from_utf8_lossy(&line.line)
        ),
        note => note.to_owned(),
    });
    let mut all: Vec<String> = tokio::time::timeout(CEILING, all.collect()).await.unwrap();
    all.sort();
    all
}

struct NoPeers;

impl Peers for NoPeers {
    fn channels(&self) -> Vec<(NodeId, Channel)> {
        Vec::new()
    }
}

fn alone(bed: &Bed) -> ClusterLogs {
    ClusterLogs::new(Arc::clone(&bed.logs), Arc::new(NoPeers))
}

#[tokio::test]
async fn lines_come_from_the_agent_to_the_reader() {
    let bed = Bed::new(world()).await;
    let (mut agent, ..) = bed.session(&node(1)).await;
    let lines = alone(&bed).logs(query(&[1], false));
    let asked = request(&mut agent).await;
    assert_eq!(asked.task_ids, [task_id(1).to_string()]);
    assert_eq!((asked.tail, asked.follow, asked.all), (10, false, false));
    let id = asked.subscription;
    agent
        .say(chunk(id, vec![line(1, "one"), line(1, "two")], false))
        .await;
    agent.say(chunk(id, vec![line(1, "three")], true)).await;
    let expected = ["svc1.1: one", "svc1.1: three", "svc1.1: two"];
    assert_eq!(texts(lines).await, expected, "and then the stream ends");
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_query_at_the_agent() {
    let bed = Bed::new(world()).await;
    let (mut agent, ..) = bed.session(&node(1)).await;
    let mut lines = alone(&bed).logs(query(&[1], true));
    let id = request(&mut agent).await.subscription;
    agent.say(chunk(id, vec![line(1, "one")], false)).await;
    assert_eq!(next(&mut lines).await.unwrap().line, b"one");
    drop(lines);
    assert_eq!(cancelled(&mut agent).await, id);
    // An agent that did not hear it is told again.
    agent.say(chunk(id, vec![line(1, "two")], false)).await;
    assert_eq!(cancelled(&mut agent).await, id);
}

#[tokio::test]
async fn an_agent_speaks_for_its_own_tasks_and_queries_only() {
    let bed = Bed::new(world()).await;
    let (mut first, ..) = bed.session(&node(1)).await;
    let (mut second, ..) = bed.session(&node(2)).await;
    let mut lines = alone(&bed).logs(query(&[1], true));
    let id = request(&mut first).await.subscription;
    second.say(chunk(id, vec![line(1, "forged")], true)).await;
    assert_eq!(cancelled_or_silent(&mut second).await, None);
    let mut own = line(1, "own");
    own.node_id = node_id(2).to_string();
    own.task_name = "root.1".to_owned();
    first
        .say(chunk(id, vec![line(2, "forged"), own], false))
        .await;
    let got = next(&mut lines).await.unwrap();
    assert_eq!(got.line, b"own");
    assert_eq!(got.node_id, node_id(1).to_string());
    assert_eq!(got.task_name, "svc1.1");
}

/// What a session hears next beside assignments, if anything within a moment.
async fn cancelled_or_silent(agent: &mut Agent) -> Option<u64> {
    let moment = Duration::from_millis(100);
    tokio::time::timeout(moment, cancelled(agent)).await.ok()
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_up_no_session_and_is_told_what_it_missed() {
    let bed = Bed::new(world()).await;
    let (logs, mut requests) = bed.logs.attach(node_id(1));
    let mut lines = alone(&bed).logs(query(&[1], true));
    let Some(ToAgent::LogRequest(asked)) = requests.recv().await else {
        panic!("no request");
    };
    let send = |text: &str| {
        logs.deliver(wire::LogChunk {
            subscription: asked.subscription,
            lines: vec![line(1, text)],
            end: false,
        });
    };
    for _ in 0..WAITING + 5 {
        send("x");
    }
    for _ in 0..WAITING {
        assert_eq!(next(&mut lines).await.unwrap().line, b"x");
    }
    send("y");
    let told = next(&mut lines).await.unwrap();
    assert_eq!(told.note, "5 lines were left out: they came too fast");
    assert_eq!(next(&mut lines).await.unwrap().line, b"y");
}

#[tokio::test]
async fn a_session_that_ends_ends_its_queries_with_a_note() {
    let bed = Bed::new(world()).await;
    let (mut agent, ..) = bed.session(&node(1)).await;
    let mut lines = alone(&bed).logs(query(&[1], true));
    request(&mut agent).await;
    drop(agent);
    let told = next(&mut lines).await.unwrap();
    assert!(told.note.contains("session ended"), "{told:?}");
    assert_eq!(next(&mut lines).await, None);
}

#[tokio::test]
async fn what_no_manager_can_read_is_told_by_a_note() {
    let bed = Bed::new(world()).await;
    let told = texts(alone(&bed).logs(query(&[2, 3], true))).await;
    let expected = [
        "node n2 holds no session with any manager: logs of svc1.2 cannot be read",
        "node n3 is down: logs of svc1.3 cannot be read",
    ];
    assert_eq!(told, expected);
}

/// Another manager's peer service, as far as logs go.
struct Relay(Arc<LogBroker>);

#[tonic::async_trait]
impl peer_server::Peer for Relay {
    type RelayLogsStream =
        std::pin::Pin<Box<dyn futures::Stream<Item = Result<wire::LogLine, Status>> + Send>>;

    async fn relay_logs(
        &self,
        request: Request<wire::RelayLogsRequest>,
    ) -> Result<Response<Self::RelayLogsStream>, Status> {
        let lines = self.0.relay(request.into_inner());
        Ok(Response::new(lines.map(Ok).boxed()))
    }

    async fn propose(
        &self,
        _: Request<wire::ProposeRequest>,
    ) -> Result<Response<wire::ProposeResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn propose_many(
        &self,
        _: Request<wire::ProposeManyRequest>,
    ) -> Result<Response<wire::ProposeManyResponse>, Status> {
        Err(Status::unimplemented("only logs here"))
    }

    async fn read_index(
        &self,
        _: Request<wire::ReadIndexRequest>,
    ) -> Result<Response<wire::ReadIndexResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn presence(
        &self,
        _: Request<wire::PresenceRequest>,
    ) -> Result<Response<wire::PresenceResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

struct OnePeer(Channel);

impl Peers for OnePeer {
    fn channels(&self) -> Vec<(NodeId, Channel)> {
        vec![(node_id(2), self.0.clone())]
    }
}

#[tokio::test]
async fn lines_of_agents_at_another_manager_are_relayed() {
    let (here, there) = (Bed::new(world()).await, Bed::new(world()).await);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let relay = peer_server::PeerServer::new(Relay(Arc::clone(&there.logs)));
    let server = tonic::transport::Server::builder().add_service(relay);
    let serving = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let channel = Channel::from_shared(format!("http://{addr}"))
        .unwrap()
        .connect_lazy();
    let (mut near, ..) = here.session(&node(1)).await;
    let (mut far, ..) = there.session(&node(2)).await;

    let source = ClusterLogs::new(Arc::clone(&here.logs), Arc::new(OnePeer(channel)));
    let lines = tokio::spawn(texts(source.logs(query(&[1, 2, 3], false))));
    let id = request(&mut near).await.subscription;
    near.say(chunk(id, vec![line(1, "near")], true)).await;
    let id = request(&mut far).await.subscription;
    far.say(chunk(id, vec![line(2, "far")], true)).await;
    let expected = [
        "node n3 is down: logs of svc1.3 cannot be read",
        "svc1.1: near",
        "svc1.2: far",
    ];
    assert_eq!(lines.await.unwrap(), expected);
    serving.abort();
}
