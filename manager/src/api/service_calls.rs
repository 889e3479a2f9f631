//! The calls that change services.

use crate::acting::Scope;
use crate::api::error::ApiError;
use crate::api::request::RequestId;
use crate::api::server::Answer;
use crate::api::server::ControlService;
use crate::api::server::removed_id;
use crate::api::service;
use crate::api::target;
use crate::propose::retry::Basis;
use crate::store::State;
use std::sync::Arc;
use tonic::Request;
use tonic::Response;
use weft_proto::ServiceId;
use weft_proto::wire;

impl ControlService {
    /// A service of a name of its own.
    pub(super) async fn make_service(
        &self,
        request: Request<wire::CreateServiceRequest>,
    ) -> Answer<wire::CreateServiceResponse> {
        let request = request.into_inner();
        let name = RequestId::read(&request.request_id)?;
        let spec = request.spec.ok_or(ApiError::Incomplete("service spec"))?;
        let call = "create service";
        let id = ServiceId::from_entropy(name.object(call, || self.bits()));
        let scope = Scope::current();
        let create = |state: &State| service::create(state, &scope, id, &spec);
        let done = self.once(name.command(call), Basis::Local, create).await?;
        let (decided, view) = done.parts();
        if let Some(service) = &decided {
            tracing::info!(%id, name = %service.spec.name, "service created");
        }
        let stored = view.and_then(|view| view.service(id).cloned());
        let service = stored.or(decided.map(Arc::new));
        let service = service.ok_or(ApiError::MadeAndGone("service"))?;
        Ok(Response::new(wire::CreateServiceResponse {
            service: Some((&*service).into()),
        }))
    }

    /// A service as it is to be from now on.
    pub(super) async fn change_service(
        &self,
        request: Request<wire::UpdateServiceRequest>,
    ) -> Answer<wire::UpdateServiceResponse> {
        let request = request.into_inner();
        let id = RequestId::read(&request.request_id)?.command("update service");
        let spec = request.spec.ok_or(ApiError::Incomplete("service spec"))?;
        let (target, version) = (&*request.target, request.version);
        let basis = self.basis(target);
        let scope = Scope::current();
        let update = |state: &State| service::update(state, &scope, target, version, &spec);
        let (decided, view) = self.once(id, basis, update).await?.parts();
        let service = match (decided, view) {
            (Some(service), view) => {
                tracing::info!(id = %service.id, name = %service.spec.name, "service updated");
                let stored = view.and_then(|view| view.service(service.id).cloned());
                stored.unwrap_or_else(|| Arc::new(service))
            }
            (None, Some(view)) => target::service(&view, &scope, target)?,
            (None, None) => return Err(ApiError::MadeAndGone("change").into()),
        };
        Ok(Response::new(wire::UpdateServiceResponse {
            service: Some((&*service).into()),
        }))
    }

    /// A service as it was before its last change.
    pub(super) async fn return_service(
        &self,
        request: Request<wire::RollbackServiceRequest>,
    ) -> Answer<wire::RollbackServiceResponse> {
        let request = request.into_inner();
        let id = RequestId::read(&request.request_id)?.command("roll back service");
        let (target, version) = (&*request.target, request.version);
        let basis = self.basis(target);
        let scope = Scope::current();
        let rollback = |state: &State| service::rollback(state, &scope, target, version);
        let (decided, view) = self.once(id, basis, rollback).await?.parts();
        let service = match (decided, view) {
            (Some(service), view) => {
                tracing::info!(id = %service.id, name = %service.spec.name, "service rolled back");
                let stored = view.and_then(|view| view.service(service.id).cloned());
                stored.unwrap_or_else(|| Arc::new(service))
            }
            (None, Some(view)) => target::service(&view, &scope, target)?,
            (None, None) => return Err(ApiError::MadeAndGone("change").into()),
        };
        Ok(Response::new(wire::RollbackServiceResponse {
            service: Some((&*service).into()),
        }))
    }

    /// A service ends, with its tasks.
    pub(super) async fn forget_service(
        &self,
        request: Request<wire::RemoveServiceRequest>,
    ) -> Answer<wire::RemoveServiceResponse> {
        let wire::RemoveServiceRequest { target, request_id } = request.into_inner();
        let id = RequestId::read(&request_id)?.command("remove service");
        let scope = Scope::current();
        let remove = |state: &State| service::remove(state, &scope, &target);
        let removed = self.once(id, Basis::Fresh, remove).await?;
        Ok(Response::new(wire::RemoveServiceResponse {
            service_id: removed_id(removed, "service", &target),
        }))
    }
}
