//! A join token that was made for a purpose.

use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::object::IssuedToken;
use crate::object::PendingNode;
use crate::role::Role;
use crate::time::Timestamp;
use crate::wire;

impl From<&IssuedToken> for wire::JoinToken {
    fn from(token: &IssuedToken) -> Self {
        wire::JoinToken {
            meta: Some(token.meta.into()),
            id: token.id.to_string(),
            role: wire::NodeRole::from(token.role).into(),
            sha256: token.sha256.to_vec(),
            name: token.name.clone(),
            expires_ms: token.expires.map(Timestamp::as_millis),
            uses_left: token.uses_left,
            used: token.used,
            labels: field::wire_labels(&token.labels),
            approve: token.approve,
            pending: token.pending.iter().map(Into::into).collect(),
        }
    }
}

pub(super) fn read(wire: wire::JoinToken) -> Result<IssuedToken, ConvertError> {
    let sha256 = wire.sha256.try_into().map_err(|bytes: Vec<u8>| {
        ConvertError::at("sha256", format!("has {} bytes, not 32", bytes.len()))
    })?;
    Ok(IssuedToken {
        meta: wire.meta.unwrap_or_default().into(),
        id: field::parse("id", &wire.id)?,
        // No default: nobody becomes a manager by an omission.
        role: field::enumeration::<wire::NodeRole, Role>("role", wire.role)?,
        sha256,
        name: wire.name,
        expires: wire.expires_ms.map(Timestamp::from_millis),
        uses_left: wire.uses_left,
        used: wire.used,
        labels: field::labels(wire.labels)?,
        approve: wire.approve,
        pending: field::list("pending", wire.pending, read_pending)?,
    })
}

door!(JoinToken => IssuedToken, read, "join_token");

impl From<&PendingNode> for wire::PendingNode {
    fn from(node: &PendingNode) -> Self {
        let advertise = node.advertise_addr.map(|addr| addr.to_string());
        wire::PendingNode {
            id: node.id.to_string(),
            description: Some((&node.description).into()),
            data_addr: node.data_addr.to_string(),
            advertise_addr: advertise.unwrap_or_default(),
            asked_ms: node.asked.as_millis(),
            rejected: node.rejected,
        }
    }
}

fn read_pending(wire: wire::PendingNode) -> Result<PendingNode, ConvertError> {
    Ok(PendingNode {
        id: field::parse("id", &wire.id)?,
        description: field::required("description", wire.description)?.into(),
        data_addr: field::ip("data_addr", &wire.data_addr)?,
        advertise_addr: field::optional("advertise_addr", &wire.advertise_addr, field::socket)?,
        asked: Timestamp::from_millis(wire.asked_ms),
        rejected: wire.rejected,
    })
}

door!(PendingNode => PendingNode, read_pending, "node");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::JoinTokenId;

    #[test]
    fn a_token_without_a_role_or_a_digest_is_refused_by_field() {
        let token = |role: wire::NodeRole, bytes: usize| {
            IssuedToken::try_from(wire::JoinToken {
                id: JoinTokenId::from_entropy(1).to_string(),
                role: role.into(),
                sha256: vec![7; bytes],
                ..wire::JoinToken::default()
            })
        };
        assert!(token(wire::NodeRole::Worker, 32).is_ok());
        for (role, bytes, field) in [
            (wire::NodeRole::Unspecified, 32, "join_token.role"),
            (wire::NodeRole::Worker, 31, "join_token.sha256"),
        ] {
            let said = token(role, bytes).unwrap_err().to_string();
            assert!(said.contains(field), "{said}");
        }
    }
}
