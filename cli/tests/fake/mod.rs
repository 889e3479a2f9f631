//! A daemon that is a manager of a cluster of one node, in memory: tasks run as soon as they are
//! looked at, those of the command `fail` have failed three times, those of `wait` find no node.

mod control;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use weft_proto::NodeId;
use weft_proto::wire;
use weft_proto::wire::control_server::ControlServer;
use weft_proto::wire::local_server::Local;
use weft_proto::wire::local_server::LocalServer;

const NOW: i64 = 1_795_187_045_000;

/// What the fake was told and asked.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) worker: bool,
    pub(crate) init: Option<wire::InitRequest>,
    pub(crate) join: Option<wire::JoinRequest>,
    pub(crate) services: Vec<wire::Service>,
    pub(crate) networks: Vec<wire::Network>,
    pub(crate) tokens: Vec<wire::JoinToken>,
    /// Nodes that were accepted (true) or rejected.
    pub(crate) decided: Vec<(String, bool)>,
    /// Joins that are answered with: it waits.
    pub(crate) waits: u32,
    pub(crate) version: u64,
}

/// The running fake; ends when dropped.
pub(crate) struct Fake {
    pub(crate) memory: Arc<Mutex<Memory>>,
    dir: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone, Debug)]
struct Server(Arc<Mutex<Memory>>);

impl Fake {
    pub(crate) fn start() -> Fake {
        let dir = tempfile::tempdir().unwrap();
        let memory = Arc::new(Mutex::new(Memory::default()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let server = Server(memory.clone());
        let guard = runtime.enter();
        let listener = tokio::net::UnixListener::bind(dir.path().join("weft.sock")).unwrap();
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(ControlServer::new(server.clone()))
                .add_service(LocalServer::new(server))
                .serve_with_incoming(UnixListenerStream::new(listener)),
        );
        drop(guard);
        Fake {
            memory,
            dir,
            _runtime: runtime,
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("weft.sock")
    }
}

fn node_id() -> String {
    NodeId::from_entropy(11).to_string()
}

fn meta(version: u64) -> wire::Meta {
    wire::Meta {
        version,
        created_at_ms: NOW,
        updated_at_ms: NOW,
    }
}

impl Server {
    fn state(&self) -> Result<std::sync::MutexGuard<'_, Memory>, Status> {
        let memory = self.0.lock().unwrap();
        if memory.worker {
            return Err(Status::failed_precondition(
                "this node is a worker: ask a manager, there is one at 192.0.2.9:2377",
            ));
        }
        Ok(memory)
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Local for Server {
    async fn info(&self, _: Request<wire::InfoRequest>) -> Answer<wire::InfoResponse> {
        let worker = self.0.lock().unwrap().worker;
        Ok(Response::new(wire::InfoResponse {
            version: "9.9.9".to_owned(),
            state: if worker { "worker" } else { "manager" }.to_owned(),
            node_id: node_id(),
            manager_addrs: vec!["192.0.2.9:2377".to_owned()],
            hostname: "n1".to_owned(),
            ..wire::InfoResponse::default()
        }))
    }

    async fn init(&self, request: Request<wire::InitRequest>) -> Answer<wire::InitResponse> {
        let mut memory = self.0.lock().unwrap();
        if memory.init.is_some() {
            return Err(Status::failed_precondition(
                "this node is in a cluster already",
            ));
        }
        memory.init = Some(request.into_inner());
        Ok(Response::new(wire::InitResponse {
            node_id: node_id(),
            cluster_id: "c".to_owned(),
            worker_token: "secret-token".to_owned(),
            addr: "192.0.2.1:2377".to_owned(),
            ..wire::InitResponse::default()
        }))
    }

    async fn restore(
        &self,
        _: Request<tonic::Streaming<wire::RestorePart>>,
    ) -> Answer<wire::RestoreResponse> {
        Err(Status::failed_precondition(
            "this node is in a cluster already",
        ))
    }

    async fn update_address(
        &self,
        request: Request<wire::UpdateAddressRequest>,
    ) -> Answer<wire::UpdateAddressResponse> {
        let request = request.into_inner();
        Ok(Response::new(wire::UpdateAddressResponse {
            advertise_addr: request.advertise_addr,
            data_path_addr: "192.0.2.1".to_owned(),
        }))
    }

    async fn join(&self, request: Request<wire::JoinRequest>) -> Answer<wire::JoinResponse> {
        let mut memory = self.0.lock().unwrap();
        memory.join = Some(request.into_inner());
        let waits = memory.waits > 0;
        memory.waits = memory.waits.saturating_sub(1);
        Ok(Response::new(wire::JoinResponse {
            node_id: node_id(),
            cluster_id: "c".to_owned(),
            role: wire::NodeRole::Worker.into(),
            waits,
        }))
    }

    async fn leave(&self, request: Request<wire::LeaveRequest>) -> Answer<wire::LeaveResponse> {
        if request.into_inner().force {
            Ok(Response::new(wire::LeaveResponse::default()))
        } else {
            Err(Status::failed_precondition(
                "this is the last manager: use --force",
            ))
        }
    }
}
