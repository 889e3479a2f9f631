//! Secrets and configs as asked for, and how tasks use them.

use crate::id::MaterialId;
use crate::spec::Labels;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// What is kept from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaterialKind {
    /// Its data is for tasks only: no answer and no event ever has it, no worker's disk holds it.
    Secret,
    /// Its data is shown to whoever may look at the cluster.
    Config,
}

impl fmt::Display for MaterialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            MaterialKind::Secret => "secret",
            MaterialKind::Config => "config",
        })
    }
}

/// A secret or config as asked for, without its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaterialSpec {
    /// Unique among those of its kind.
    pub name: MaterialName,
    /// Free labels.
    pub labels: Labels,
    /// Placeholders in its data are filled in for each task, on its node.
    pub template: bool,
}

/// A name of a secret or config: 1 to 64 letters, digits, `-`, `_` and `.`, beginning and ending
/// with a letter or digit, as in Swarm mode. It is the file's name where no other is said.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MaterialName(String);

/// Why a text cannot be such a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} cannot be a name: use 1 to 64 letters, digits, '-', '_' and '.', beginning and \
     ending with a letter or digit"
)]
pub struct ParseMaterialNameError {
    text: String,
}

impl MaterialName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MaterialName {
    type Err = ParseMaterialNameError;

    fn from_str(text: &str) -> Result<Self, ParseMaterialNameError> {
        let inner = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        let fits = bytes.len() <= 64 && bytes.iter().all(inner);
        if fits && edge(bytes.first()) && edge(bytes.last()) {
            Ok(MaterialName(text.to_owned()))
        } else {
            let text = text.chars().take(80).collect();
            Err(ParseMaterialNameError { text })
        }
    }
}

impl TryFrom<String> for MaterialName {
    type Error = ParseMaterialNameError;
    fn try_from(text: String) -> Result<Self, ParseMaterialNameError> {
        text.parse()
    }
}

impl From<MaterialName> for String {
    fn from(name: MaterialName) -> String {
        name.0
    }
}

impl fmt::Display for MaterialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for MaterialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A secret or config that a task finds as a file. Part of what the task is: another version of
/// the data is another spec, which rolls over as any change does and can be rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// Secret or config.
    pub kind: MaterialKind,
    /// Which.
    pub material: MaterialId,
    /// Its name, for people.
    pub name: MaterialName,
    /// Which version of its data.
    pub version: u64,
    /// Where the task finds it: an absolute path without `.` and `..`.
    pub target: String,
    /// Its owner, a number.
    pub uid: u32,
    /// Its group, a number.
    pub gid: u32,
    /// Its permissions.
    pub mode: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_plain_files() {
        for good in ["a", "db_password", "site.key", "A-1"] {
            assert!(good.parse::<MaterialName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".a",
            "a.",
            "..",
            "a/b",
            "a b",
            "\u{e4}",
            &"a".repeat(65),
        ] {
            assert!(bad.parse::<MaterialName>().is_err(), "{bad:?}");
        }
    }
}
