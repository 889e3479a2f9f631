//! Where a task may run, and over what its siblings spread.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A condition on nodes: `node.labels.disk == ssd`, `node.labels.zone in (a, b)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Constraint {
    /// What is looked at: `node.id`, `node.hostname`, `node.role`, `node.labels.KEY`,
    /// `node.platform.os` or `node.platform.arch`.
    pub key: String,
    /// Must be one of the values; otherwise must be none of them.
    pub equal: bool,
    /// The values compared with, ignoring case; never empty.
    pub values: Vec<String>,
}

/// Why a text is no constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseConstraintError {
    /// No operator.
    #[error(
        "constraint {0:?} has no operator: write KEY==VALUE, KEY!=VALUE, \"KEY in (VALUE, ...)\" or \
         \"KEY notin (VALUE, ...)\""
    )]
    Operator(String),
    /// Unknown key.
    #[error("constraint key {0:?} is unknown: use {KEYS}")]
    Key(String),
    /// Nothing to compare with.
    #[error("constraint {0:?} has an empty value: write KEY==VALUE or \"KEY in (VALUE, ...)\"")]
    Value(String),
}

const KEYS: &str = "node.id, node.hostname, node.role, node.labels.KEY, node.platform.os or \
     node.platform.arch";

/// Something that nodes have one value of.
fn is_known(key: &str) -> bool {
    let fixed = [
        "node.id",
        "node.hostname",
        "node.role",
        "node.platform.os",
        "node.platform.arch",
    ];
    let label = key.strip_prefix("node.labels.");
    fixed.contains(&key) || label.is_some_and(|label| !label.is_empty())
}

/// Key, whether it must be equal, and the values as written.
fn split(text: &str) -> Option<(&str, bool, Vec<&str>)> {
    // The first operator counts: values may contain any of them.
    let single = ["==", "!="]
        .into_iter()
        .filter_map(|operator| Some((text.find(operator)?, operator)))
        .min();
    if let Some((at, operator)) = single {
        let value = text[at..].strip_prefix(operator)?;
        return Some((text[..at].trim(), operator == "==", vec![value.trim()]));
    }
    let (key, rest) = text.trim().split_once(char::is_whitespace)?;
    let rest = rest.trim();
    let (equal, list) = match rest.strip_prefix("notin") {
        Some(list) => (false, list),
        None => (true, rest.strip_prefix("in")?),
    };
    let list = list.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some((key, equal, list.split(',').map(str::trim).collect()))
}

impl FromStr for Constraint {
    type Err = ParseConstraintError;

    fn from_str(text: &str) -> Result<Self, ParseConstraintError> {
        let (key, equal, values) =
            split(text).ok_or_else(|| ParseConstraintError::Operator(text.to_owned()))?;
        if !is_known(key) {
            return Err(ParseConstraintError::Key(key.to_owned()));
        }
        if values.iter().any(|value| value.is_empty()) {
            return Err(ParseConstraintError::Value(text.to_owned()));
        }
        Ok(Constraint {
            key: key.to_owned(),
            equal,
            values: values.into_iter().map(str::to_owned).collect(),
        })
    }
}

impl TryFrom<String> for Constraint {
    type Error = ParseConstraintError;
    fn try_from(text: String) -> Result<Self, ParseConstraintError> {
        text.parse()
    }
}

impl From<Constraint> for String {
    fn from(constraint: Constraint) -> String {
        constraint.to_string()
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.values.as_slice(), self.equal) {
            ([value], true) => write!(f, "{}=={value}", self.key),
            ([value], false) => write!(f, "{}!={value}", self.key),
            (values, true) => write!(f, "{} in ({})", self.key, values.join(", ")),
            (values, false) => write!(f, "{} notin ({})", self.key, values.join(", ")),
        }
    }
}

/// Over which groups of nodes tasks spread: nodes with the same value of `key` are a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SpreadPreference {
    /// What a constraint can look at: usually `node.labels.KEY`. Nodes without it are one group.
    pub key: String,
}

/// Why a text is no preference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePreferenceError {
    /// Another strategy, or none.
    #[error("placement preference {0:?} is unknown: write spread=node.labels.KEY")]
    Strategy(String),
    /// Unknown key.
    #[error("placement preference key {0:?} is unknown: use {KEYS}")]
    Key(String),
}

impl FromStr for SpreadPreference {
    type Err = ParsePreferenceError;

    fn from_str(text: &str) -> Result<Self, ParsePreferenceError> {
        let key = match text.split_once('=') {
            Some((strategy, key)) if strategy.trim() == "spread" => key.trim(),
            Some(_) | None => return Err(ParsePreferenceError::Strategy(text.to_owned())),
        };
        if !is_known(key) {
            return Err(ParsePreferenceError::Key(key.to_owned()));
        }
        Ok(SpreadPreference {
            key: key.to_owned(),
        })
    }
}

impl TryFrom<String> for SpreadPreference {
    type Error = ParsePreferenceError;
    fn try_from(text: String) -> Result<Self, ParsePreferenceError> {
        text.parse()
    }
}

impl From<SpreadPreference> for String {
    fn from(preference: SpreadPreference) -> String {
        preference.to_string()
    }
}

impl fmt::Display for SpreadPreference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spread={}", self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_say_what_is_wrong_with_them() {
        assert_eq!(
            "node.labels.disk == ssd".parse(),
            Ok(Constraint {
                key: "node.labels.disk".into(),
                equal: true,
                values: vec!["ssd".into()]
            })
        );
        assert!(matches!(
            "node.role=manager".parse::<Constraint>(),
            Err(ParseConstraintError::Operator(_))
        ));
        assert!(matches!(
            "node.colour==red".parse::<Constraint>(),
            Err(ParseConstraintError::Key(_))
        ));
        assert!(matches!(
            "node.role!=".parse::<Constraint>(),
            Err(ParseConstraintError::Value(_))
        ));
    }
}
