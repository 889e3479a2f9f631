//! The calls: reads and answers messages, and leaves every decision to the files of the objects.

use crate::api::Members;
use crate::api::Replica;
use crate::api::cluster;
use crate::api::error::ApiError;
use crate::api::logs;
use crate::api::network;
use crate::api::node;
use crate::api::service;
use crate::api::target;
use crate::api::task;
use crate::api::watch;
use crate::entropy::Entropy;
use crate::logs::LogSource;
use crate::managers::manager_addrs;
use crate::propose::Proposer;
use crate::propose::retry::Committed;
use crate::propose::retry::Decision;
use crate::propose::retry::transact;
use crate::store::State;
use crate::store::View;
use futures::StreamExt;
use futures::stream;
use futures::stream::BoxStream;
use std::fmt;
use std::sync::Arc;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use weft_pki::TokenSecret;
use weft_proto::NetworkId;
use weft_proto::Role;
use weft_proto::ServiceId;
use weft_proto::convert::ConvertError;
use weft_proto::spec::NetworkSpec;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

type Answer<T> = Result<Response<T>, Status>;

/// The service `weft.v1.Control`, the same on every manager.
pub struct ControlService {
    proposer: Arc<dyn Proposer>,
    ids: Arc<dyn Entropy>,
    logs: Arc<dyn LogSource>,
    members: Arc<dyn Members>,
    replica: Replica,
}

impl ControlService {
    /// Changes go through `proposer`, new objects are named out of `ids`, output of tasks comes
    /// from `logs`, `members` knows the group of managers, and who follows the state follows
    /// `replica`.
    pub fn new(
        proposer: Arc<dyn Proposer>,
        ids: Arc<dyn Entropy>,
        logs: Arc<dyn LogSource>,
        members: Arc<dyn Members>,
        replica: Replica,
    ) -> Self {
        Self {
            proposer,
            ids,
            logs,
            members,
            replica,
        }
    }

    async fn view(&self) -> Result<View, ApiError> {
        Ok(self.proposer.fresh_view().await?)
    }

    async fn transact<T: Send>(
        &self,
        decide: impl FnMut(&State) -> Result<Decision<T>, ApiError> + Send,
    ) -> Result<Committed<T>, ApiError> {
        transact(&*self.proposer, decide).await
    }

    fn leader(&self) -> String {
        let leader = self.members.leader();
        leader.map(|node| node.to_string()).unwrap_or_default()
    }
}

impl fmt::Debug for ControlService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlService").finish_non_exhaustive()
    }
}

fn role(number: i32) -> Result<Role, ApiError> {
    let role = wire::NodeRole::try_from(number).unwrap_or_default();
    let role = Role::try_from(role).map_err(|error: ConvertError| error.within("role"))?;
    Ok(role)
}

#[tonic::async_trait]
impl Control for ControlService {
    async fn get_cluster(
        &self,
        _: Request<wire::GetClusterRequest>,
    ) -> Answer<wire::GetClusterResponse> {
        let view = self.view().await?;
        let cluster = cluster::get(&view)?;
        Ok(Response::new(wire::GetClusterResponse {
            id: cluster.id.to_string(),
            root_digest: cluster::root(&cluster)?.digest().to_string(),
            settings: Some((&cluster.settings).into()),
            leader_node_id: self.leader(),
            revision: view.revision(),
            members: self.members.members(),
        }))
    }

    async fn get_join_token(
        &self,
        request: Request<wire::GetJoinTokenRequest>,
    ) -> Answer<wire::GetJoinTokenResponse> {
        let request = request.into_inner();
        let role = role(request.role)?;
        let view = if request.rotate {
            let secret = TokenSecret::random().map_err(ApiError::Token)?;
            let done = self
                .transact(|state| cluster::rotate_token(state, role, &secret))
                .await?;
            tracing::info!(%role, "join token rotated");
            done.view
        } else {
            None
        };
        let view = match view {
            Some(view) => view,
            None => self.view().await?,
        };
        Ok(Response::new(wire::GetJoinTokenResponse {
            token: cluster::token(&view, role)?,
            manager_addrs: manager_addrs(&view)
                .iter()
                .map(ToString::to_string)
                .collect(),
        }))
    }

    async fn list_nodes(
        &self,
        _: Request<wire::ListNodesRequest>,
    ) -> Answer<wire::ListNodesResponse> {
        let view = self.view().await?;
        let nodes = node::list(&view);
        Ok(Response::new(wire::ListNodesResponse {
            nodes: nodes.iter().map(|node| (&**node).into()).collect(),
            leader_node_id: self.leader(),
            self_node_id: self.members.this_node().to_string(),
            members: self.members.members(),
        }))
    }

    async fn update_node(
        &self,
        request: Request<wire::UpdateNodeRequest>,
    ) -> Answer<wire::UpdateNodeResponse> {
        let request = request.into_inner();
        let edit = node::Edit::read(&request)?;
        let this = self.members.this_node();
        let done = self
            .transact(|state| {
                let node = node::find(state, &request.target, this)?;
                Ok(node::update(&node, &edit))
            })
            .await?;
        let node = done.outcome;
        tracing::info!(node = %node.id, availability = %node.spec.availability, "node updated");
        let stored = done.view.and_then(|view| view.node(node.id).cloned());
        Ok(Response::new(wire::UpdateNodeResponse {
            node: Some(stored.as_deref().unwrap_or(&node).into()),
        }))
    }

    async fn remove_node(
        &self,
        request: Request<wire::RemoveNodeRequest>,
    ) -> Answer<wire::RemoveNodeResponse> {
        let request = request.into_inner();
        let this = self.members.this_node();
        let done = self
            .transact(|state| {
                let node = node::find(state, &request.target, this)?;
                node::remove(&node, request.force)
            })
            .await?;
        tracing::info!(node = %done.outcome, force = request.force, "node removed");
        Ok(Response::new(wire::RemoveNodeResponse {
            node_id: done.outcome.to_string(),
        }))
    }

    async fn create_network(
        &self,
        request: Request<wire::CreateNetworkRequest>,
    ) -> Answer<wire::CreateNetworkResponse> {
        let spec = request.into_inner().spec;
        let spec = spec.ok_or(ApiError::Incomplete("network spec"))?;
        let spec = NetworkSpec::try_from(spec).map_err(ApiError::Field)?;
        let id = NetworkId::from_entropy(self.ids.bits());
        let done = self
            .transact(|state| network::create(state, id, &spec))
            .await?;
        let network = done.outcome;
        tracing::info!(%id, name = %spec.name, subnet = %network.subnet, "network created");
        let stored = done.view.and_then(|view| view.network(id).cloned());
        Ok(Response::new(wire::CreateNetworkResponse {
            network: Some(stored.as_deref().unwrap_or(&network).into()),
        }))
    }

    async fn list_networks(
        &self,
        request: Request<wire::ListNetworksRequest>,
    ) -> Answer<wire::ListNetworksResponse> {
        let view = self.view().await?;
        let networks = network::list(&view, &request.into_inner().target)?;
        Ok(Response::new(wire::ListNetworksResponse {
            networks: networks.iter().map(|network| (&**network).into()).collect(),
        }))
    }

    async fn remove_network(
        &self,
        request: Request<wire::RemoveNetworkRequest>,
    ) -> Answer<wire::RemoveNetworkResponse> {
        let target = request.into_inner().target;
        let done = self
            .transact(|state| network::remove(state, &target))
            .await?;
        tracing::info!(network = %done.outcome, "network removed");
        Ok(Response::new(wire::RemoveNetworkResponse {
            network_id: done.outcome.to_string(),
        }))
    }

    async fn create_service(
        &self,
        request: Request<wire::CreateServiceRequest>,
    ) -> Answer<wire::CreateServiceResponse> {
        let spec = request.into_inner().spec;
        let spec = spec.ok_or(ApiError::Incomplete("service spec"))?;
        let id = ServiceId::from_entropy(self.ids.bits());
        let done = self
            .transact(|state| service::create(state, id, &spec))
            .await?;
        let service = done.outcome;
        tracing::info!(%id, name = %service.spec.name, "service created");
        let stored = done.view.and_then(|view| view.service(id).cloned());
        Ok(Response::new(wire::CreateServiceResponse {
            service: Some(stored.as_deref().unwrap_or(&service).into()),
        }))
    }

    async fn update_service(
        &self,
        request: Request<wire::UpdateServiceRequest>,
    ) -> Answer<wire::UpdateServiceResponse> {
        let request = request.into_inner();
        let spec = request.spec.ok_or(ApiError::Incomplete("service spec"))?;
        let done = self
            .transact(|state| service::update(state, &request.target, request.version, &spec))
            .await?;
        let service = done.outcome;
        tracing::info!(id = %service.id, name = %service.spec.name, "service updated");
        let stored = done.view.and_then(|view| view.service(service.id).cloned());
        Ok(Response::new(wire::UpdateServiceResponse {
            service: Some(stored.as_deref().unwrap_or(&service).into()),
        }))
    }

    async fn remove_service(
        &self,
        request: Request<wire::RemoveServiceRequest>,
    ) -> Answer<wire::RemoveServiceResponse> {
        let target = request.into_inner().target;
        let done = self
            .transact(|state| service::remove(state, &target))
            .await?;
        tracing::info!(service = %done.outcome, "service removed");
        Ok(Response::new(wire::RemoveServiceResponse {
            service_id: done.outcome.to_string(),
        }))
    }

    async fn list_services(
        &self,
        request: Request<wire::ListServicesRequest>,
    ) -> Answer<wire::ListServicesResponse> {
        let view = self.view().await?;
        let services = service::list(&view, &request.into_inner().target)?
            .iter()
            .map(|(service, running)| wire::ServiceListing {
                service: Some((&**service).into()),
                running: *running,
            })
            .collect();
        Ok(Response::new(wire::ListServicesResponse { services }))
    }

    async fn list_tasks(
        &self,
        request: Request<wire::ListTasksRequest>,
    ) -> Answer<wire::ListTasksResponse> {
        let request = request.into_inner();
        let view = self.view().await?;
        let service = match request.service.as_str() {
            "" => None,
            target => Some(target::service(&view, target)?.id),
        };
        let node = match request.node.as_str() {
            "" => None,
            target => Some(node::find(&view, target, self.members.this_node())?.id),
        };
        let tasks = task::list(&view, service, node);
        let nodes = task::nodes_of(&view, &tasks);
        Ok(Response::new(wire::ListTasksResponse {
            tasks: tasks.iter().map(|task| (&**task).into()).collect(),
            nodes: nodes.iter().map(|node| (&**node).into()).collect(),
        }))
    }

    type ServiceLogsStream = BoxStream<'static, Result<wire::LogLine, Status>>;

    async fn service_logs(
        &self,
        request: Request<wire::ServiceLogsRequest>,
    ) -> Answer<Self::ServiceLogsStream> {
        let view = self.view().await?;
        let query = logs::query(&view, &request.into_inner())?;
        if query.tasks.is_empty() {
            let note = wire::LogLine {
                note: "no task of this service was given to a node yet".to_owned(),
                ..wire::LogLine::default()
            };
            return Ok(Response::new(stream::iter([Ok(note)]).boxed()));
        }
        Ok(Response::new(self.logs.logs(query).map(Ok).boxed()))
    }

    type WatchStream = BoxStream<'static, Result<wire::WatchEvent, Status>>;

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Answer<Self::WatchStream> {
        let events = watch::events(&self.replica, request.get_ref())?;
        Ok(Response::new(events.boxed()))
    }

    async fn state_hash(
        &self,
        request: Request<wire::StateHashRequest>,
    ) -> Answer<wire::StateHashResponse> {
        let view = self.replica.reached(request.get_ref().revision).await?;
        let revision = view.revision();
        let hash = tokio::task::spawn_blocking(move || view.hash()).await;
        let hash = hash.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(wire::StateHashResponse {
            revision,
            sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            node_id: self.members.this_node().to_string(),
        }))
    }
}
