//! The host name that a task sees.

use crate::name::Name;
use crate::template::Place;
use crate::template::Template;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// The host name that a task sees: a name, or a text with placeholders that becomes one on the
/// node, like `{{.Node.Hostname}}-{{.Task.Slot}}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Hostname(String);

/// Why a text cannot be a host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseHostnameError(String);

impl Hostname {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hostname {
    type Err = ParseHostnameError;

    fn from_str(text: &str) -> Result<Self, ParseHostnameError> {
        let problem = match text.contains("{{") {
            true => Template::parse(text, Place::Spec)
                .err()
                .map(|error| error.to_string()),
            false => text.parse::<Name>().err().map(|error| error.to_string()),
        };
        match problem {
            None => Ok(Hostname(text.to_owned())),
            Some(problem) => Err(ParseHostnameError(problem)),
        }
    }
}

impl TryFrom<String> for Hostname {
    type Error = ParseHostnameError;
    fn try_from(text: String) -> Result<Self, ParseHostnameError> {
        text.parse()
    }
}

impl From<Hostname> for String {
    fn from(hostname: Hostname) -> String {
        hostname.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_a_name_or_has_placeholders() {
        for good in ["web", "{{.Node.Hostname}}-{{.Task.Slot}}"] {
            assert_eq!(good.parse::<Hostname>().unwrap().as_str(), good);
        }
        for bad in ["", "a.b", "{{.Nope}}", "{{secret \"x\"}}"] {
            assert!(bad.parse::<Hostname>().is_err(), "{bad}");
        }
    }
}
