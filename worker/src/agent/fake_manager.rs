//! The manager's side of sessions, for tests.

use crate::fixture::desired;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::transport::Server;
use weft_pki::LiveCredentials;
use weft_proto::TaskId;
use weft_proto::assignment::Assignments;
use weft_proto::object::Task;
use weft_proto::task_state::TaskState;
use weft_proto::wire;
use weft_proto::wire::agent_message::Kind as Up;
use weft_proto::wire::dispatcher_server::Dispatcher;
use weft_proto::wire::dispatcher_server::DispatcherServer;
use weft_proto::wire::manager_message::Kind as Down;

pub(crate) const CEILING: Duration = Duration::from_secs(30);

type DownSender = mpsc::Sender<Result<wire::ManagerMessage, Status>>;

/// A session as the manager's side sees it.
pub(crate) struct Held {
    up: Streaming<wire::AgentMessage>,
    down: DownSender,
}

struct Service(mpsc::UnboundedSender<Held>);

#[tonic::async_trait]
impl Dispatcher for Service {
    type SessionStream = ReceiverStream<Result<wire::ManagerMessage, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<wire::AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (down, stream) = mpsc::channel(16);
        let up = request.into_inner();
        let held = self.0.send(Held { up, down });
        held.map_err(|_| Status::unavailable("this manager is going down"))?;
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

pub(crate) struct FakeManager {
    pub(crate) addr: SocketAddr,
    sessions: mpsc::UnboundedReceiver<Held>,
    server: JoinHandle<()>,
}

impl FakeManager {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, sessions) = mpsc::unbounded_channel();
        let server = tokio::spawn(async move {
            Server::builder()
                .add_service(DispatcherServer::new(Service(sender)))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        FakeManager {
            addr,
            sessions,
            server,
        }
    }

    /// With a certificate, as a real one.
    pub(crate) async fn start_with(live: Arc<LiveCredentials>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, sessions) = mpsc::unbounded_channel();
        let server = tokio::spawn(async move {
            let incoming = weft_pki::serve_incoming(listener, live, std::future::pending());
            weft_pki::server()
                .add_service(DispatcherServer::new(Service(sender)))
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
        FakeManager {
            addr,
            sessions,
            server,
        }
    }

    pub(crate) async fn session(&mut self) -> Held {
        let held = timeout(CEILING, self.sessions.recv()).await;
        held.expect("a session in time").expect("a session")
    }
}

impl Drop for FakeManager {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Held {
    pub(crate) async fn next(&mut self) -> Up {
        let message = timeout(CEILING, self.up.message()).await;
        let message = message.expect("a message in time").unwrap();
        message.expect("a message").kind.unwrap()
    }

    /// Whether the agent has ended it; reads what it says meanwhile.
    pub(crate) async fn is_over(&mut self) -> bool {
        let over = async { while let Ok(Some(_)) = self.up.message().await {} };
        timeout(Duration::from_millis(200), over).await.is_ok()
    }

    /// The agent ends it in order.
    pub(crate) async fn farewell(mut self) {
        let end = async {
            while let Some(message) = self.up.message().await.expect("no broken connection") {
                drop(message);
            }
        };
        timeout(CEILING, end).await.expect("a farewell in time");
    }

    pub(crate) async fn say(&self, kind: Down) {
        let message = wire::ManagerMessage { kind: Some(kind) };
        self.down.send(Ok(message)).await.unwrap();
    }

    pub(crate) async fn refuse(&self, status: Status) {
        self.down.send(Err(status)).await.unwrap();
    }

    pub(crate) async fn welcome(&mut self) {
        let Up::Hello(hello) = self.next().await else {
            panic!("hello comes first");
        };
        assert_eq!(hello.data_addr, "192.0.2.7");
        self.say(Down::Welcome(wire::Welcome {
            heartbeat_period_ms: 100,
            manager_addrs: Vec::new(),
        }))
        .await;
    }

    pub(crate) async fn snapshot(&self, revision: u64, tasks: impl IntoIterator<Item = Task>) {
        let step = desired(revision, tasks).to_snapshot();
        self.say(Down::Assignments((&step).into())).await;
    }

    pub(crate) async fn delta(&self, revision: u64, upserts: impl IntoIterator<Item = Task>) {
        let step = Assignments {
            snapshot: false,
            ..desired(revision, upserts).to_snapshot()
        };
        self.say(Down::Assignments((&step).into())).await;
    }

    pub(crate) async fn told(&mut self, wanted: TaskId, state: TaskState) {
        loop {
            if let Up::Status(report) = self.next().await {
                let found = report.tasks.iter().any(|task| {
                    let status = task.status.as_ref().unwrap();
                    task.task_id == wanted.to_string() && status.state == state.number()
                });
                if found {
                    return;
                }
            }
        }
    }

    pub(crate) async fn logs(&mut self) -> wire::LogChunk {
        loop {
            if let Up::Log(chunk) = self.next().await {
                return chunk;
            }
        }
    }
}
