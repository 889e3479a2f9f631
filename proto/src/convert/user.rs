//! People.

use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::object::KeyDigest;
use crate::object::User;
use crate::object::UserRole;
use crate::time::Timestamp;
use crate::wire;
use std::time::Duration;

impl From<&User> for wire::User {
    fn from(user: &User) -> Self {
        wire::User {
            meta: Some(user.meta.into()),
            id: user.id.to_string(),
            name: user.name.to_string(),
            role: wire::UserRole::from(user.role).into(),
            stack: user
                .stack
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            certificate_ttl_ms: field::millis(user.certificate_ttl),
            key_sha256: user.key.as_bytes().to_vec(),
            expires_ms: user.expires.as_millis(),
        }
    }
}

pub(super) fn read(wire: wire::User) -> Result<User, ConvertError> {
    if wire.certificate_ttl_ms == 0 {
        return Err(ConvertError::at(
            "certificate_ttl_ms",
            "is 0: a certificate must be valid for some time",
        ));
    }
    let key: [u8; 32] = wire.key_sha256.try_into().map_err(|key: Vec<u8>| {
        ConvertError::at("key_sha256", format!("has {} bytes, not 32", key.len()))
    })?;
    Ok(User {
        meta: wire.meta.unwrap_or_default().into(),
        id: field::parse("id", &wire.id)?,
        name: field::parse("name", &wire.name)?,
        role: field::enumeration::<wire::UserRole, UserRole>("role", wire.role)?,
        stack: field::optional("stack", &wire.stack, field::parse)?,
        certificate_ttl: Duration::from_millis(wire.certificate_ttl_ms),
        key: KeyDigest::from_bytes(key),
        expires: Timestamp::from_millis(wire.expires_ms),
    })
}

door!(User => User, read, "user");
