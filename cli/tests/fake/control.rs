//! The calls about the cluster, as the fake answers them.

use super::Answer;
use super::NOW;
use super::Server;
use super::meta;
use super::node_id;
use std::pin::Pin;
use tokio_stream::Stream;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use weft_proto::JoinTokenId;
use weft_proto::NetworkId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

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
        agents: 0,
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
                ..wire::Task::default()
            });
        }
    }
    all
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
            ..wire::ListNodesResponse::default()
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
        Ok(Response::new(wire::ListNetworksResponse {
            networks,
            ..wire::ListNetworksResponse::default()
        }))
    }

    async fn remove_network(
        &self,
        request: Request<wire::RemoveNetworkRequest>,
    ) -> Answer<wire::RemoveNetworkResponse> {
        let target = request.into_inner().target;
        let mut memory = self.state()?;
        memory.networks.retain(|network| network.id != target);
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
            ..wire::Service::default()
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

    async fn rollback_service(
        &self,
        request: Request<wire::RollbackServiceRequest>,
    ) -> Answer<wire::RollbackServiceResponse> {
        Err(no_service(&request.into_inner().target))
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
                wanted: service.spec.as_ref().unwrap().replicated.unwrap().replicas,
                completed: 0,
            })
            .collect();
        if services.is_empty() && !target.is_empty() {
            return Err(no_service(&target));
        }
        Ok(Response::new(wire::ListServicesResponse {
            services,
            ..wire::ListServicesResponse::default()
        }))
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
            waits: Vec::new(),
            tasks: meant.flat_map(tasks).collect(),
            nodes: vec![node()],
            ..wire::ListTasksResponse::default()
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

    type WatchStream = Pin<Box<dyn Stream<Item = Result<wire::WatchEvent, Status>> + Send>>;

    async fn watch(&self, _: Request<wire::WatchRequest>) -> Answer<Self::WatchStream> {
        Err(Status::unimplemented("the fake has no history"))
    }

    async fn state_hash(
        &self,
        _: Request<wire::StateHashRequest>,
    ) -> Answer<wire::StateHashResponse> {
        Err(Status::unimplemented("the fake has no state"))
    }

    type BackupStream = Pin<Box<dyn Stream<Item = Result<wire::BackupPart, Status>> + Send>>;

    async fn backup(&self, _: Request<wire::BackupRequest>) -> Answer<Self::BackupStream> {
        // Cut off in the middle.
        let part = wire::BackupPart {
            data: b"weftbak1".to_vec(),
        };
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(part)]))))
    }

    async fn create_join_token(
        &self,
        request: Request<wire::CreateJoinTokenRequest>,
    ) -> Answer<wire::CreateJoinTokenResponse> {
        let mut memory = self.state()?;
        let request = request.into_inner();
        let number = u128::try_from(memory.tokens.len()).unwrap();
        let made = wire::JoinToken {
            meta: Some(meta(3)),
            id: JoinTokenId::from_entropy(500 + number).to_string(),
            role: request.role,
            name: request.name,
            expires_ms: (request.ttl_ms > 0).then_some(NOW),
            uses_left: (request.uses > 0).then_some(request.uses),
            labels: request.labels,
            approve: request.approve,
            ..wire::JoinToken::default()
        };
        memory.tokens.push(made.clone());
        Ok(Response::new(wire::CreateJoinTokenResponse {
            token: "told-once".to_owned(),
            made: Some(made),
            manager_addrs: vec!["192.0.2.1:2377".to_owned()],
        }))
    }

    async fn list_join_tokens(
        &self,
        _: Request<wire::ListJoinTokensRequest>,
    ) -> Answer<wire::ListJoinTokensResponse> {
        Ok(Response::new(wire::ListJoinTokensResponse {
            tokens: self.state()?.tokens.clone(),
            now_ms: NOW,
        }))
    }

    async fn remove_join_token(
        &self,
        request: Request<wire::RemoveJoinTokenRequest>,
    ) -> Answer<wire::RemoveJoinTokenResponse> {
        let id = request.into_inner().target;
        self.state()?.tokens.retain(|token| token.id != id);
        Ok(Response::new(wire::RemoveJoinTokenResponse { id }))
    }

    async fn decide_node(
        &self,
        request: Request<wire::DecideNodeRequest>,
    ) -> Answer<wire::DecideNodeResponse> {
        let request = request.into_inner();
        let mut memory = self.state()?;
        memory
            .decided
            .push((request.target.clone(), request.accept));
        Ok(Response::new(wire::DecideNodeResponse {
            node_id: request.target,
            hostname: "n7".to_owned(),
        }))
    }

    async fn list_audit(
        &self,
        request: Request<wire::ListAuditRequest>,
    ) -> Answer<wire::ListAuditResponse> {
        let request = request.into_inner();
        let record = |revision: u64, identity: &str, summary: &str| wire::AuditRecord {
            revision,
            at_ms: NOW,
            actor: Some(wire::Actor {
                identity: identity.to_owned(),
                origin: "socket of n1".to_owned(),
                call: "Control/CreateService".to_owned(),
                summary: summary.to_owned(),
            }),
        };
        let mut records = vec![
            record(7, "local/uid/0", "created service web"),
            record(9, "spiffe://c/user/alice", "removed service web"),
        ];
        records.retain(|one| {
            let actor = one.actor.as_ref().unwrap();
            one.revision > request.after_revision && actor.identity.contains(&request.actor)
        });
        Ok(Response::new(wire::ListAuditResponse {
            records,
            revision: 9,
        }))
    }

    async fn create_user(
        &self,
        _: Request<wire::CreateUserRequest>,
    ) -> Answer<wire::CreateUserResponse> {
        Err(Status::permission_denied("the fake knows no users"))
    }

    async fn list_users(
        &self,
        _: Request<wire::ListUsersRequest>,
    ) -> Answer<wire::ListUsersResponse> {
        Err(Status::permission_denied("the fake knows no users"))
    }

    async fn update_user(
        &self,
        _: Request<wire::UpdateUserRequest>,
    ) -> Answer<wire::UpdateUserResponse> {
        Err(Status::permission_denied("the fake knows no users"))
    }

    async fn remove_user(
        &self,
        _: Request<wire::RemoveUserRequest>,
    ) -> Answer<wire::RemoveUserResponse> {
        Err(Status::permission_denied("the fake knows no users"))
    }

    async fn renew_user(
        &self,
        _: Request<wire::RenewUserRequest>,
    ) -> Answer<wire::RenewUserResponse> {
        Err(Status::permission_denied("the fake knows no users"))
    }

    async fn create_secret(
        &self,
        _: Request<wire::CreateMaterialRequest>,
    ) -> Answer<wire::CreateMaterialResponse> {
        Err(Status::unimplemented("not in this fake"))
    }

    async fn update_secret(
        &self,
        _: Request<wire::UpdateMaterialRequest>,
    ) -> Answer<wire::UpdateMaterialResponse> {
        Err(Status::unimplemented("not in this fake"))
    }

    async fn list_secrets(
        &self,
        _: Request<wire::ListMaterialsRequest>,
    ) -> Answer<wire::ListMaterialsResponse> {
        Err(Status::unimplemented("not in this fake"))
    }

    async fn remove_secret(
        &self,
        _: Request<wire::RemoveMaterialRequest>,
    ) -> Answer<wire::RemoveMaterialResponse> {
        Err(Status::unimplemented("not in this fake"))
    }

    async fn create_config(
        &self,
        _: Request<wire::CreateMaterialRequest>,
    ) -> Answer<wire::CreateMaterialResponse> {
        Err(Status::unimplemented("not in this fake"))
    }

    async fn update_config(
        &self,
        _: Request<wire::UpdateMaterialRequest>,
    ) -> Answer<wire::UpdateMaterialResponse> {
        Err(Status::unimplemented("not in this fake"))
    }

    async fn list_configs(
        &self,
        _: Request<wire::ListMaterialsRequest>,
    ) -> Answer<wire::ListMaterialsResponse> {
        Err(Status::unimplemented("not in this fake"))
    }

    async fn remove_config(
        &self,
        _: Request<wire::RemoveMaterialRequest>,
    ) -> Answer<wire::RemoveMaterialResponse> {
        Err(Status::unimplemented("not in this fake"))
    }

    async fn get_keys(&self, _: Request<wire::GetKeysRequest>) -> Answer<wire::GetKeysResponse> {
        Ok(Response::new(wire::GetKeysResponse::default()))
    }

    async fn update_keys(
        &self,
        _: Request<wire::UpdateKeysRequest>,
    ) -> Answer<wire::UpdateKeysResponse> {
        Err(Status::unimplemented("the fake has no keys"))
    }
}
