//! Secrets and configs, and how tasks use them.

use crate::assignment::MaterialRecord;
use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::convert::limits::MAX_FILE_MODE;
use crate::convert::limits::MAX_MATERIAL_BYTES;
use crate::defaults;
use crate::object::Data;
use crate::object::Material;
use crate::object::MaterialVersion;
use crate::spec::FileRef;
use crate::spec::MaterialKind;
use crate::spec::MaterialSpec;
use crate::time::Timestamp;
use crate::wire;
use crate::wire::object::Kind;
use std::collections::BTreeMap;

/// A material as the object of its kind.
pub(super) fn kind(kind: MaterialKind, wire: wire::Material) -> Kind {
    match kind {
        MaterialKind::Secret => Kind::Secret(wire),
        MaterialKind::Config => Kind::Config(wire),
    }
}

impl From<&Material> for wire::Material {
    fn from(material: &Material) -> Self {
        let versions = material.versions.iter();
        wire::Material {
            meta: Some(material.meta.into()),
            id: material.id.to_string(),
            kind: wire::MaterialKind::from(material.kind).into(),
            spec: Some((&material.spec).into()),
            versions: versions
                .map(|(number, version)| wire::MaterialVersion {
                    number: *number,
                    at_ms: version.at.as_millis(),
                    data: version.data.bytes().to_vec(),
                })
                .collect(),
        }
    }
}

pub(super) fn read(wire: wire::Material) -> Result<Material, ConvertError> {
    let spec = field::required("spec", wire.spec)?;
    let mut versions = BTreeMap::new();
    for (index, version) in wire.versions.into_iter().enumerate() {
        let item = format!("versions[{index}]");
        let at = Timestamp::from_millis(version.at_ms);
        let data = read_data(version.data).map_err(|error| error.within(&item))?;
        if versions
            .insert(version.number, MaterialVersion { at, data })
            .is_some()
        {
            let problem = format!("{} is given twice", version.number);
            return Err(ConvertError::at(&format!("{item}.number"), problem));
        }
    }
    if versions.is_empty() {
        return Err(ConvertError::at("versions", "is empty"));
    }
    Ok(Material {
        meta: wire.meta.unwrap_or_default().into(),
        id: field::parse("id", &wire.id)?,
        kind: field::enumeration::<wire::MaterialKind, MaterialKind>("kind", wire.kind)?,
        spec: read_spec(spec).map_err(|error| error.within("spec"))?,
        versions,
    })
}

door!(Material => Material, read, "material");

fn read_data(bytes: Vec<u8>) -> Result<Data, ConvertError> {
    let data = Data::new(bytes);
    if data.bytes().len() > MAX_MATERIAL_BYTES {
        let problem = format!(
            "has {} bytes, at most {MAX_MATERIAL_BYTES}",
            data.bytes().len()
        );
        return Err(ConvertError::at("data", problem));
    }
    Ok(data)
}

impl From<&MaterialSpec> for wire::MaterialSpec {
    fn from(spec: &MaterialSpec) -> Self {
        wire::MaterialSpec {
            name: spec.name.to_string(),
            labels: field::wire_labels(&spec.labels),
            template: spec.template,
        }
    }
}

fn read_spec(wire: wire::MaterialSpec) -> Result<MaterialSpec, ConvertError> {
    Ok(MaterialSpec {
        name: field::parse("name", &wire.name)?,
        labels: field::labels(wire.labels)?,
        template: wire.template,
    })
}

door!(MaterialSpec => MaterialSpec, read_spec, "spec");

impl From<&FileRef> for wire::FileReference {
    fn from(file: &FileRef) -> Self {
        wire::FileReference {
            kind: wire::MaterialKind::from(file.kind).into(),
            material_id: file.material.to_string(),
            name: file.name.to_string(),
            version: file.version,
            target: file.target.clone(),
            uid: file.uid,
            gid: file.gid,
            mode: Some(file.mode),
        }
    }
}

fn read_file(wire: wire::FileReference) -> Result<FileRef, ConvertError> {
    let mode = wire.mode.unwrap_or(defaults::FILE_MODE);
    if mode > MAX_FILE_MODE {
        let problem = format!("{mode:o} is no mode of such a file: use 0 to {MAX_FILE_MODE:o}");
        return Err(ConvertError::at("mode", problem));
    }
    Ok(FileRef {
        kind: field::enumeration::<wire::MaterialKind, MaterialKind>("kind", wire.kind)?,
        material: field::parse("material_id", &wire.material_id)?,
        name: field::parse("name", &wire.name)?,
        version: wire.version,
        target: read_target(wire.target)?,
        uid: wire.uid,
        gid: wire.gid,
        mode,
    })
}

/// A path that means the same whatever the task's root holds.
fn read_target(path: String) -> Result<String, ConvertError> {
    let refuse = |problem: &str| {
        let problem = format!("{} {problem}", field::shown(&path));
        Err(ConvertError::at("target", problem))
    };
    let Some(rest) = path.strip_prefix('/') else {
        return refuse("is relative: begin it with '/'");
    };
    if path.contains('\0') {
        return refuse("has a NUL character, which ends a text for the kernel");
    }
    if rest.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refuse("is no path of a file: leave out \"//\", \".\" and \"..\"");
    }
    if rest.split('/').any(|part| part.len() > 255) || path.len() > 4000 {
        return refuse("is too long for a path");
    }
    Ok(path)
}

pub(super) fn read_files(wire: Vec<wire::FileReference>) -> Result<Vec<FileRef>, ConvertError> {
    let files = field::list("files", wire, read_file)?;
    for (index, file) in files.iter().enumerate() {
        let below = |inner: &str, outer: &str| {
            let rest = inner.strip_prefix(outer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut before = files.iter().take(index);
        if let Some(other) = before
            .find(|other| below(&file.target, &other.target) || below(&other.target, &file.target))
        {
            let problem = format!(
                "{} {} and {} {} cannot both be at {}: give one of them another target",
                other.kind, other.name, file.kind, file.name, file.target
            );
            return Err(ConvertError::at(&format!("files[{index}].target"), problem));
        }
    }
    Ok(files)
}

impl From<&MaterialRecord> for wire::MaterialRecord {
    fn from(record: &MaterialRecord) -> Self {
        wire::MaterialRecord {
            kind: wire::MaterialKind::from(record.kind).into(),
            id: record.id.to_string(),
            version: record.version,
            name: record.name.to_string(),
            template: record.template,
            data: record.data.bytes().to_vec(),
        }
    }
}

pub(super) fn read_record(wire: wire::MaterialRecord) -> Result<MaterialRecord, ConvertError> {
    Ok(MaterialRecord {
        kind: field::enumeration::<wire::MaterialKind, MaterialKind>("kind", wire.kind)?,
        id: field::parse("id", &wire.id)?,
        version: wire.version,
        name: field::parse("name", &wire.name)?,
        template: wire.template,
        data: read_data(wire.data)?,
    })
}
