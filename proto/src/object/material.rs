//! Secrets and configs: named bytes that tasks find as files.

use crate::id::MaterialId;
use crate::object::Meta;
use crate::object::ObjectKey;
use crate::spec::MaterialKind;
use crate::spec::MaterialSpec;
use crate::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A secret or a config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Material {
    /// Kept by the store.
    pub meta: Meta,
    /// Which.
    pub id: MaterialId,
    /// Secret or config.
    pub kind: MaterialKind,
    /// What was asked for.
    pub spec: MaterialSpec,
    /// Its data by number, counted from 1: the greatest is the present one, older ones are there
    /// as long as tasks run with them or a rollback may return to them.
    pub versions: BTreeMap<u64, MaterialVersion>,
}

/// One state of its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MaterialVersion {
    /// Since when.
    pub at: Timestamp,
    /// The bytes; empty where they are not to be seen.
    #[serde(skip)]
    pub data: Data,
}

impl Material {
    /// Which object this is.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::Material(self.kind, self.id)
    }

    /// The number of the present version; 0 where there is none.
    pub fn current(&self) -> u64 {
        self.versions
            .last_key_value()
            .map_or(0, |(number, _)| *number)
    }

    /// The present data.
    pub fn data(&self) -> Option<&Data> {
        self.versions.values().next_back().map(|last| &last.data)
    }

    /// The same without its data.
    #[must_use]
    pub fn without_data(mut self) -> Self {
        for version in self.versions.values_mut() {
            version.data = Data::default();
        }
        self
    }
}

/// Bytes that are in no log and no message of an error, and are overwritten in memory when the last
/// holder lets go of them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Data(Arc<Zeroizing<Vec<u8>>>);

impl Data {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Data(Arc::new(Zeroizing::new(bytes)))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_never_shown() {
        let version = MaterialVersion {
            at: Timestamp::default(),
            data: Data::new(b"hunter2".to_vec()),
        };
        let shown = format!("{version:?} {version:#?}");
        assert!(
            shown.contains("7 bytes") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
