//! A daemon that is a manager of a cluster of one node, in memory: tasks run as soon as they are
//! looked at, those of the command `fail` have failed three times, those of `wait` find no node.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use tokio_stream::Stream;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;
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

fn node() -> wire::Node {
    wire::Node {
        meta: Some(meta(1)),
        id: node_id(),
        spec: Some(wire::NodeSpec {
            role: wire::NodeRole::Manager.into(),
            availability: wire::Availability::Active.into(),
            labels: Vec::new(),
        }),
        description: Some(wire::NodeDescription {
            hostname: "n1".to_owned(),
            ..wire::NodeDescription::default()
        }),
        status: Some(wire::NodeStatus {
            state: wire::NodeState::Ready.into(),
            message: String::new(),
            since_ms: NOW,
        }),
        number: 1,
        data_addr: "192.0.2.1".to_owned(),
        manager: Some(wire::ManagerStatus {
            raft_id: 1,
            addr: "192.0.2.1:2377".to_owned(),
        }),
    }
}

fn member() -> wire::ManagerMember {
    wire::ManagerMember {
        node_id: node_id(),
        raft_id: 1,
        addr: "192.0.2.1:2377".to_owned(),
        voter: true,
        leader: true,
        reachable: true,
    }
}

fn tasks(service: &wire::Service) -> Vec<wire::Task> {
    let spec = service.spec.clone().unwrap();
    let task = spec.task.clone().unwrap();
    let (state, count, error, message): (_, u32, _, _) = match task.command[0].as_str() {
        "fail" => (TaskState::Failed, 3, "cannot start fail: no such file", ""),
        "wait" => (
            TaskState::Pending,
            1,
            "",
            "no node has 1 TiB of memory free",
        ),
        _ => (TaskState::Running, 1, "", ""),
    };
    let mut all = Vec::new();
    for slot in 1..=spec.replicated.unwrap().replicas {
        for attempt in 0..count {
            let number = u128::from(slot) * 100 + u128::from(attempt);
            let desired = if attempt + 1 == count {
                DesiredState::Running
            } else {
                DesiredState::Shutdown
            };
            all.push(wire::Task {
                meta: Some(wire::Meta {
                    created_at_ms: NOW + i64::from(attempt),
                    ..meta(3)
                }),
                id: TaskId::from_entropy(number).to_string(),
                service_id: service.id.clone(),
                service_name: spec.name.clone(),
                slot,
                node_id: if state == TaskState::Pending {
                    String::new()
                } else {
                    node_id()
                },
                spec: Some(task.clone()),
                status: Some(wire::TaskStatus {
                    state: state.number(),
                    at_ms: NOW,
                    message: message.to_owned(),
                    error: error.to_owned(),
                    exit_code: None,
                }),
                desired_state: desired.number(),
                addresses: Vec::new(),
                ingress_addr: String::new(),
            });
        }
    }
    all
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

fn no_service(target: &str) -> Status {
    Status::not_found(format!(
        "there is no service {target:?}: there is none at all"
    ))
}

fn is(service: &wire::Service, target: &str) -> bool {
    service.id == target
        || service
            .spec
            .as_ref()
            .is_some_and(|spec| spec.name == target)
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Control for Server {
    async fn get_cluster(
        &self,
        _: Request<wire::GetClusterRequest>,
    ) -> Answer<wire::GetClusterResponse> {
        drop(self.state()?);
        Ok(Response::new(wire::GetClusterResponse {
            id: "c".to_owned(),
            root_digest: "digest".to_owned(),
            ..wire::GetClusterResponse::default()
        }))
    }

    async fn get_join_token(
        &self,
        request: Request<wire::GetJoinTokenRequest>,
    ) -> Answer<wire::GetJoinTokenResponse> {
        drop(self.state()?);
        let request = request.into_inner();
        Ok(Response::new(wire::GetJoinTokenResponse {
            token: format!("token-{}-{}", request.role().as_str_name(), request.rotate),
            manager_addrs: vec!["192.0.2.1:2377".to_owned()],
        }))
    }

    async fn list_nodes(
        &self,
        _: Request<wire::ListNodesRequest>,
    ) -> Answer<wire::ListNodesResponse> {
        drop(self.state()?);
        Ok(Response::new(wire::ListNodesResponse {
            nodes: vec![node()],
            leader_node_id: node_id(),
            self_node_id: node_id(),
            members: vec![member()],
        }))
    }

    async fn update_node(
        &self,
        request: Request<wire::UpdateNodeRequest>,
    ) -> Answer<wire::UpdateNodeResponse> {
        let mut node = node();
        if let (Some(spec), Some(availability)) =
            (&mut node.spec, request.into_inner().availability)
        {
            spec.availability = availability;
        }
        Ok(Response::new(wire::UpdateNodeResponse { node: Some(node) }))
    }

    async fn remove_node(
        &self,
        _: Request<wire::RemoveNodeRequest>,
    ) -> Answer<wire::RemoveNodeResponse> {
        Err(Status::failed_precondition(
            "node n1 is ready and cannot be removed",
        ))
    }

    async fn create_network(
        &self,
        request: Request<wire::CreateNetworkRequest>,
    ) -> Answer<wire::CreateNetworkResponse> {
        let mut memory = self.state()?;
        let number = u128::try_from(memory.networks.len()).unwrap();
        let network = wire::Network {
            meta: Some(meta(2)),
            id: NetworkId::from_entropy(77 + number).to_string(),
            spec: request.into_inner().spec,
            vni: 4097,
            subnet: "10.0.0.0/24".to_owned(),
        };
        memory.networks.push(network.clone());
        Ok(Response::new(wire::CreateNetworkResponse {
            network: Some(network),
        }))
    }

    async fn list_networks(
        &self,
        _: Request<wire::ListNetworksRequest>,
    ) -> Answer<wire::ListNetworksResponse> {
        let networks = self.state()?.networks.clone();
        Ok(Response::new(wire::ListNetworksResponse { networks }))
    }

    async fn remove_network(
        &self,
        request: Request<wire::RemoveNetworkRequest>,
    ) -> Answer<wire::RemoveNetworkResponse> {
        let target = request.into_inner().target;
        let mut memory = self.state()?;
        memory
            .networks
            .retain(|network| network.spec.as_ref().is_none_or(|spec| spec.name != target));
        Ok(Response::new(wire::RemoveNetworkResponse {
            network_id: target,
        }))
    }

    async fn create_service(
        &self,
        request: Request<wire::CreateServiceRequest>,
    ) -> Answer<wire::CreateServiceResponse> {
        let mut memory = self.state()?;
        memory.version += 1;
        let mut spec = request.into_inner().spec.unwrap();
        for network in &mut spec.task.as_mut().unwrap().networks {
            let named = memory.networks.iter().find(|other| {
                let spec = other.spec.as_ref();
                spec.is_some_and(|spec| spec.name == network.network_id)
            });
            let Some(named) = named else {
                let name = &network.network_id;
                return Err(Status::not_found(format!("there is no network {name:?}")));
            };
            network.network_id.clone_from(&named.id);
        }
        let service = wire::Service {
            meta: Some(meta(memory.version)),
            id: ServiceId::from_entropy(1000 + u128::from(memory.version)).to_string(),
            ports: spec.ports.clone(),
            spec: Some(spec),
            vips: Vec::new(),
        };
        memory.services.push(service.clone());
        Ok(Response::new(wire::CreateServiceResponse {
            service: Some(service),
        }))
    }

    async fn update_service(
        &self,
        request: Request<wire::UpdateServiceRequest>,
    ) -> Answer<wire::UpdateServiceResponse> {
        let request = request.into_inner();
        let mut memory = self.state()?;
        memory.version += 1;
        let version = memory.version;
        let found = memory.services.iter_mut().find(|s| is(s, &request.target));
        let service = found.ok_or_else(|| no_service(&request.target))?;
        assert_eq!(service.meta.as_ref().unwrap().version, request.version);
        service.spec = request.spec;
        service.meta = Some(meta(version));
        let service = Some(service.clone());
        Ok(Response::new(wire::UpdateServiceResponse { service }))
    }

    async fn remove_service(
        &self,
        request: Request<wire::RemoveServiceRequest>,
    ) -> Answer<wire::RemoveServiceResponse> {
        let target = request.into_inner().target;
        self.state()?
            .services
            .retain(|service| !is(service, &target));
        Ok(Response::new(wire::RemoveServiceResponse {
            service_id: target,
        }))
    }

    async fn list_services(
        &self,
        request: Request<wire::ListServicesRequest>,
    ) -> Answer<wire::ListServicesResponse> {
        let target = request.into_inner().target;
        let memory = self.state()?;
        let meant = memory
            .services
            .iter()
            .filter(|s| target.is_empty() || is(s, &target));
        let services: Vec<_> = meant
            .map(|service| wire::ServiceListing {
                service: Some(service.clone()),
                running: service.spec.as_ref().unwrap().replicated.unwrap().replicas,
            })
            .collect();
        if services.is_empty() && !target.is_empty() {
            return Err(no_service(&target));
        }
        Ok(Response::new(wire::ListServicesResponse { services }))
    }

    async fn list_tasks(
        &self,
        request: Request<wire::ListTasksRequest>,
    ) -> Answer<wire::ListTasksResponse> {
        let target = request.into_inner().service;
        let memory = self.state()?;
        let meant = memory
            .services
            .iter()
            .filter(|s| target.is_empty() || is(s, &target));
        if !target.is_empty() && !memory.services.iter().any(|s| is(s, &target)) {
            return Err(no_service(&target));
        }
        Ok(Response::new(wire::ListTasksResponse {
            tasks: meant.flat_map(tasks).collect(),
            nodes: vec![node()],
        }))
    }

    type ServiceLogsStream = Pin<Box<dyn Stream<Item = Result<wire::LogLine, Status>> + Send>>;

    async fn service_logs(
        &self,
        _: Request<wire::ServiceLogsRequest>,
    ) -> Answer<Self::ServiceLogsStream> {
        let line = |text: &str, stderr| {
            Ok(wire::LogLine {
                task_id: String::new(),
                task_name: "web.1".to_owned(),
                node_id: node_id(),
                at_ms: NOW,
                stderr,
                line: text.as_bytes().to_vec(),
                note: String::new(),
            })
        };
        let lines = vec![line("hello", false), line("oh no", true)];
        Ok(Response::new(Box::pin(tokio_stream::iter(lines))))
    }
}

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
        }))
    }

    async fn join(&self, request: Request<wire::JoinRequest>) -> Answer<wire::JoinResponse> {
        self.0.lock().unwrap().join = Some(request.into_inner());
        Ok(Response::new(wire::JoinResponse {
            node_id: node_id(),
            cluster_id: "c".to_owned(),
            role: wire::NodeRole::Worker.into(),
        }))
    }

    async fn leave(&self, request: Request<wire::LeaveRequest>) -> Answer<wire::LeaveResponse> {
        if request.into_inner().force {
            Ok(Response::new(wire::LeaveResponse {}))
        } else {
            Err(Status::failed_precondition(
                "this is the last manager: use --force",
            ))
        }
    }
}
