//! A dispatcher on loopback, agents that say what a test wants, and a log in memory.

use crate::dispatcher::Dispatcher;
use crate::dispatcher::Pace;
use crate::dispatcher::Parts;
use crate::dispatcher::Presence;
use crate::logs::LogBroker;
use crate::propose::BoxFuture;
use crate::propose::ProposeError;
use crate::propose::Proposer;
use crate::store::State;
use crate::store::Store;
use crate::store::View;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;
use tonic::Request;
use tonic::Status;
use tonic::Streaming;
use weft_pki::NodeIdentity;
use weft_pki::PeerIdentity;
use weft_proto::ClusterId;
use weft_proto::CommandId;
use weft_proto::Role;
use weft_proto::assignment::Assignments;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::object::Node;
use weft_proto::object::Object;
use weft_proto::time::SystemClock;
use weft_proto::time::Timestamp;
use weft_proto::wire;
use weft_proto::wire::agent_message::Kind as FromAgent;
use weft_proto::wire::dispatcher_client::DispatcherClient;
use weft_proto::wire::manager_message::Kind as ToAgent;

const CEILING: Duration = Duration::from_secs(10);

type Rival = Box<dyn FnOnce(&State) -> Vec<Change> + Send>;

/// Proposes to a store in memory. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    pub(crate) store: Arc<Store>,
    failures: Arc<Mutex<VecDeque<ProposeError>>>,
    rivals: Arc<Mutex<VecDeque<Rival>>>,
    proposals: Arc<Mutex<usize>>,
}

impl Fake {
    pub(crate) fn new(objects: Vec<Object>) -> Self {
        let fake = Fake::default();
        fake.write(objects.into_iter().map(Change::create).collect());
        fake
    }

    pub(crate) fn write(&self, changes: Vec<Change>) {
        self.apply(changes).unwrap();
    }

    /// The next proposal fails like this.
    pub(crate) fn fail(&self, error: ProposeError) {
        self.failures.lock().push_back(error);
    }

    /// Something that happens between the next decision and its proposal.
    pub(crate) fn rival(&self, rival: impl FnOnce(&State) -> Vec<Change> + Send + 'static) {
        self.rivals.lock().push_back(Box::new(rival));
    }

    pub(crate) fn proposals(&self) -> usize {
        *self.proposals.lock()
    }

    fn apply(&self, changes: Vec<Change>) -> Result<u64, ProposeError> {
        let index = self.store.view().revision() + 1;
        let command = Command {
            id: CommandId::from_entropy(u128::from(index)),
            at: Timestamp::default(),
            changes,
            actor: None,
        };
        Ok(self.store.apply(index, &command)?)
    }
}

impl Proposer for Fake {
    fn propose(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<u64, ProposeError>> {
        Box::pin(async move {
            *self.proposals.lock() += 1;
            if let Some(error) = self.failures.lock().pop_front() {
                return Err(error);
            }
            let rival = self.rivals.lock().pop_front();
            if let Some(rival) = rival {
                self.write(rival(&self.store.view()));
            }
            self.apply(changes)
        })
    }

    fn propose_as(
        &self,
        _: CommandId,
        changes: Vec<Change>,
    ) -> BoxFuture<'_, Result<u64, ProposeError>> {
        self.propose(changes)
    }

    fn local_view(&self) -> View {
        self.store.view()
    }

    fn fresh_view(&self) -> BoxFuture<'_, Result<View, ProposeError>> {
        Box::pin(async move { Ok(self.store.view()) })
    }
}

/// A dispatcher that serves on loopback until dropped.
pub(crate) struct Bed {
    pub(crate) fake: Fake,
    pub(crate) presence: Arc<Presence>,
    pub(crate) logs: Arc<LogBroker>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) run: Option<tokio::task::JoinHandle<()>>,
    addr: SocketAddr,
    _end: DropGuard,
}

impl Bed {
    pub(crate) async fn new(objects: Vec<Object>) -> Bed {
        let pace = Pace {
            heartbeat: Duration::from_millis(300),
            progress: Duration::from_millis(100),
            probation: Duration::from_millis(200),
            ..Pace::default()
        };
        let fake = Fake::new(objects);
        let presence = Arc::new(Presence::default());
        let logs = Arc::new(LogBroker::new(Arc::clone(&fake.store)));
        let shutdown = CancellationToken::new();
        let dispatcher = Dispatcher::new(Parts {
            store: Arc::clone(&fake.store),
            proposer: Arc::new(fake.clone()),
            clock: Arc::new(SystemClock),
            logs: Arc::clone(&logs),
            presence: Arc::clone(&presence),
            shutdown: shutdown.clone(),
            pace,
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let end = CancellationToken::new();
        let ended = end.clone().cancelled_owned();
        let service = tonic::service::interceptor::InterceptedService::new(
            dispatcher.service(),
            move |request| Ok(identified(request, addr)),
        );
        let incoming = TcpListenerStream::new(listener);
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming_shutdown(incoming, ended));
        let run = tokio::spawn(async move { dispatcher.run().await });
        Bed {
            fake,
            presence,
            logs,
            shutdown,
            run: Some(run),
            addr,
            _end: end.drop_guard(),
        }
    }

    /// A connection of a node's agent that says nothing yet.
    pub(crate) async fn dial(&self, node: Option<&Node>) -> Result<Agent, Status> {
        let mut client = DispatcherClient::connect(format!("http://{}", self.addr))
            .await
            .unwrap();
        let (say, words) = mpsc::channel(16);
        let mut request = Request::new(ReceiverStream::new(words));
        if let Some(node) = node {
            let id = node.id.as_str().parse().unwrap();
            request.metadata_mut().insert("test-node", id);
        }
        let hear = client.session(request).await?.into_inner();
        Ok(Agent { say, hear })
    }

    /// A session that begins with its hello, as agents begin theirs. What it hears ends with it.
    pub(crate) async fn introduce(
        &self,
        node: &Node,
    ) -> Result<Streaming<wire::ManagerMessage>, Status> {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", self.addr));
        let channel = endpoint.unwrap().connect().await;
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        let kind = Some(hello(node));
        let words = tokio_stream::iter([wire::AgentMessage { kind }]);
        let words = words.chain(tokio_stream::pending());
        let mut request = Request::new(words);
        let id = node.id.as_str().parse().unwrap();
        request.metadata_mut().insert("test-node", id);
        let mut client = DispatcherClient::new(channel).max_decoding_message_size(64 << 20);
        Ok(client.session(request).await?.into_inner())
    }

    /// A session that got its welcome and its snapshot.
    pub(crate) async fn session(&self, node: &Node) -> (Agent, wire::Welcome, Assignments) {
        let mut agent = self.dial(Some(node)).await.unwrap();
        agent.say(hello(node)).await;
        let ToAgent::Welcome(welcome) = agent.hear().await else {
            panic!("no welcome");
        };
        let snapshot = agent.assignments().await;
        assert!(snapshot.snapshot);
        (agent, welcome, snapshot)
    }
}

/// What the TLS listener does: puts the caller's identity beside the request.
fn identified(mut request: Request<()>, remote: SocketAddr) -> Request<()> {
    let node = request.metadata().get("test-node").map(|id| NodeIdentity {
        cluster: ClusterId::from_entropy(1),
        role: Role::Worker,
        node: id.to_str().unwrap().parse().unwrap(),
    });
    request.extensions_mut().insert(PeerIdentity {
        node,
        user: None,
        remote,
        revoked: false,
    });
    request
}

pub(crate) fn hello(node: &Node) -> FromAgent {
    FromAgent::Hello(wire::Hello {
        description: Some((&node.description).into()),
        data_addr: node.data_addr.to_string(),
        tunnel_key: node
            .tunnel_key
            .map(|key| key.as_bytes().to_vec())
            .unwrap_or_default(),
        ..wire::Hello::default()
    })
}

/// The far end of a session.
pub(crate) struct Agent {
    say: mpsc::Sender<wire::AgentMessage>,
    hear: Streaming<wire::ManagerMessage>,
}

impl Agent {
    pub(crate) async fn say(&self, kind: FromAgent) {
        let message = wire::AgentMessage { kind: Some(kind) };
        self.say.send(message).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Result<Option<wire::ManagerMessage>, Status> {
        tokio::time::timeout(CEILING, self.hear.message())
            .await
            .expect("the manager says nothing")
    }

    pub(crate) async fn hear(&mut self) -> ToAgent {
        self.next().await.unwrap().unwrap().kind.unwrap()
    }

    pub(crate) async fn assignments(&mut self) -> Assignments {
        let heard = self.hear().await;
        let ToAgent::Assignments(step) = heard else {
            panic!("{heard:?} instead of assignments");
        };
        step.try_into().unwrap()
    }

    /// The next step that carries anything but a revision.
    pub(crate) async fn news(&mut self) -> Assignments {
        loop {
            let step = self.assignments().await;
            if !step.upserts.is_empty() || !step.removals.is_empty() {
                return step;
            }
        }
    }

    /// Why the session ended.
    pub(crate) async fn ended(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the session ended without a reason"),
                Err(status) => return status,
            }
        }
    }
}

/// Asks until it holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(CEILING, wait).await.expect(what);
}
