//! People who use the cluster from afar.

use crate::id::UserId;
use crate::name::Name;
use crate::object::Meta;
use crate::time::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What a person may do. Which calls that are is one table (`manager/src/authz/table.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    /// Looks at everything that is no secret, and changes nothing.
    Viewer,
    /// Runs what the cluster runs: services, networks, and which nodes get tasks.
    Operator,
    /// Everything: also who is a member and who is a user.
    Admin,
}

/// A text that names no role of people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown role: use \"viewer\", \"operator\" or \"admin\"")]
pub struct ParseUserRoleError;

impl FromStr for UserRole {
    type Err = ParseUserRoleError;

    fn from_str(text: &str) -> Result<Self, ParseUserRoleError> {
        match text {
            "viewer" => Ok(UserRole::Viewer),
            "operator" => Ok(UserRole::Operator),
            "admin" => Ok(UserRole::Admin),
            _ => Err(ParseUserRoleError),
        }
    }
}

impl fmt::Display for UserRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            UserRole::Viewer => "viewer",
            UserRole::Operator => "operator",
            UserRole::Admin => "admin",
        })
    }
}

/// SHA-256 of a public key in its DER form (SubjectPublicKeyInfo, RFC 5280 s. 4.1.2.7): which key a
/// certificate is for. Public.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// From the digest's bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        KeyDigest(bytes)
    }

    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<KeyDigest> for String {
    fn from(digest: KeyDigest) -> String {
        digest.to_string()
    }
}

/// A person who uses the cluster from afar. Her certificate says who she is; what she may do is
/// looked up here at every call, so that it holds at once when it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Kept by the store.
    pub meta: Meta,
    /// Which user.
    pub id: UserId,
    /// What her certificate calls her; no two users have one name.
    pub name: Name,
    /// What she may do.
    pub role: UserRole,
    /// Only with objects of this stack; `None`: with all of them.
    pub stack: Option<Name>,
    /// How long each of her certificates is valid.
    pub certificate_ttl: Duration,
    /// The only key that is hers: a certificate of an earlier user of this name is for another one.
    pub key: KeyDigest,
    /// When her newest certificate ends.
    pub expires: Timestamp,
}
