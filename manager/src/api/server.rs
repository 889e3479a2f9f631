//! The calls: reads and answers messages, and leaves every decision to the files of the objects.

use crate::acting;
use crate::acting::Scope;
use crate::api::Members;
use crate::api::Replica;
use crate::api::audit;
use crate::api::backup;
use crate::api::ca;
use crate::api::cluster;
use crate::api::error::ApiError;
use crate::api::keys;
use crate::api::logs;
use crate::api::network;
use crate::api::node;
use crate::api::request::RequestId;
use crate::api::service;
use crate::api::target;
use crate::api::task;
use crate::api::token;
use crate::api::watch;
use crate::entropy::Entropy;
use crate::logs::LogSource;
use crate::logs::follow;
use crate::people::People;
use crate::people::may_change_members;
use crate::propose::Proposer;
use crate::propose::retry::Basis;
use crate::propose::retry::Committed;
use crate::propose::retry::Decision;
use crate::propose::retry::Once;
use crate::propose::retry::transact;
use crate::propose::retry::transact_once;
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
use weft_pki::peer_of;
use weft_proto::CommandId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::spec::MaterialKind;
use weft_proto::time::Clock;
use weft_proto::time::Timestamp;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

pub(super) type Answer<T> = Result<Response<T>, Status>;

/// The service `weft.v1.Control`, the same on every manager.
pub struct ControlService {
    proposer: Arc<dyn Proposer>,
    ids: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    logs: Arc<dyn LogSource>,
    members: Arc<dyn Members>,
    replica: Replica,
    people: Option<Arc<People>>,
}

impl ControlService {
    /// Changes go through `proposer`, new objects are named out of `ids`, `clock` judges when tokens
    /// expire, output of tasks comes from `logs`, `members` knows the group of managers, and who follows the state follows
    /// `replica`.
    pub fn new(
        proposer: Arc<dyn Proposer>,
        ids: Arc<dyn Entropy>,
        clock: Arc<dyn Clock>,
        logs: Arc<dyn LogSource>,
        members: Arc<dyn Members>,
        replica: Replica,
    ) -> Self {
        Self {
            proposer,
            ids,
            clock,
            logs,
            members,
            replica,
            people: None,
        }
    }

    /// The same, and `people` answers what is asked about users.
    #[must_use]
    pub fn with_people(mut self, people: People) -> Self {
        self.people = Some(Arc::new(people));
        self
    }

    fn people(&self) -> Result<&People, Status> {
        let people = self.people.as_deref();
        people.ok_or_else(|| Status::unimplemented("this manager knows no users"))
    }

    /// What time it is here.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.timestamp()
    }

    /// For the identifier of something new.
    pub(super) fn bits(&self) -> u128 {
        self.ids.bits()
    }

    pub(super) async fn view(&self) -> Result<View, ApiError> {
        Ok(self.proposer.fresh_view().await?)
    }

    /// A transaction that is made once however often its request arrives.
    pub(super) async fn once<T: Send>(
        &self,
        id: Option<CommandId>,
        basis: Basis,
        decide: impl FnMut(&State) -> Result<Decision<T>, ApiError> + Send,
    ) -> Result<Once<T>, ApiError> {
        transact_once(&*self.proposer, id, basis, decide).await
    }

    /// A transaction of its own, whose request is not recognised when it comes again.
    pub(super) async fn transact<T: Send>(
        &self,
        decide: impl FnMut(&State) -> Result<Decision<T>, ApiError> + Send,
    ) -> Result<Committed<T>, ApiError> {
        transact(&*self.proposer, decide).await
    }

    /// What a change of a service may be decided on. One that is named in full is the same one on
    /// every state that has it, and the change is refused if it is not as it was; which one a
    /// beginning of an identifier means depends on all the others.
    pub(super) fn basis(&self, target: &str) -> Basis {
        let found = target::whole_service(&self.replica.store.view(), target);
        found.map_or(Basis::Fresh, |_| Basis::Local)
    }

    pub(super) async fn read(&self, options: Option<wire::ReadOptions>) -> Result<View, ApiError> {
        match options.unwrap_or_default() {
            wire::ReadOptions {
                stale: true,
                min_revision,
            } => self.replica.reached(min_revision).await,
            wire::ReadOptions { stale: false, .. } => self.view().await,
        }
    }

    pub(super) fn shown(&self, view: &View) -> Option<wire::Shown> {
        let this = self.members.this_node();
        let node = view.node(this);
        Some(wire::Shown {
            revision: view.revision(),
            node_id: this.to_string(),
            hostname: node
                .map(|node| node.description.hostname.clone())
                .unwrap_or_default(),
        })
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

/// What a removal answers. One that was made by an earlier call of the same request knows of what it
/// removed only how the caller called it.
pub(super) fn removed_id<T: fmt::Display>(removed: Once<T>, kind: &str, target: &str) -> String {
    match removed.parts().0 {
        Some(id) => {
            tracing::info!(kind, %id, "removed");
            id.to_string()
        }
        // All identifiers are alike.
        None => match target.parse::<ServiceId>() {
            Ok(id) => id.to_string(),
            Err(_) => String::new(),
        },
    }
}

fn wait((task, until): (TaskId, Option<Timestamp>)) -> wire::TaskWait {
    wire::TaskWait {
        task_id: task.to_string(),
        until_ms: until.map_or(0, Timestamp::as_millis),
    }
}

#[tonic::async_trait]
impl Control for ControlService {
    async fn get_cluster(
        &self,
        request: Request<wire::GetClusterRequest>,
    ) -> Answer<wire::GetClusterResponse> {
        let view = self.read(request.into_inner().read).await?;
        let cluster = cluster::get(&view)?;
        Ok(Response::new(wire::GetClusterResponse {
            id: cluster.id.to_string(),
            root_digest: cluster::root(&cluster)?.digest().to_string(),
            settings: Some((&cluster.settings).into()),
            leader_node_id: self.leader(),
            revision: view.revision(),
            members: self.members.members(),
            autolock: cluster.unlock_key.is_some(),
            shown: self.shown(&view),
        }))
    }

    async fn get_join_token(
        &self,
        request: Request<wire::GetJoinTokenRequest>,
    ) -> Answer<wire::GetJoinTokenResponse> {
        self.standing_token(request).await
    }

    async fn list_nodes(
        &self,
        request: Request<wire::ListNodesRequest>,
    ) -> Answer<wire::ListNodesResponse> {
        let view = self.read(request.into_inner().read).await?;
        let nodes = node::list(&view);
        Ok(Response::new(wire::ListNodesResponse {
            nodes: nodes.iter().map(|node| (&**node).into()).collect(),
            leader_node_id: self.leader(),
            self_node_id: self.members.this_node().to_string(),
            members: self.members.members(),
            shown: self.shown(&view),
            waiting: token::waiting(&view),
        }))
    }

    async fn update_node(
        &self,
        request: Request<wire::UpdateNodeRequest>,
    ) -> Answer<wire::UpdateNodeResponse> {
        let request = request.into_inner();
        if request.role.is_some() && !may_change_members() {
            return Err(ApiError::RolesAreForAdmins.into());
        }
        let edit = node::Edit::read(&request)?;
        let id = RequestId::read(&request.request_id)?.command("update node");
        let this = self.members.this_node();
        // Host names may be those of several nodes, which only a fresh state tells.
        let done = self
            .once(id, Basis::Fresh, |state| {
                let node = node::find(state, &request.target, this)?;
                node::update(state, &node, &edit, &self.members.members())
            })
            .await?;
        let (decided, view) = done.parts();
        let node = match (decided, view) {
            (Some(node), view) => {
                tracing::info!(node = %node.id, availability = %node.spec.availability, role = %node.spec.role, "node updated");
                let stored = view.and_then(|view| view.node(node.id).cloned());
                stored.unwrap_or_else(|| Arc::new(node))
            }
            (None, Some(view)) => node::find(&view, &request.target, this)?,
            (None, None) => return Err(ApiError::MadeAndGone("change").into()),
        };
        Ok(Response::new(wire::UpdateNodeResponse {
            node: Some((&*node).into()),
        }))
    }

    async fn remove_node(
        &self,
        request: Request<wire::RemoveNodeRequest>,
    ) -> Answer<wire::RemoveNodeResponse> {
        let request = request.into_inner();
        let this = self.members.this_node();
        let id = RequestId::read(&request.request_id)?.command("remove node");
        let remove = |state: &State| {
            let node = node::find(state, &request.target, this)?;
            let members = self.members.members();
            if request.revoke {
                acting::says(format!("revoked node {}", node.description.hostname));
                return node::revoke(state, &node, this, &members);
            }
            node::remove(state, &node, request.force, &members)
        };
        let removed = self.once(id, Basis::Fresh, remove).await?;
        Ok(Response::new(wire::RemoveNodeResponse {
            node_id: removed_id(removed, "node", &request.target),
        }))
    }

    async fn create_network(
        &self,
        request: Request<wire::CreateNetworkRequest>,
    ) -> Answer<wire::CreateNetworkResponse> {
        self.make_network(request).await
    }

    async fn list_networks(
        &self,
        request: Request<wire::ListNetworksRequest>,
    ) -> Answer<wire::ListNetworksResponse> {
        let request = request.into_inner();
        let view = self.read(request.read).await?;
        let networks = network::list(&view, &Scope::current(), &request.target)?;
        Ok(Response::new(wire::ListNetworksResponse {
            shown: self.shown(&view),
            networks: networks.iter().map(|network| (&**network).into()).collect(),
        }))
    }

    async fn remove_network(
        &self,
        request: Request<wire::RemoveNetworkRequest>,
    ) -> Answer<wire::RemoveNetworkResponse> {
        self.forget_network(request).await
    }

    async fn create_service(
        &self,
        request: Request<wire::CreateServiceRequest>,
    ) -> Answer<wire::CreateServiceResponse> {
        self.make_service(request).await
    }

    async fn update_service(
        &self,
        request: Request<wire::UpdateServiceRequest>,
    ) -> Answer<wire::UpdateServiceResponse> {
        self.change_service(request).await
    }

    async fn rollback_service(
        &self,
        request: Request<wire::RollbackServiceRequest>,
    ) -> Answer<wire::RollbackServiceResponse> {
        self.return_service(request).await
    }

    async fn remove_service(
        &self,
        request: Request<wire::RemoveServiceRequest>,
    ) -> Answer<wire::RemoveServiceResponse> {
        self.forget_service(request).await
    }

    async fn list_services(
        &self,
        request: Request<wire::ListServicesRequest>,
    ) -> Answer<wire::ListServicesResponse> {
        let request = request.into_inner();
        let view = self.read(request.read).await?;
        let services = service::list(&view, &Scope::current(), &request.target)?
            .iter()
            .map(|(service, count)| wire::ServiceListing {
                service: Some((&**service).into()),
                running: count.running,
                wanted: count.wanted,
                completed: count.completed,
            })
            .collect();
        Ok(Response::new(wire::ListServicesResponse {
            services,
            shown: self.shown(&view),
        }))
    }

    async fn list_tasks(
        &self,
        request: Request<wire::ListTasksRequest>,
    ) -> Answer<wire::ListTasksResponse> {
        let request = request.into_inner();
        let view = self.read(request.read).await?;
        let scope = Scope::current();
        let service = match request.service.as_str() {
            "" => None,
            target => Some(target::service(&view, &scope, target)?.id),
        };
        let node = match request.node.as_str() {
            "" => None,
            target => Some(node::find(&view, target, self.members.this_node())?.id),
        };
        let (mut tasks, mut waits) = task::listed(&view, service, node);
        tasks.retain(|task| task::is_in(&view, &scope, task));
        waits.retain(|id, _| tasks.iter().any(|task| task.id == *id));
        let nodes = task::nodes_of(&view, &tasks);
        Ok(Response::new(wire::ListTasksResponse {
            tasks: tasks.iter().map(|task| (&**task).into()).collect(),
            waits: waits.into_iter().map(wait).collect(),
            nodes: nodes.iter().map(|node| (&**node).into()).collect(),
            shown: self.shown(&view),
        }))
    }

    type ServiceLogsStream = BoxStream<'static, Result<wire::LogLine, Status>>;

    async fn service_logs(
        &self,
        request: Request<wire::ServiceLogsRequest>,
    ) -> Answer<Self::ServiceLogsStream> {
        let view = self.view().await?;
        let (followed, query) = logs::query(&view, &Scope::current(), &request.into_inner())?;
        let nothing_yet = query.tasks.is_empty().then(|| wire::LogLine {
            note: "no task of this service was given to a node yet".to_owned(),
            ..wire::LogLine::default()
        });
        let lines = match (query.follow, query.tasks.is_empty()) {
            (true, _) => follow(self.logs.clone(), &self.replica.store, followed, query),
            (false, true) => stream::empty().boxed(),
            (false, false) => self.logs.logs(query),
        };
        Ok(Response::new(
            stream::iter(nothing_yet).chain(lines).map(Ok).boxed(),
        ))
    }

    type WatchStream = BoxStream<'static, Result<wire::WatchEvent, Status>>;

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Answer<Self::WatchStream> {
        let events = watch::events(&self.replica, self.proposer.clone(), request.get_ref())?;
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

    type BackupStream = BoxStream<'static, Result<wire::BackupPart, Status>>;

    async fn backup(&self, request: Request<wire::BackupRequest>) -> Answer<Self::BackupStream> {
        let taken_at = Timestamp::from_millis(request.get_ref().at_ms);
        let view = self.view().await?;
        tracing::info!(revision = view.revision(), "a backup is taken");
        let parts = backup::parts(view, taken_at).await?;
        Ok(Response::new(stream::iter(parts).boxed()))
    }
    async fn update_cluster(
        &self,
        request: Request<wire::UpdateClusterRequest>,
    ) -> Answer<wire::UpdateClusterResponse> {
        self.change_settings(request).await
    }

    async fn get_ca(&self, _: Request<wire::GetCaRequest>) -> Answer<wire::GetCaResponse> {
        let view = self.view().await?;
        Ok(Response::new(ca::show(&view)?))
    }

    async fn rotate_ca(
        &self,
        request: Request<wire::RotateCaRequest>,
    ) -> Answer<wire::RotateCaResponse> {
        self.change_root(request).await
    }

    async fn create_join_token(
        &self,
        request: Request<wire::CreateJoinTokenRequest>,
    ) -> Answer<wire::CreateJoinTokenResponse> {
        self.make_join_token(request).await
    }

    async fn list_join_tokens(
        &self,
        request: Request<wire::ListJoinTokensRequest>,
    ) -> Answer<wire::ListJoinTokensResponse> {
        self.join_tokens(request).await
    }

    async fn remove_join_token(
        &self,
        request: Request<wire::RemoveJoinTokenRequest>,
    ) -> Answer<wire::RemoveJoinTokenResponse> {
        self.forget_join_token(request).await
    }

    async fn decide_node(
        &self,
        request: Request<wire::DecideNodeRequest>,
    ) -> Answer<wire::DecideNodeResponse> {
        self.decide_about(request).await
    }

    async fn set_autolock(
        &self,
        request: Request<wire::SetAutolockRequest>,
    ) -> Answer<wire::SetAutolockResponse> {
        self.lock_managers(request).await
    }

    async fn get_unlock_key(
        &self,
        request: Request<wire::GetUnlockKeyRequest>,
    ) -> Answer<wire::GetUnlockKeyResponse> {
        self.reveal_unlock_key(request).await
    }

    async fn list_audit(
        &self,
        request: Request<wire::ListAuditRequest>,
    ) -> Answer<wire::ListAuditResponse> {
        let request = request.into_inner();
        let stale = request.stale;
        let view = self
            .read(Some(wire::ReadOptions {
                stale,
                min_revision: 0,
            }))
            .await?;
        let records = audit::list(&view, &request);
        Ok(Response::new(wire::ListAuditResponse {
            records: records.iter().map(|record| (&**record).into()).collect(),
            revision: view.revision(),
        }))
    }

    async fn create_user(
        &self,
        request: Request<wire::CreateUserRequest>,
    ) -> Answer<wire::CreateUserResponse> {
        let request = request.into_inner();
        let name = RequestId::read(&request.request_id)?;
        let call = "create user";
        let named = name.command(call).map(|id| (id, name.object(call, || 0)));
        Ok(Response::new(self.people()?.create(&request, named).await?))
    }

    async fn list_users(
        &self,
        request: Request<wire::ListUsersRequest>,
    ) -> Answer<wire::ListUsersResponse> {
        let request = request.into_inner();
        let stale = request.stale;
        let view = self
            .read(Some(wire::ReadOptions {
                stale,
                min_revision: 0,
            }))
            .await?;
        let users = People::list(&view, &request.target)?;
        Ok(Response::new(wire::ListUsersResponse { users }))
    }

    async fn update_user(
        &self,
        request: Request<wire::UpdateUserRequest>,
    ) -> Answer<wire::UpdateUserResponse> {
        let request = request.into_inner();
        let id = RequestId::read(&request.request_id)?.command("update user");
        Ok(Response::new(self.people()?.update(&request, id).await?))
    }

    async fn remove_user(
        &self,
        request: Request<wire::RemoveUserRequest>,
    ) -> Answer<wire::RemoveUserResponse> {
        let target = request.into_inner().target;
        Ok(Response::new(self.people()?.remove(&target).await?))
    }

    async fn renew_user(
        &self,
        request: Request<wire::RenewUserRequest>,
    ) -> Answer<wire::RenewUserResponse> {
        let caller = peer_of(request.extensions()).and_then(|peer| peer.user);
        let caller = caller.ok_or_else(|| Status::unauthenticated("only a user renews herself"))?;
        let request = request.into_inner();
        let answer = self.people()?.renew(&caller, &request.csr_der).await?;
        Ok(Response::new(answer))
    }

    async fn create_secret(
        &self,
        request: Request<wire::CreateMaterialRequest>,
    ) -> Answer<wire::CreateMaterialResponse> {
        self.create_material(MaterialKind::Secret, request).await
    }

    async fn update_secret(
        &self,
        request: Request<wire::UpdateMaterialRequest>,
    ) -> Answer<wire::UpdateMaterialResponse> {
        self.update_material(MaterialKind::Secret, request).await
    }

    async fn list_secrets(
        &self,
        request: Request<wire::ListMaterialsRequest>,
    ) -> Answer<wire::ListMaterialsResponse> {
        self.list_materials(MaterialKind::Secret, request).await
    }

    async fn remove_secret(
        &self,
        request: Request<wire::RemoveMaterialRequest>,
    ) -> Answer<wire::RemoveMaterialResponse> {
        self.remove_material(MaterialKind::Secret, request).await
    }

    async fn create_config(
        &self,
        request: Request<wire::CreateMaterialRequest>,
    ) -> Answer<wire::CreateMaterialResponse> {
        self.create_material(MaterialKind::Config, request).await
    }

    async fn update_config(
        &self,
        request: Request<wire::UpdateMaterialRequest>,
    ) -> Answer<wire::UpdateMaterialResponse> {
        self.update_material(MaterialKind::Config, request).await
    }

    async fn list_configs(
        &self,
        request: Request<wire::ListMaterialsRequest>,
    ) -> Answer<wire::ListMaterialsResponse> {
        self.list_materials(MaterialKind::Config, request).await
    }

    async fn remove_config(
        &self,
        request: Request<wire::RemoveMaterialRequest>,
    ) -> Answer<wire::RemoveMaterialResponse> {
        self.remove_material(MaterialKind::Config, request).await
    }

    async fn get_keys(
        &self,
        request: Request<wire::GetKeysRequest>,
    ) -> Answer<wire::GetKeysResponse> {
        let view = self.read(request.into_inner().read).await?;
        let mut answer = keys::get(&view, &self.members.keys_awaited())?;
        answer.shown = self.shown(&view);
        Ok(Response::new(answer))
    }

    async fn update_keys(
        &self,
        request: Request<wire::UpdateKeysRequest>,
    ) -> Answer<wire::UpdateKeysResponse> {
        self.change_keys(request).await
    }
}
