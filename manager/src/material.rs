//! Secrets and configs: who uses them, and which of their versions nobody needs any more. Pure.
//!
//! A service's spec names the version of each that its tasks run with. So another version is
//! another spec: it rolls over by the service's own policy, and a rollback returns to the data of
//! before. A version is kept while a spec, the spec before it, or a task that has not ended names it.

use crate::store::State;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use weft_proto::MaterialId;
use weft_proto::command::Change;
use weft_proto::object::Material;
use weft_proto::object::Service;
use weft_proto::spec::TaskSpec;

/// Whether tasks of this spec find it as a file.
pub fn uses(spec: &TaskSpec, id: MaterialId) -> bool {
    spec.files.iter().any(|file| file.material == id)
}

/// The services whose spec uses it, by id.
pub fn users(state: &State, id: MaterialId) -> impl Iterator<Item = &Arc<Service>> {
    let services = state.services();
    services.filter(move |service| uses(&service.spec.task, id))
}

/// Which versions are needed: those that specs, the specs before them and live tasks name.
pub fn needed(state: &State) -> BTreeMap<MaterialId, BTreeSet<u64>> {
    let mut needed: BTreeMap<MaterialId, BTreeSet<u64>> = BTreeMap::new();
    let mut add = |spec: &TaskSpec| {
        for file in &spec.files {
            needed
                .entry(file.material)
                .or_default()
                .insert(file.version);
        }
    };
    for service in state.services() {
        add(&service.spec.task);
        if let Some(previous) = &service.previous {
            add(&previous.task);
        }
    }
    for task in state.tasks() {
        if !task.status.state.is_terminal() {
            add(&task.spec);
        }
    }
    needed
}

/// The steps that forget the data of versions that nobody needs. The present version of each stays.
pub fn forgotten(state: &State) -> Vec<Change> {
    let mut several = state.materials().filter(|m| m.versions.len() > 1);
    if several.next().is_none() {
        return Vec::new();
    }
    let needed = needed(state);
    let kept = state
        .materials()
        .map(|material| (material, kept(material, needed.get(&material.id))));
    kept.filter(|(material, kept)| material.versions.len() != kept.versions.len())
        .map(|(_, kept)| Change::update(kept))
        .collect()
}

/// The material with its present version and those that are `needed`, without data, which the store
/// has.
pub fn kept(material: &Material, needed: Option<&BTreeSet<u64>>) -> Material {
    let mut kept = material.clone().without_data();
    let current = kept.current();
    kept.versions.retain(|number, _| {
        *number == current || needed.is_some_and(|needed| needed.contains(number))
    });
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::store::apply;
    use weft_proto::CommandId;
    use weft_proto::command::Command;
    use weft_proto::task_state::TaskState;
    use weft_proto::time::Timestamp;

    fn numbers(state: &State, id: MaterialId) -> Vec<u64> {
        state
            .material(id)
            .unwrap()
            .versions
            .keys()
            .copied()
            .collect()
    }

    fn tidied(state: &State) -> State {
        let command = Command {
            // Not the same one twice, which would be applied once.
            id: CommandId::from_entropy(1_000 + u128::from(state.revision())),
            at: Timestamp::from_millis(1),
            changes: forgotten(state),
            actor: None,
        };
        let applied = apply(state, state.index() + 1, &command);
        applied.result.unwrap();
        applied.state
    }

    #[test]
    fn versions_are_kept_for_specs_rollbacks_and_live_tasks_and_forgotten_then() {
        let material = secret(1, 5);
        let mut web = service(1, 1);
        web.spec.task.files = vec![file(&material, 5)];
        let mut before = web.spec.clone();
        before.task.files = vec![file(&material, 4)];
        web.previous = Some(Box::new(before.clone()));
        let mut old = task(1, &web).state(TaskState::Running);
        old.spec.files = vec![file(&material, 2)];
        let mut gone = task(2, &web);
        gone.spec.files = vec![file(&material, 1)];
        gone.status.state = TaskState::Failed;
        let id = material.id;
        let now = state(vec![
            material.into(),
            web.into(),
            old.clone().into(),
            gone.into(),
        ]);
        let tidy = tidied(&now);
        assert_eq!(numbers(&tidy, id), [2, 4, 5]);
        let data = |state: &State, n| state.material(id).unwrap().versions[&n].data.clone();
        assert_eq!(data(&tidy, 4), data(&now, 4), "what stays keeps its data");
        assert!(forgotten(&tidy).is_empty());

        old.status.state = TaskState::Shutdown;
        let mut ended = tidy.to_snapshot();
        ended
            .objects
            .retain(|object| object.key() != weft_proto::object::ObjectKey::Task(old.id));
        ended.objects.push(old.into());
        assert_eq!(numbers(&tidied(&State::from_snapshot(ended)), id), [4, 5]);
    }

    #[test]
    fn what_nobody_uses_keeps_its_present_version() {
        let now = state(vec![secret(1, 3).into(), secret(2, 1).into()]);
        let tidy = tidied(&now);
        assert_eq!(numbers(&tidy, material_id(1)), [3]);
        assert_eq!(numbers(&tidy, material_id(2)), [1]);
    }
}
