//! Secrets and configs.

use crate::render::table;
use crate::render::time;
use serde::Serialize;
use std::collections::BTreeMap;
use weft_proto::MaterialId;
use weft_proto::object::Material;
use weft_proto::spec::MaterialKind;
use weft_proto::time::Timestamp;

/// One in a list. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MaterialRow {
    pub(crate) id: MaterialId,
    pub(crate) name: String,
    /// Of its data, counted from 1.
    pub(crate) version: u64,
    /// In milliseconds of Unix time.
    pub(crate) created_at: Timestamp,
    /// When its present data was given, the same.
    pub(crate) data_at: Timestamp,
    pub(crate) template: bool,
    pub(crate) labels: BTreeMap<String, String>,
    /// Services.
    pub(crate) used_by: Vec<String>,
}

/// One in full. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MaterialDetails {
    #[serde(flatten)]
    row: MaterialRow,
    kind: MaterialKind,
    /// The numbers of the versions that are kept: the present one, and those that tasks run with or
    /// a rollback may return to.
    versions: Vec<u64>,
    /// Of a config, where it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    /// Of a config that is no text: two digits each byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_hex: Option<String>,
}

/// The rows of a list, by name.
pub(crate) fn rows(found: &[(Material, Vec<String>)]) -> Vec<MaterialRow> {
    let mut rows: Vec<MaterialRow> = found.iter().map(row).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn row((material, used_by): &(Material, Vec<String>)) -> MaterialRow {
    let present = material.versions.values().next_back();
    MaterialRow {
        id: material.id,
        name: material.spec.name.to_string(),
        version: material.current(),
        created_at: material.meta.created_at,
        data_at: present.map(|present| present.at).unwrap_or_default(),
        template: material.spec.template,
        labels: material.spec.labels.clone(),
        used_by: used_by.clone(),
    }
}

/// A table for people.
pub(crate) fn table(rows: &[MaterialRow]) -> String {
    let header = ["ID", "NAME", "VERSION", "CREATED", "UPDATED", "USED BY"];
    let line = |row: &MaterialRow| {
        [
            row.id.short().to_owned(),
            row.name.clone(),
            row.version.to_string(),
            time::rfc3339(row.created_at),
            time::rfc3339(row.data_at),
            row.used_by.join(", "),
        ]
    };
    table::table(header, rows.iter().map(line))
}

/// All there is to see of one.
pub(crate) fn details(found: &(Material, Vec<String>)) -> MaterialDetails {
    let material = &found.0;
    let bytes = match material.kind {
        MaterialKind::Secret => None,
        MaterialKind::Config => material.data().map(|data| data.bytes()),
    };
    let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
    let hex = bytes.filter(|_| text.is_none());
    MaterialDetails {
        row: row(found),
        kind: material.kind,
        versions: material.versions.keys().copied().collect(),
        data: text.map(str::to_owned),
        data_hex: hex.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

/// One in full, for people.
pub(crate) fn inspect(details: &MaterialDetails) -> String {
    let row = &details.row;
    let labels = row.labels.iter();
    let labels = labels.map(|(key, value)| format!("{key}={value}"));
    let versions = details.versions.iter().map(u64::to_string);
    let text = table::pairs(&[
        ("ID", row.id.to_string()),
        ("Name", row.name.clone()),
        ("Kind", details.kind.to_string()),
        ("Created", time::rfc3339(row.created_at)),
        ("Updated", time::rfc3339(row.data_at)),
        ("Version", row.version.to_string()),
        ("Kept", versions.collect::<Vec<_>>().join(", ")),
        (
            "Template",
            if row.template { "yes" } else { "no" }.to_owned(),
        ),
        ("Labels", labels.collect::<Vec<_>>().join(", ")),
        ("Used by", row.used_by.join(", ")),
    ]);
    match (&details.data, &details.data_hex) {
        (Some(data), _) => format!("{text}\n\n{data}"),
        (None, Some(hex)) => format!("{text}\n\n(no text) {hex}"),
        (None, None) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_proto::object::Data;
    use weft_proto::object::MaterialVersion;
    use weft_proto::object::Meta;
    use weft_proto::spec::MaterialSpec;

    fn material(kind: MaterialKind, data: &[u8]) -> (Material, Vec<String>) {
        let version = |data: &[u8]| MaterialVersion {
            at: Timestamp::from_millis(1_000),
            data: Data::new(data.to_vec()),
        };
        let material = Material {
            meta: Meta::default(),
            id: MaterialId::from_entropy(7),
            kind,
            spec: MaterialSpec {
                name: "site.conf".parse().unwrap(),
                labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
                template: false,
            },
            versions: BTreeMap::from([(1, version(b"old")), (2, version(data))]),
        };
        (material, vec!["web".to_owned()])
    }

    #[test]
    fn the_data_of_a_config_is_shown_and_that_of_a_secret_never() {
        let shown = |kind, data: &[u8]| {
            let details = details(&material(kind, data));
            let json = serde_json::to_string(&details).unwrap();
            (json, inspect(&details))
        };
        let (json, text) = shown(MaterialKind::Config, b"listen 80;");
        assert!(json.contains("\"data\":\"listen 80;\""), "{json}");
        assert!(text.ends_with("\n\nlisten 80;"), "{text}");
        let (json, text) = shown(MaterialKind::Config, &[0xff, 0]);
        assert!(json.contains("\"data_hex\":\"ff00\""), "{json}");
        assert!(text.ends_with("(no text) ff00"), "{text}");
        let (json, text) = shown(MaterialKind::Secret, b"hunter2");
        for shown in [json, text] {
            assert!(
                !shown.contains("hunter2") && !shown.contains("data\""),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_list_shows_versions_and_users() {
        let table = table(&rows(&[material(MaterialKind::Secret, b"x")]));
        assert_eq!(
            table,
            "ID             NAME        VERSION   CREATED                UPDATED                USED BY\n\
             000000000000   site.conf   2         1970-01-01T00:00:00Z   1970-01-01T00:00:01Z   web"
        );
    }
}
