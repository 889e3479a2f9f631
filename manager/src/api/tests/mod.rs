//! The calls over a store in memory.

mod cluster;
mod keys;
mod logs;
mod material;
mod mode;
mod network;
mod node;
mod reads;
mod requests;
mod service;
mod task;
mod token;
mod watch;

use crate::api::ControlService;
use crate::api::Members;
use crate::api::Replica;
use crate::fixture;
use crate::logs::LogQuery;
use crate::logs::LogSource;
use crate::propose::fake::FakeProposer;
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_proto::NodeId;
use weft_proto::object::Object;
use weft_proto::time::Clock;
use weft_proto::wire;
use weft_proto::wire::LogLine;
use weft_proto::wire::ManagerMember;
use weft_proto::wire::control_server::Control;

/// A manager's API over a state in memory.
struct House {
    fake: Arc<FakeProposer>,
    logs: Arc<FakeLogs>,
    members: Arc<FakeMembers>,
    clock: Arc<Hands>,
    control: ControlService,
}

#[derive(Default)]
struct FakeLogs(Mutex<Vec<LogQuery>>);

impl LogSource for FakeLogs {
    fn logs(&self, query: LogQuery) -> BoxStream<'static, LogLine> {
        self.0.lock().push(query.clone());
        let lines = query.tasks.into_iter().map(|task| LogLine {
            task_id: task.to_string(),
            ..LogLine::default()
        });
        futures::stream::iter(lines.collect::<Vec<_>>()).boxed()
    }
}

/// A clock that stands still until a test moves it; in milliseconds of Unix time.
#[derive(Debug, Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Node 1 answers and leads; it is alone unless a test says otherwise.
#[derive(Default)]
struct FakeMembers(Mutex<Vec<ManagerMember>>);

impl Members for FakeMembers {
    fn this_node(&self) -> NodeId {
        fixture::node_id(1)
    }
    fn leader(&self) -> Option<NodeId> {
        Some(fixture::node_id(1))
    }
    fn members(&self) -> Vec<ManagerMember> {
        let told = self.0.lock().clone();
        if told.is_empty() {
            return vec![member(1, true)];
        }
        told
    }
}

/// A manager that votes.
fn member(n: u16, reachable: bool) -> ManagerMember {
    ManagerMember {
        node_id: fixture::node_id(n.into()).to_string(),
        raft_id: n.into(),
        voter: true,
        leader: n == 1,
        reachable,
        agents: 0,
        ..ManagerMember::default()
    }
}

/// The cluster and these objects.
fn house(objects: Vec<Object>) -> House {
    let mut all = vec![Object::Cluster(fixture::cluster())];
    all.extend(objects);
    let fake = Arc::new(FakeProposer::new(all));
    let logs = Arc::new(FakeLogs::default());
    let next = AtomicU64::new(1000);
    let ids = move || u128::from(next.fetch_add(1, Ordering::Relaxed));
    let members = Arc::new(FakeMembers::default());
    let clock = Arc::new(Hands::default());
    let control = ControlService::new(
        fake.clone(),
        Arc::new(ids),
        clock.clone(),
        logs.clone(),
        members.clone(),
        Replica {
            store: fake.store(),
            stop: CancellationToken::new(),
        },
    );
    House {
        fake,
        logs,
        members,
        clock,
        control,
    }
}

/// Asserts the code and that the text has every part.
#[track_caller]
fn refused<T>(answer: Result<T, Status>, code: Code, parts: &[&str]) {
    let Err(status) = answer else {
        panic!("it was not refused");
    };
    assert_eq!(status.code(), code, "{status}");
    for part in parts {
        let text = status.message();
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

impl House {
    async fn create(&self, spec: wire::ServiceSpec) -> Result<wire::Service, Status> {
        let request = wire::CreateServiceRequest {
            spec: Some(spec),
            ..wire::CreateServiceRequest::default()
        };
        let answer = self.control.create_service(Request::new(request)).await?;
        Ok(answer.into_inner().service.unwrap())
    }

    async fn update(
        &self,
        target: &str,
        version: u64,
        spec: wire::ServiceSpec,
    ) -> Result<wire::Service, Status> {
        let request = wire::UpdateServiceRequest {
            target: target.to_owned(),
            version,
            spec: Some(spec),
            ..wire::UpdateServiceRequest::default()
        };
        let answer = self.control.update_service(Request::new(request)).await?;
        Ok(answer.into_inner().service.unwrap())
    }

    async fn create_network(&self, name: &str, subnet: &str) -> Result<wire::Network, Status> {
        let request = wire::CreateNetworkRequest {
            spec: Some(wire::NetworkSpec {
                name: name.to_owned(),
                subnet: subnet.to_owned(),
                ..wire::NetworkSpec::default()
            }),
            ..wire::CreateNetworkRequest::default()
        };
        let answer = self.control.create_network(Request::new(request)).await?;
        Ok(answer.into_inner().network.unwrap())
    }
}

/// A spec of service `svc<n>` with networks, by name or identifier, and published ports.
fn spec(n: u8, networks: &[&str], ports: &[(u32, u32)]) -> wire::ServiceSpec {
    let mut spec = wire::ServiceSpec::from(&fixture::service(n, 2).spec);
    spec.task.as_mut().unwrap().networks = networks
        .iter()
        .map(|network| wire::NetworkAttachment {
            network_id: (*network).to_owned(),
            aliases: Vec::new(),
        })
        .collect();
    spec.ports = ports
        .iter()
        .map(|(published, target)| wire::Port {
            protocol: wire::Protocol::Tcp.into(),
            target: *target,
            published: *published,
        })
        .collect();
    spec
}
