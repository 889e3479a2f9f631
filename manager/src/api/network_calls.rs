//! The calls that change networks.

use crate::acting::Scope;
use crate::api::error::ApiError;
use crate::api::network;
use crate::api::request::RequestId;
use crate::api::server::Answer;
use crate::api::server::ControlService;
use crate::api::server::removed_id;
use crate::propose::retry::Basis;
use crate::store::State;
use std::sync::Arc;
use tonic::Request;
use tonic::Response;
use weft_proto::NetworkId;
use weft_proto::spec::NetworkSpec;
use weft_proto::wire;

impl ControlService {
    /// A network of its own subnet.
    pub(super) async fn make_network(
        &self,
        request: Request<wire::CreateNetworkRequest>,
    ) -> Answer<wire::CreateNetworkResponse> {
        let request = request.into_inner();
        let name = RequestId::read(&request.request_id)?;
        let spec = request.spec.ok_or(ApiError::Incomplete("network spec"))?;
        let spec = NetworkSpec::try_from(spec).map_err(ApiError::Field)?;
        let call = "create network";
        let id = NetworkId::from_entropy(name.object(call, || self.bits()));
        let scope = Scope::current();
        let create = |state: &State| network::create(state, &scope, id, &spec);
        let done = self.once(name.command(call), Basis::Local, create).await?;
        let (decided, view) = done.parts();
        if let Some(network) = &decided {
            tracing::info!(%id, name = %spec.name, subnet = %network.subnet, "network created");
        }
        let stored = view.and_then(|view| view.network(id).cloned());
        let network = stored.or(decided.map(Arc::new));
        let network = network.ok_or(ApiError::MadeAndGone("network"))?;
        Ok(Response::new(wire::CreateNetworkResponse {
            network: Some((&*network).into()),
        }))
    }

    /// A network that nobody uses goes.
    pub(super) async fn forget_network(
        &self,
        request: Request<wire::RemoveNetworkRequest>,
    ) -> Answer<wire::RemoveNetworkResponse> {
        let wire::RemoveNetworkRequest { target, request_id } = request.into_inner();
        let id = RequestId::read(&request_id)?.command("remove network");
        let scope = Scope::current();
        let remove = |state: &State| network::remove(state, &scope, &target);
        let removed = self.once(id, Basis::Fresh, remove).await?;
        Ok(Response::new(wire::RemoveNetworkResponse {
            network_id: removed_id(removed, "network", &target),
        }))
    }
}
