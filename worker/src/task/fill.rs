//! Fills in what placeholders stand for, on the node, for one task. Pure.

use crate::runtime::TaskFile;
use crate::task::NodeFacts;
use std::collections::BTreeMap;
use std::path::PathBuf;
use weft_proto::assignment::MaterialRecord;
use weft_proto::defaults;
use weft_proto::object::Data;
use weft_proto::object::Task;
use weft_proto::spec::FileRef;
use weft_proto::spec::MaterialKind;
use weft_proto::template::Field;
use weft_proto::template::Place;
use weft_proto::template::Template;
use zeroize::Zeroizing;

/// Longest text that placeholders may make, in bytes: a short text must not become one that fills
/// the node's memory.
const MOST: usize = 1 << 20;

/// A version of a secret or config, as far as this node was told it.
pub type Lookup<'a> = &'a dyn Fn(&FileRef) -> Option<&'a MaterialRecord>;

/// A text of the task's spec. One that is no template (older releases took any text) stays as it is.
pub(super) fn text(text: &str, task: &Task, node: &NodeFacts) -> String {
    if !text.contains("{{") {
        return text.to_owned();
    }
    let Ok(template) = Template::parse(text, Place::Spec) else {
        return text.to_owned();
    };
    let filled = template.expand(|field| fact(field, task, node).map(String::into_bytes).ok_or(()));
    let filled = filled.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    filled.unwrap_or_else(|| text.to_owned())
}

/// What needs no secret or config.
fn fact(field: &Field, task: &Task, node: &NodeFacts) -> Option<String> {
    Some(match field {
        Field::ServiceId => task.service.to_string(),
        Field::ServiceName => task.service_name.to_string(),
        Field::ServiceLabel(key) => {
            let label = task.spec.template_labels.get(key);
            label.cloned().unwrap_or_default()
        }
        Field::NodeId => node.id.to_string(),
        Field::NodeHostname => node.hostname.clone(),
        Field::TaskId => task.id.to_string(),
        Field::TaskName => task.name(),
        Field::TaskSlot => task.slot.to_string(),
        Field::Secret(_) | Field::Config(_) | Field::Env(_) => return None,
    })
}

/// The secret or config that is not at hand yet, as people know it.
pub fn missing(task: &Task, lookup: Lookup<'_>) -> Option<String> {
    let missing = task.spec.files.iter().find(|file| lookup(file).is_none())?;
    Some(format!("{} {}", missing.kind, missing.name))
}

/// The files that the task finds.
///
/// # Errors
/// In words: one cannot be made, whenever it is tried.
pub(super) fn files(
    task: &Task,
    node: &NodeFacts,
    env: &BTreeMap<String, String>,
    lookup: Lookup<'_>,
) -> Result<Vec<TaskFile>, String> {
    let mut files = Vec::new();
    for file in &task.spec.files {
        let Some(record) = lookup(file) else {
            return Err(format!("{} {} is not at hand", file.kind, file.name));
        };
        let data = match record.template {
            true => filled(record, task, node, env, lookup)
                .map_err(|problem| format!("{} {}: {problem}", file.kind, file.name))?,
            false => record.data.clone(),
        };
        files.push(TaskFile {
            target: PathBuf::from(&file.target),
            uid: file.uid,
            gid: file.gid,
            mode: file.mode,
            data,
        });
    }
    Ok(files)
}

fn filled(
    record: &MaterialRecord,
    task: &Task,
    node: &NodeFacts,
    env: &BTreeMap<String, String>,
    lookup: Lookup<'_>,
) -> Result<Data, String> {
    let text = std::str::from_utf8(record.data.bytes()).map_err(|_| "is no text".to_owned())?;
    let template = Template::parse(text, Place::Data).map_err(|error| error.to_string())?;
    let other = |kind: MaterialKind, target: &str| {
        let whole = match (target.starts_with('/'), kind) {
            (true, _) => target.to_owned(),
            (false, MaterialKind::Secret) => format!("{}/{target}", defaults::SECRETS_DIR),
            (false, MaterialKind::Config) => format!("/{target}"),
        };
        let mut files = task.spec.files.iter();
        let file = files.find(|file| file.kind == kind && file.target == whole)?;
        Some(lookup(file)?.data.bytes().to_vec())
    };
    let mut length = text.len();
    let expanded = template.expand(|field| {
        let value = match field {
            Field::Secret(target) => other(MaterialKind::Secret, target),
            Field::Config(target) => other(MaterialKind::Config, target),
            Field::Env(name) => env.get(name).map(|value| value.clone().into_bytes()),
            Field::ServiceId
            | Field::ServiceName
            | Field::ServiceLabel(_)
            | Field::NodeId
            | Field::NodeHostname
            | Field::TaskId
            | Field::TaskName
            | Field::TaskSlot => fact(field, task, node).map(String::into_bytes),
        };
        let value = Zeroizing::new(value.ok_or_else(|| format!("the task has no {field}"))?);
        length += value.len();
        if length > MOST {
            return Err(format!(
                "has more than {} KiB with all placeholders filled in",
                MOST >> 10
            ));
        }
        Ok(value.to_vec())
    })?;
    Ok(Data::new(expanded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::node_facts;
    use crate::fixture::task;
    use weft_proto::MaterialId;

    fn record(n: u8, kind: MaterialKind, data: &str, template: bool) -> MaterialRecord {
        MaterialRecord {
            kind,
            id: MaterialId::from_entropy(n.into()),
            version: 1,
            name: format!("m{n}").parse().unwrap(),
            template,
            data: Data::new(data.as_bytes().to_vec()),
        }
    }

    fn file(record: &MaterialRecord, target: &str) -> FileRef {
        FileRef {
            kind: record.kind,
            material: record.id,
            name: record.name.clone(),
            version: record.version,
            target: target.to_owned(),
            uid: 5,
            gid: 6,
            mode: 0o400,
        }
    }

    fn found(text: &str) -> Result<Vec<TaskFile>, String> {
        let secret = record(1, MaterialKind::Secret, "hunter2", false);
        let config = record(2, MaterialKind::Config, text, true);
        let mut task = task(1);
        task.spec.files = vec![
            file(&secret, "/run/secrets/pw"),
            file(&config, "/site.conf"),
        ];
        task.spec.template_labels = [("zone".to_owned(), "z1".to_owned())].into();
        let records = [secret, config];
        let lookup = |file: &FileRef| records.iter().find(|record| record.id == file.material);
        let env = BTreeMap::from([("LEVEL".to_owned(), "debug".to_owned())]);
        files(&task, &node_facts(), &env, &lookup)
    }

    #[test]
    fn a_config_with_placeholders_is_filled_in_for_its_task() {
        let files = found(
            "{{.Service.Name}} {{.Task.Slot}} {{.Node.Hostname}} {{secret \"pw\"}} {{env \"LEVEL\"}} \
             {{index .Service.Labels \"zone\"}}",
        )
        .unwrap();
        assert_eq!(files[1].data.bytes(), b"web 1 host hunter2 debug z1");
        let pw = &files[0];
        assert_eq!((pw.uid, pw.gid, pw.mode), (5, 6, 0o400));
        assert_eq!(pw.data.bytes(), b"hunter2");
        assert_eq!(pw.target, PathBuf::from("/run/secrets/pw"));
    }

    #[test]
    fn what_cannot_be_filled_in_is_told_without_data() {
        let problem = found("{{config \"gone\"}}").unwrap_err();
        assert_eq!(problem, "config m2: the task has no config \"gone\"");
        let bomb = "{{config \"site.conf\"}}".repeat(2_000);
        let problem = found(&bomb).unwrap_err();
        assert!(problem.contains("more than 1024 KiB"), "{problem}");
    }

    #[test]
    fn a_spec_is_filled_in_and_an_old_text_stays_as_it_is() {
        let filled = |template: &str| text(template, &task(1), &node_facts());
        assert_eq!(filled("{{.Node.Hostname}}-{{.Task.Slot}}"), "host-1");
        assert_eq!(
            filled("{{ jinja }} {{.Task.Slot}}"),
            "{{ jinja }} {{.Task.Slot}}"
        );
        assert_eq!(filled("plain"), "plain");
    }

    #[test]
    fn what_was_not_told_yet_is_named() {
        let secret = record(1, MaterialKind::Secret, "x", false);
        let mut task = task(1);
        task.spec.files = vec![file(&secret, "/run/secrets/pw")];
        assert_eq!(missing(&task, &|_| None).as_deref(), Some("secret m1"));
        assert_eq!(missing(&task, &|_| Some(&secret)), None);
    }
}
