//! The call that agents make.

use crate::dispatcher::Pace;
use crate::dispatcher::presence::Presence;
use crate::dispatcher::reporter::Reporter;
use crate::dispatcher::session;
use crate::dispatcher::session::removed;
use crate::dispatcher::trail::Trail;
use crate::logs::LogBroker;
use crate::propose::Proposer;
use crate::store::Store;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use weft_proto::NodeId;
use weft_proto::time::Clock;
use weft_proto::wire;
use weft_proto::wire::dispatcher_server;

/// Messages that wait for an agent that reads slowly. Few: what waits longer becomes one delta.
pub(super) const OUTBOX: usize = 8;
/// Sessions that are told everything at the same time.
const BEGINS: usize = 64;

/// What sessions are made of.
pub struct Parts {
    /// This manager's replica.
    pub store: Arc<Store>,
    /// Where reports go.
    pub proposer: Arc<dyn Proposer>,
    /// Bounds the times that agents report.
    pub clock: Arc<dyn Clock>,
    /// Who reads output of tasks.
    pub logs: Arc<LogBroker>,
    /// Which agents are here; shared with whoever tells the leader.
    pub presence: Arc<Presence>,
    /// Cancelled when this manager stops: all sessions end, and agents move on.
    pub shutdown: CancellationToken,
    /// Its timings.
    pub pace: Pace,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) proposer: Arc<dyn Proposer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) logs: Arc<LogBroker>,
    pub(super) presence: Arc<Presence>,
    pub(super) shutdown: CancellationToken,
    pub(super) pace: Pace,
    pub(super) reporter: Reporter,
    pub(super) trail: Trail,
    pub(super) begins: Semaphore,
    sessions: TaskTracker,
}

/// Serves sessions of agents. Clones serve the same sessions.
#[derive(Clone)]
pub struct Dispatcher {
    shared: Arc<Shared>,
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher")
            .field("sessions", &self.shared.sessions.len())
            .finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// Ready to serve; sessions begin, and reports become state, only while [`Dispatcher::run`]
    /// runs.
    pub fn new(parts: Parts) -> Self {
        let reporter = Reporter::new(
            Arc::clone(&parts.store),
            Arc::clone(&parts.proposer),
            Arc::clone(&parts.presence),
            parts.pace,
        );
        let trail = Trail::new(Arc::clone(&parts.store));
        Dispatcher {
            shared: Arc::new(Shared {
                store: parts.store,
                proposer: parts.proposer,
                clock: parts.clock,
                logs: parts.logs,
                presence: parts.presence,
                shutdown: parts.shutdown,
                pace: parts.pace,
                reporter,
                trail,
                begins: Semaphore::new(BEGINS),
                sessions: TaskTracker::new(),
            }),
        }
    }

    /// Brings reports into the state until shutdown, then returns once every session has ended.
    pub async fn run(&self) {
        tokio::select! {
            () = self.shared.shutdown.cancelled() => {}
            () = self.shared.reporter.run() => {}
            () = self.shared.trail.run(self.shared.pace.look) => {}
        }
        self.shared.sessions.close();
        self.shared.sessions.wait().await;
    }

    /// To be added to the server on the control port.
    pub fn service(&self) -> dispatcher_server::DispatcherServer<Dispatcher> {
        dispatcher_server::DispatcherServer::new(self.clone())
    }

    /// Refuses whoever is not a node of the cluster.
    async fn admit(&self, node: NodeId) -> Result<(), Status> {
        if self.shared.store.view().node(node).is_some() {
            return Ok(());
        }
        // It may have joined through another manager, just now.
        let view = self.shared.proposer.fresh_view().await;
        let view = view.map_err(|error| Status::unavailable(error.to_string()))?;
        view.node(node).ok_or_else(|| removed(&view, node))?;
        // The session looks at this manager's own state.
        self.shared.store.wait_for(view.revision()).await;
        Ok(())
    }
}

#[tonic::async_trait]
impl dispatcher_server::Dispatcher for Dispatcher {
    type SessionStream = ReceiverStream<Result<wire::ManagerMessage, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<wire::AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let node = weft_pki::peer_of(request.extensions())
            .and_then(|peer| peer.node)
            .ok_or_else(|| Status::unauthenticated("a session needs a node's certificate"))?
            .node;
        if self.shared.shutdown.is_cancelled() {
            return Err(Status::unavailable("this manager is stopping"));
        }
        self.admit(node).await?;
        let (outbound, messages) = mpsc::channel(OUTBOX);
        let session = session::hold(
            Arc::clone(&self.shared),
            node,
            request.into_inner(),
            outbound,
        );
        self.shared.sessions.spawn(session);
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}
