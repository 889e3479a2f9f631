//! Names that people give: always a DNS label, since they become host names.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A name of a service, network or alias: a DNS label (RFC 1123 s. 2.1), lower case, at most 63
/// characters out of `a-z`, `0-9` and `-`, not beginning or ending with `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Name(String);

/// Why a text cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} cannot be a name: use 1 to 63 lower-case letters, digits and '-', \
     beginning and ending with a letter or digit"
)]
pub struct ParseNameError {
    text: String,
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let bytes = text.as_bytes();
        let edge = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
        if bytes.len() <= 63
            && bytes.iter().all(|b| inner(*b))
            && edge(bytes.first())
            && edge(bytes.last())
        {
            Ok(Name(text.to_owned()))
        } else {
            Err(ParseNameError {
                text: text.chars().take(80).collect(),
            })
        }
    }
}

impl TryFrom<String> for Name {
    type Error = ParseNameError;
    fn try_from(text: String) -> Result<Self, ParseNameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_label_is_a_name() {
        for good in ["a", "web", "web-1", "0x", &"a".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a.b",
            "a_b",
            "ä",
            "a b",
            "a\n",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }
}
