//! Somebody who makes, changes and removes services through the API of any manager.
#![allow(
    clippy::needless_update,
    reason = "messages get more fields, which are to have their defaults here"
)]

use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::host::Running;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::sleep;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_manager::api::ControlService;
use weft_manager::api::Members;
use weft_manager::api::Replica;
use weft_manager::logs::LogLines;
use weft_manager::logs::LogQuery;
use weft_manager::logs::LogSource;
use weft_manager::store::State;
use weft_proto::NodeId;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

/// How many services there may be.
const SERVICES: u64 = 4;
/// How many networks.
const NETWORKS: u64 = 2;

/// What is known of a service's replicas: `Err`: a change of it was not answered.
type Known = Result<Option<u32>, ()>;

/// An operator. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Operator {
    cluster: Cluster,
    dice: Dice,
    known: Arc<Mutex<BTreeMap<String, Known>>>,
    /// Services with a creation that was not answered. It may still happen, after a removal that
    /// was: nothing can be said of them any more.
    haunted: Arc<Mutex<BTreeSet<String>>>,
    calls: Arc<Mutex<Calls>>,
}

/// How calls went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calls {
    /// Done as asked.
    pub done: u64,
    /// Refused.
    pub refused: u64,
    /// Not answered.
    pub unknown: u64,
}

impl Operator {
    /// Of a cluster.
    pub fn new(cluster: Cluster, dice: Dice) -> Operator {
        Operator {
            cluster,
            dice,
            known: Arc::default(),
            haunted: Arc::default(),
            calls: Arc::default(),
        }
    }

    /// How its calls went.
    pub fn calls(&self) -> Calls {
        *self.calls.lock()
    }

    /// Works until dropped.
    pub async fn run(self) {
        loop {
            let managers = self.cluster.all_running();
            if let Some(manager) = self.dice.pick(&managers) {
                tokio::select! {
                    biased;
                    () = manager.dead.cancelled() => self.calls.lock().unknown += 1,
                    () = self.work(manager) => {}
                }
            }
            sleep(self.dice.millis(50, 800)).await;
        }
    }

    async fn work(&self, manager: &Running) {
        let api = ControlService::new(
            manager.proposer.clone(),
            manager.entropy.clone(),
            manager.clock.clone(),
            Arc::new(Nothing),
            Arc::new(Nothing),
            Replica::new(&manager.store, &manager.dead),
        );
        let number = self.dice.below(SERVICES);
        let target = format!("web-{number}");
        let replicas = u32::try_from(self.dice.between(1, 4)).unwrap_or(1);
        let asked = self.dice.below(10);
        let wanted: Option<u32> = (asked != 9).then_some(replicas);
        if asked == 0 {
            let spec = wire::NetworkSpec {
                name: format!("net-{}", self.dice.below(NETWORKS)),
                ..wire::NetworkSpec::default()
            };
            let request = wire::CreateNetworkRequest {
                spec: Some(spec),
                ..wire::CreateNetworkRequest::default()
            };
            let answer = api.create_network(Request::new(request)).await;
            self.count(&answer.map(drop));
            return;
        }
        // Until it is answered, nothing is known.
        let before = self.known.lock().insert(target.clone(), Err(()));
        let answer = match (asked, before) {
            (9, _) => self.remove(&api, &target).await,
            (_, Some(Ok(Some(_)))) | (1..5, Some(Err(()))) => {
                self.update(&api, &target, replicas).await
            }
            (_, None | Some(Ok(None) | Err(()))) => {
                let fresh = self.haunted.lock().insert(target.clone());
                let answer = self.create(&api, &target, replicas).await;
                if fresh && answer.as_ref().map_or_else(refused, |()| true) {
                    self.haunted.lock().remove(&target);
                }
                answer
            }
        };
        self.count(&answer);
        let mut known = self.known.lock();
        match answer {
            Ok(()) => _ = known.insert(target, Ok(wanted)),
            Err(status) if refused(&status) => {
                // What was known still holds; a service that is there or not there answers
                // what was not known, but not with how many replicas.
                let now = match (status.code(), before) {
                    (Code::NotFound, _) => Ok(None),
                    (_, Some(before)) => before,
                    (_, None) => Err(()),
                };
                known.insert(target, now);
            }
            Err(_) => {}
        }
    }

    fn spec(&self, target: &str, replicas: u32) -> wire::ServiceSpec {
        // A service's networks and ports follow from its name, so that updates keep them.
        let odd = target.ends_with(['1', '3']);
        let networks = odd.then(|| wire::NetworkAttachment {
            network_id: "net-0".to_owned(),
            ..wire::NetworkAttachment::default()
        });
        let ports = target.ends_with(['0', '1']).then(|| wire::Port {
            protocol: wire::Protocol::Tcp.into(),
            target: 80,
            ..wire::Port::default()
        });
        wire::ServiceSpec {
            name: target.to_owned(),
            task: Some(wire::TaskSpec {
                runtime: wire::Runtime::Process.into(),
                command: vec!["serve".to_owned()],
                networks: networks.into_iter().collect(),
                restart: Some(wire::RestartPolicy {
                    condition: wire::RestartCondition::Any.into(),
                    delay_ms: 500,
                    ..wire::RestartPolicy::default()
                }),
                force_update: self.dice.below(2),
                ..wire::TaskSpec::default()
            }),
            replicated: Some(wire::ReplicatedMode { replicas }),
            ports: ports.into_iter().collect(),
            ..wire::ServiceSpec::default()
        }
    }

    async fn create(
        &self,
        api: &ControlService,
        target: &str,
        replicas: u32,
    ) -> Result<(), Status> {
        let request = wire::CreateServiceRequest {
            spec: Some(self.spec(target, replicas)),
            ..wire::CreateServiceRequest::default()
        };
        api.create_service(Request::new(request)).await.map(drop)
    }

    async fn update(
        &self,
        api: &ControlService,
        target: &str,
        replicas: u32,
    ) -> Result<(), Status> {
        let request = wire::UpdateServiceRequest {
            target: target.to_owned(),
            spec: Some(self.spec(target, replicas)),
            ..wire::UpdateServiceRequest::default()
        };
        api.update_service(Request::new(request)).await.map(drop)
    }

    async fn remove(&self, api: &ControlService, target: &str) -> Result<(), Status> {
        let request = wire::RemoveServiceRequest {
            request_id: String::new(),
            target: target.to_owned(),
            ..wire::RemoveServiceRequest::default()
        };
        api.remove_service(Request::new(request)).await.map(drop)
    }

    fn count(&self, answer: &Result<(), Status>) {
        let mut calls = self.calls.lock();
        match answer {
            Ok(()) => calls.done += 1,
            Err(status) if refused(status) => calls.refused += 1,
            Err(_) => calls.unknown += 1,
        }
    }

    /// The first service that is not as its last acknowledged change made it.
    pub fn lost(&self, state: &State) -> Option<String> {
        let known = self.known.lock();
        let haunted = self.haunted.lock();
        let sure = known.iter().filter(|(name, _)| !haunted.contains(*name));
        sure.into_iter().find_map(|(name, known)| {
            let wanted = (*known).ok()?;
            let service = state.services().find(|one| one.spec.name.as_str() == name);
            let found = service.map(|service| {
                let spec = wire::ServiceSpec::from(&service.spec);
                spec.replicated.map_or(0, |mode| mode.replicas)
            });
            (found != wanted).then(|| {
                format!("service {name} has {found:?} replicas, acknowledged were {wanted:?} (I1)")
            })
        })
    }
}

/// Whether an answer says that nothing happened, for certain.
fn refused(status: &Status) -> bool {
    !matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
    )
}

/// No output of tasks, no other managers.
struct Nothing;

impl LogSource for Nothing {
    fn logs(&self, _: LogQuery) -> LogLines {
        Box::pin(futures::stream::empty())
    }
}

impl Members for Nothing {
    fn this_node(&self) -> NodeId {
        NodeId::from_entropy(0)
    }

    fn leader(&self) -> Option<NodeId> {
        None
    }

    fn members(&self) -> Vec<wire::ManagerMember> {
        Vec::new()
    }
}
