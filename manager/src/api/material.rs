//! Secrets and configs.

use crate::api::error::ApiError;
use crate::api::files;
use crate::api::target;
use crate::material;
use crate::orchestrator;
use crate::propose::retry::Decision;
use crate::store::Claim;
use crate::store::State;
use std::collections::BTreeMap;
use tonic::Status;
use weft_proto::MaterialId;
use weft_proto::command::Change;
use weft_proto::convert::MAX_MATERIAL_BYTES;
use weft_proto::object::Data;
use weft_proto::object::Material;
use weft_proto::object::MaterialVersion;
use weft_proto::object::Meta;
use weft_proto::object::Service;
use weft_proto::spec::MaterialKind;
use weft_proto::spec::MaterialName;
use weft_proto::spec::MaterialSpec;
use weft_proto::template::Place;
use weft_proto::template::Template;
use weft_proto::template::TemplateError;
use weft_proto::time::Timestamp;

/// So many versions of one may be in use at a time: each is held in memory by every manager.
const MAX_VERSIONS: usize = 16;
/// So many services an error names.
const NAMED: usize = 5;

/// A secret or config that is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum MaterialError {
    #[error("{kind} {name} has no data: give a file that is not empty, or text on standard input")]
    Empty {
        kind: MaterialKind,
        name: MaterialName,
    },
    #[error(
        "{kind} {name} has {size} bytes, and may have {MAX_MATERIAL_BYTES}: keep large files \
         elsewhere, and only the key to them in the cluster"
    )]
    TooLarge {
        kind: MaterialKind,
        name: MaterialName,
        size: usize,
    },
    #[error("there is a {kind} {name} already: change it with \"weft {kind} update {name}\"")]
    NameTaken {
        kind: MaterialKind,
        name: MaterialName,
    },
    #[error("{kind} {name} is no text (UTF-8) and cannot have placeholders: leave out --template")]
    NoText {
        kind: MaterialKind,
        name: MaterialName,
    },
    #[error("{what}: {source}")]
    Template {
        what: String,
        #[source]
        source: TemplateError,
    },
    #[error("{kind} {name} cannot be removed: it is used by {users}; {remedy}")]
    Used {
        kind: MaterialKind,
        name: MaterialName,
        users: String,
        remedy: &'static str,
    },
    #[error(
        "{kind} {name} has {MAX_VERSIONS} versions that tasks still run with: wait until the \
         services that use it have rolled over (weft service ls), then update it again"
    )]
    TooManyVersions {
        kind: MaterialKind,
        name: MaterialName,
    },
    #[error("version {version} of {kind} {name} is gone: leave it out and get the present one")]
    VersionGone {
        kind: MaterialKind,
        name: MaterialName,
        version: u64,
    },
    #[error(
        "service {service} cannot return to its previous spec: its {kind} {name} was removed; \
         create it and change the service with \"weft service update\""
    )]
    NoWayBack {
        service: weft_proto::Name,
        kind: MaterialKind,
        name: MaterialName,
    },
    #[error(
        "{kind} {name} asks for {{{{{field}}}}}, which the service has not: add it, or take the \
         placeholder out"
    )]
    Unanswered {
        kind: MaterialKind,
        name: MaterialName,
        field: String,
    },
}

impl From<MaterialError> for Status {
    fn from(error: MaterialError) -> Status {
        let text = error.to_string();
        match error {
            MaterialError::Empty { .. }
            | MaterialError::TooLarge { .. }
            | MaterialError::NoText { .. }
            | MaterialError::Template { .. }
            | MaterialError::Unanswered { .. } => Status::invalid_argument(text),
            MaterialError::NameTaken { .. } => Status::already_exists(text),
            MaterialError::Used { .. }
            | MaterialError::TooManyVersions { .. }
            | MaterialError::VersionGone { .. }
            | MaterialError::NoWayBack { .. } => Status::failed_precondition(text),
        }
    }
}

/// A new secret or config. One that has this identifier was made by the same request.
pub(super) fn create(
    state: &State,
    kind: MaterialKind,
    id: MaterialId,
    spec: &MaterialSpec,
    data: &Data,
) -> Result<Decision<Material>, ApiError> {
    if let Some(made) = state.material(id) {
        return Ok(Decision {
            changes: Vec::new(),
            outcome: Material::clone(made),
        });
    }
    check(kind, spec, data)?;
    let name = spec.name.clone();
    if state
        .holder(&Claim::MaterialName(kind, name.clone()))
        .is_some()
    {
        return Err(MaterialError::NameTaken { kind, name }.into());
    }
    let material = Material {
        meta: Meta::default(),
        id,
        kind,
        spec: spec.clone(),
        versions: BTreeMap::from([(1, version(data))]),
    };
    Ok(Decision {
        changes: vec![Change::create(material.clone())],
        outcome: material,
    })
}

/// Stamped when it becomes state.
fn version(data: &Data) -> MaterialVersion {
    MaterialVersion {
        at: Timestamp::default(),
        data: data.clone(),
    }
}

fn check(kind: MaterialKind, spec: &MaterialSpec, data: &Data) -> Result<(), MaterialError> {
    let name = || spec.name.clone();
    let size = data.bytes().len();
    if size == 0 {
        return Err(MaterialError::Empty { kind, name: name() });
    }
    if size > MAX_MATERIAL_BYTES {
        let name = name();
        return Err(MaterialError::TooLarge { kind, name, size });
    }
    if spec.template {
        template(kind, &spec.name, data)?;
    }
    Ok(())
}

/// The data of one with placeholders, read.
pub(super) fn template(
    kind: MaterialKind,
    name: &MaterialName,
    data: &Data,
) -> Result<Template, MaterialError> {
    let text = std::str::from_utf8(data.bytes()).map_err(|_| MaterialError::NoText {
        kind,
        name: name.clone(),
    })?;
    Template::parse(text, Place::Data).map_err(|source| MaterialError::Template {
        what: format!("{kind} {name}"),
        source,
    })
}

/// What an update did.
#[derive(Debug)]
pub(super) struct Updated {
    pub(super) material: Material,
    /// The names of the services that roll over to it.
    pub(super) services: Vec<String>,
}

/// Other data for a secret or config: the services that use it get the new version in the same
/// transaction, and roll over to it by their own policies. The data that is there changes nothing.
pub(super) fn update(
    state: &State,
    kind: MaterialKind,
    target: &str,
    data: &Data,
) -> Result<Decision<Updated>, ApiError> {
    let old = target::material(state, kind, target)?;
    check(kind, &old.spec, data)?;
    if old.data() == Some(data) {
        return Ok(Decision {
            changes: Vec::new(),
            outcome: Updated {
                material: Material::clone(&old),
                services: Vec::new(),
            },
        });
    }
    let next = old.current().saturating_add(1);
    let mut material = Material::clone(&old);
    material.versions.insert(next, version(data));
    let needed = material::needed(state);
    let mut kept = material::kept(&material, needed.get(&old.id));
    if kept.versions.len() > MAX_VERSIONS {
        let name = old.spec.name.clone();
        return Err(MaterialError::TooManyVersions { kind, name }.into());
    }
    kept.versions.insert(next, version(data));
    let mut services = Vec::new();
    let mut changes = Vec::new();
    for service in material::users(state, old.id) {
        services.push(service.spec.name.to_string());
        changes.push(Change::update(moved(state, service, &material)?));
    }
    changes.push(Change::update(kept));
    Ok(Decision {
        changes,
        outcome: Updated { material, services },
    })
}

/// A service with the present version of a material.
fn moved(state: &State, service: &Service, material: &Material) -> Result<Service, ApiError> {
    let mut spec = service.spec.clone();
    let files = spec.task.files.iter_mut();
    for file in files.filter(|file| file.material == material.id) {
        file.version = material.current();
    }
    files::complete(state, &mut spec, Some(material))?;
    Ok(orchestrator::refreshed(service, spec))
}

/// Those that are meant, by name, each with the services that use it; with an empty target all.
/// Data is only in the answer about one config.
pub(super) fn list(
    state: &State,
    kind: MaterialKind,
    target: &str,
) -> Result<Vec<(Material, Vec<String>)>, ApiError> {
    let mut found: Vec<Material> = if target.is_empty() {
        let all = state.materials().filter(|material| material.kind == kind);
        all.map(|m| Material::clone(m).without_data()).collect()
    } else {
        let one = Material::clone(&*target::material(state, kind, target)?);
        vec![match kind {
            MaterialKind::Secret => one.without_data(),
            MaterialKind::Config => one,
        }]
    };
    found.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    let with_users = found.into_iter().map(|material| {
        let users = names(state, material.id);
        (material, users)
    });
    Ok(with_users.collect())
}

fn names(state: &State, id: MaterialId) -> Vec<String> {
    let mut names: Vec<String> = material::users(state, id)
        .map(|service| service.spec.name.to_string())
        .collect();
    names.sort();
    names
}

/// Removes one that nothing uses.
pub(super) fn remove(
    state: &State,
    kind: MaterialKind,
    target: &str,
) -> Result<Decision<MaterialId>, ApiError> {
    let material = target::material(state, kind, target)?;
    if let Some((users, remedy)) = used(state, material.id) {
        return Err(MaterialError::Used {
            kind,
            name: material.spec.name.clone(),
            users,
            remedy,
        }
        .into());
    }
    Ok(Decision {
        changes: vec![Change::remove(Material::clone(&material).without_data())],
        outcome: material.id,
    })
}

/// Who uses it, and what to do about it. The store refuses the same cases, without a remedy.
fn used(state: &State, id: MaterialId) -> Option<(String, &'static str)> {
    let mut names = names(state, id);
    let more = names.len().saturating_sub(NAMED);
    let several = names.len() > 1;
    names.truncate(NAMED);
    if !names.is_empty() {
        let noun = if several { "services" } else { "service" };
        let listed = names.join(", ");
        let users = match more {
            0 => format!("{noun} {listed}"),
            more => format!("{noun} {listed} and {more} more"),
        };
        return Some((users, "take it out of them, or remove them"));
    }
    let mut live = state.tasks().filter(|t| !t.status.state.is_terminal());
    let task = live.find(|task| material::uses(&task.spec, id))?;
    let user = format!("task {}, which is still stopping", task.name());
    Some((user, "try again when it has ended"))
}
