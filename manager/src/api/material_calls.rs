//! The calls about secrets and configs, which differ in their kind only.

use crate::api::error::ApiError;
use crate::api::material;
use crate::api::request::RequestId;
use crate::api::server::Answer;
use crate::api::server::ControlService;
use crate::api::server::removed_id;
use crate::api::target;
use crate::propose::retry::Basis;
use crate::store::State;
use tonic::Request;
use tonic::Response;
use weft_proto::MaterialId;
use weft_proto::object::Data;
use weft_proto::object::Material;
use weft_proto::spec::MaterialKind;
use weft_proto::spec::MaterialSpec;
use weft_proto::wire;

fn noun(kind: MaterialKind) -> &'static str {
    match kind {
        MaterialKind::Secret => "secret",
        MaterialKind::Config => "config",
    }
}

fn create_call(kind: MaterialKind) -> &'static str {
    match kind {
        MaterialKind::Secret => "create secret",
        MaterialKind::Config => "create config",
    }
}

fn remove_call(kind: MaterialKind) -> &'static str {
    match kind {
        MaterialKind::Secret => "remove secret",
        MaterialKind::Config => "remove config",
    }
}

fn update_call(kind: MaterialKind) -> &'static str {
    match kind {
        MaterialKind::Secret => "update secret",
        MaterialKind::Config => "update config",
    }
}

fn shown(material: Material) -> wire::Material {
    (&material.without_data()).into()
}

impl ControlService {
    pub(super) async fn create_material(
        &self,
        kind: MaterialKind,
        request: Request<wire::CreateMaterialRequest>,
    ) -> Answer<wire::CreateMaterialResponse> {
        let request = request.into_inner();
        let data = Data::new(request.data);
        let name = RequestId::read(&request.request_id)?;
        let spec = request.spec.ok_or(ApiError::Incomplete("spec"))?;
        let spec = MaterialSpec::try_from(spec).map_err(ApiError::Field)?;
        let call = create_call(kind);
        let id = MaterialId::from_entropy(name.object(call, || self.bits()));
        let create = |state: &State| material::create(state, kind, id, &spec, &data);
        let done = self.once(name.command(call), Basis::Local, create).await?;
        let (decided, view) = done.parts();
        if decided.is_some() {
            tracing::info!(%id, name = %spec.name, %kind, "created");
        }
        let stored = view.and_then(|view| view.material(id).map(|m| Material::clone(m)));
        let material = stored.or(decided);
        let material = material.ok_or(ApiError::MadeAndGone(noun(kind)))?;
        Ok(Response::new(wire::CreateMaterialResponse {
            material: Some(shown(material)),
        }))
    }

    pub(super) async fn update_material(
        &self,
        kind: MaterialKind,
        request: Request<wire::UpdateMaterialRequest>,
    ) -> Answer<wire::UpdateMaterialResponse> {
        let request = request.into_inner();
        let data = Data::new(request.data);
        let id = RequestId::read(&request.request_id)?.command(update_call(kind));
        let target = &*request.target;
        let update = |state: &State| material::update(state, kind, target, &data);
        let (decided, view) = self.once(id, Basis::Fresh, update).await?.parts();
        let (material, services) = match (decided, view) {
            (Some(done), view) => {
                let version = done.material.current();
                tracing::info!(id = %done.material.id, name = %done.material.spec.name, %kind, version, "updated");
                let stored = view.and_then(|view| view.material(done.material.id).cloned());
                let stored = stored.map(|stored| Material::clone(&stored));
                (stored.unwrap_or(done.material), done.services)
            }
            (None, Some(view)) => {
                let found = target::material(&view, kind, target).map_err(ApiError::from)?;
                let users = crate::material::users(&view, found.id);
                let users = users.map(|service| service.spec.name.to_string());
                (Material::clone(&found), users.collect())
            }
            (None, None) => return Err(ApiError::MadeAndGone("change").into()),
        };
        Ok(Response::new(wire::UpdateMaterialResponse {
            material: Some(shown(material)),
            services,
        }))
    }

    pub(super) async fn list_materials(
        &self,
        kind: MaterialKind,
        request: Request<wire::ListMaterialsRequest>,
    ) -> Answer<wire::ListMaterialsResponse> {
        let request = request.into_inner();
        let view = self.read(request.read).await?;
        let listed = material::list(&view, kind, &request.target)?;
        let listed = listed
            .iter()
            .map(|(material, users)| wire::MaterialListing {
                material: Some(material.into()),
                used_by: users.clone(),
            });
        Ok(Response::new(wire::ListMaterialsResponse {
            materials: listed.collect(),
            shown: self.shown(&view),
        }))
    }

    pub(super) async fn remove_material(
        &self,
        kind: MaterialKind,
        request: Request<wire::RemoveMaterialRequest>,
    ) -> Answer<wire::RemoveMaterialResponse> {
        let wire::RemoveMaterialRequest { target, request_id } = request.into_inner();
        let id = RequestId::read(&request_id)?.command(remove_call(kind));
        let remove = |state: &State| material::remove(state, kind, &target);
        let removed = self.once(id, Basis::Fresh, remove).await?;
        Ok(Response::new(wire::RemoveMaterialResponse {
            id: removed_id(removed, noun(kind), &target),
        }))
    }
}
