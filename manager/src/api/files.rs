//! Secrets and configs of a service's spec, and the placeholders in it.

use crate::api::error::ApiError;
use crate::api::material;
use crate::api::material::MaterialError;
use crate::api::target;
use crate::store::State;
use std::collections::BTreeSet;
use weft_proto::command::Change;
use weft_proto::command::Expect;
use weft_proto::convert::ConvertError;
use weft_proto::defaults;
use weft_proto::object::Material;
use weft_proto::object::ObjectKey;
use weft_proto::object::Service;
use weft_proto::spec::FileRef;
use weft_proto::spec::MaterialKind;
use weft_proto::spec::ServiceSpec;
use weft_proto::template::Field;
use weft_proto::template::Place;
use weft_proto::template::Template;
use weft_proto::wire;

/// Turns names into identifiers, "the present version" into its number, and paths into whole ones.
pub(super) fn resolve(state: &State, spec: &mut wire::ServiceSpec) -> Result<(), ApiError> {
    let files = spec.task.iter_mut().flat_map(|task| &mut task.files);
    for (index, file) in files.enumerate() {
        resolve_one(state, file).map_err(|error| match error {
            ApiError::Field(error) => {
                ApiError::Field(error.within(&format!("service.task.files[{index}]")))
            }
            other => other,
        })?;
    }
    Ok(())
}

fn resolve_one(state: &State, file: &mut wire::FileReference) -> Result<(), ApiError> {
    let kind = wire::MaterialKind::try_from(file.kind).unwrap_or_default();
    let kind = MaterialKind::try_from(kind).map_err(|error: ConvertError| error.within("kind"))?;
    let material = target::material(state, kind, &file.material_id)?;
    file.material_id = material.id.to_string();
    file.name = material.spec.name.to_string();
    if file.version == 0 {
        file.version = material.current();
    }
    if !material.versions.contains_key(&file.version) {
        return Err(MaterialError::VersionGone {
            kind,
            name: material.spec.name.clone(),
            version: file.version,
        }
        .into());
    }
    if file.target.is_empty() {
        file.target.clone_from(&file.name);
    }
    file.target = whole(kind, &file.target);
    Ok(())
}

/// The path that is meant: secrets without one are in their directory, configs at the root, as in
/// Swarm mode.
fn whole(kind: MaterialKind, target: &str) -> String {
    match kind {
        _ if target.starts_with('/') => target.to_owned(),
        MaterialKind::Secret => format!("{}/{target}", defaults::SECRETS_DIR),
        MaterialKind::Config => format!("/{target}"),
    }
}

/// Checks every placeholder, and gives the tasks the labels that some of them ask for. `newer`: a
/// material that is about to take the place of the state's.
pub(super) fn complete(
    state: &State,
    spec: &mut ServiceSpec,
    newer: Option<&Material>,
) -> Result<(), ApiError> {
    let mut labels = BTreeSet::new();
    let mut take = |template: &Template| {
        labels.extend(template.fields().filter_map(|field| match field {
            Field::ServiceLabel(key) => Some(key.clone()),
            Field::ServiceId
            | Field::ServiceName
            | Field::NodeId
            | Field::NodeHostname
            | Field::TaskId
            | Field::TaskName
            | Field::TaskSlot
            | Field::Secret(_)
            | Field::Config(_)
            | Field::Env(_) => None,
        }));
    };
    let task = &spec.task;
    let env = task.env.iter().enumerate();
    let env = env.map(|(index, entry)| (format!("environment variable {index}"), entry.as_str()));
    let hostname = task.hostname.iter();
    let hostname = hostname.map(|name| ("host name".to_owned(), name.as_str()));
    for (what, text) in env.chain(hostname).filter(|(_, text)| text.contains("{{")) {
        let template = Template::parse(text, Place::Spec);
        take(&template.map_err(|source| MaterialError::Template { what, source })?);
    }
    for file in &task.files {
        let newer = newer.filter(|newer| newer.id == file.material);
        let held = state.material(file.material);
        let Some(material) = newer.or(held.map(|held| &**held)) else {
            continue;
        };
        let version = material.versions.get(&file.version);
        let (true, Some(version)) = (material.spec.template, version) else {
            continue;
        };
        let template = material::template(file.kind, &file.name, &version.data)?;
        answered(spec, file, &template)?;
        take(&template);
    }
    let known = &spec.labels;
    let pinned = labels.into_iter();
    let pinned = pinned.filter_map(|key| Some((key.clone(), known.get(&key)?.clone())));
    let pinned = pinned.collect();
    if spec.task.template_labels != pinned {
        spec.task.template_labels = pinned;
    }
    Ok(())
}

/// What the data of a file asks for is there.
fn answered(spec: &ServiceSpec, file: &FileRef, template: &Template) -> Result<(), MaterialError> {
    let task = &spec.task;
    let has = |kind: MaterialKind, target: &str| {
        let target = whole(kind, target);
        let mut files = task.files.iter();
        files.any(|other| other.kind == kind && other.target == target)
    };
    let has_env = |name: &str| {
        let mut env = task.env.iter();
        env.any(|entry| {
            entry
                .split_once('=')
                .is_some_and(|(known, _)| known == name)
        })
    };
    let missing = template.fields().find(|field| match field {
        Field::Secret(target) => !has(MaterialKind::Secret, target),
        Field::Config(target) => !has(MaterialKind::Config, target),
        Field::Env(name) => !has_env(name),
        Field::ServiceLabel(key) => !spec.labels.contains_key(key),
        Field::ServiceId
        | Field::ServiceName
        | Field::NodeId
        | Field::NodeHostname
        | Field::TaskId
        | Field::TaskName
        | Field::TaskSlot => false,
    });
    match missing {
        None => Ok(()),
        Some(field) => Err(MaterialError::Unanswered {
            kind: file.kind,
            name: file.name.clone(),
            field: field.to_string(),
        }),
    }
}

/// The files of a spec must still be there, in the same versions, when the service is written.
pub(super) fn guards(state: &State, spec: &ServiceSpec) -> impl Iterator<Item = Change> {
    spec.task.files.iter().map(|file| {
        let key = ObjectKey::Material(file.kind, file.material);
        let expect = state.version(key).map_or(Expect::Any, Expect::Version);
        Change::Guard { key, expect }
    })
}

/// Refuses the way back to files that are gone.
pub(super) fn still_there(state: &State, service: &Service) -> Result<(), ApiError> {
    let gone = service.spec.task.files.iter().find(|file| {
        let material = state.material(file.material);
        material.is_none_or(|material| !material.versions.contains_key(&file.version))
    });
    match gone {
        None => Ok(()),
        Some(file) => Err(MaterialError::NoWayBack {
            service: service.spec.name.clone(),
            kind: file.kind,
            name: file.name.clone(),
        }
        .into()),
    }
}
