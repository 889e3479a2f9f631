//! Keys of the data plane.

use crate::assignment::EpochsRecord;
use crate::assignment::TunnelRecord;
use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::key::KEY_LEN;
use crate::key::SecretKey;
use crate::key::TunnelKey;
use crate::object::KeyEpoch;
use crate::object::KeyPhase;
use crate::object::KeyRing;
use crate::time::Timestamp;
use crate::wire;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

impl From<&KeyRing> for wire::KeyRing {
    fn from(ring: &KeyRing) -> Self {
        wire::KeyRing {
            meta: Some(ring.meta.into()),
            epochs: ring.epochs.iter().map(Into::into).collect(),
        }
    }
}

pub(super) fn read(wire: wire::KeyRing) -> Result<KeyRing, ConvertError> {
    let ring = KeyRing {
        meta: wire.meta.unwrap_or_default().into(),
        epochs: field::list("epochs", wire.epochs, read_epoch)?,
    };
    let phases = ring.epochs.iter().map(|epoch| epoch.phase);
    // Retired ones, the active one, and the one that is being distributed.
    let in_order = phases.is_sorted_by(|a, b| a > b || (a == b && *a == KeyPhase::Retired));
    let numbered = ring.epochs.is_sorted_by(|a, b| a.number < b.number);
    if !numbered || !in_order || ring.active().is_none() {
        return Err(ConvertError::at(
            "epochs",
            "are no key ring: it has retired ones, one that is active, and at most one that is \
             distributed, by number",
        ));
    }
    Ok(ring)
}

door!(KeyRing => KeyRing, read, "key_ring");

impl From<&KeyEpoch> for wire::KeyEpoch {
    fn from(epoch: &KeyEpoch) -> Self {
        wire::KeyEpoch {
            number: epoch.number,
            key: epoch.key.expose().to_vec(),
            born_at_ms: epoch.born.as_millis(),
            phase: wire::key_epoch::Phase::from(epoch.phase).into(),
            since_ms: epoch.since.as_millis(),
        }
    }
}

fn read_epoch(wire: wire::KeyEpoch) -> Result<KeyEpoch, ConvertError> {
    Ok(KeyEpoch {
        number: wire.number,
        key: secret("key", wire.key)?,
        born: Timestamp::from_millis(wire.born_at_ms),
        phase: field::enumeration::<wire::key_epoch::Phase, KeyPhase>("phase", wire.phase)?,
        since: Timestamp::from_millis(wire.since_ms),
    })
}

/// Wipes what it was read from.
fn secret(field: &str, bytes: Vec<u8>) -> Result<SecretKey, ConvertError> {
    let bytes = Zeroizing::new(bytes);
    SecretKey::from_slice(&bytes)
        .ok_or_else(|| ConvertError::at(field, format!("has {} bytes, not {KEY_LEN}", bytes.len())))
}

/// A public key that must be there.
pub(super) fn tunnel_key(field: &str, bytes: &[u8]) -> Result<TunnelKey, ConvertError> {
    TunnelKey::try_from(bytes).map_err(|error| ConvertError::at(field, error.to_string()))
}

impl From<&TunnelRecord> for wire::TunnelRecord {
    fn from(record: &TunnelRecord) -> Self {
        let key = |(epoch, key): (&u64, &SecretKey)| wire::PairKey {
            epoch: *epoch,
            key: key.expose().to_vec(),
        };
        wire::TunnelRecord {
            node_id: record.node.to_string(),
            public_key: record.public_key.as_bytes().to_vec(),
            data_addr: record.data_addr.to_string(),
            keys: record.keys.iter().map(key).collect(),
        }
    }
}

pub(super) fn read_tunnel(wire: wire::TunnelRecord) -> Result<TunnelRecord, ConvertError> {
    let keys = field::list("keys", wire.keys, |pair| {
        Ok((pair.epoch, secret("key", pair.key)?))
    })?;
    Ok(TunnelRecord {
        node: field::parse("node_id", &wire.node_id)?,
        public_key: tunnel_key("public_key", &wire.public_key)?,
        data_addr: field::ip("data_addr", &wire.data_addr)?,
        keys: BTreeMap::from_iter(keys),
    })
}

door!(TunnelRecord => TunnelRecord, read_tunnel, "tunnel");

impl From<&EpochsRecord> for wire::EpochsRecord {
    fn from(record: &EpochsRecord) -> Self {
        wire::EpochsRecord {
            active: record.active,
            newest: record.newest,
        }
    }
}

impl From<wire::EpochsRecord> for EpochsRecord {
    fn from(wire: wire::EpochsRecord) -> Self {
        EpochsRecord {
            active: wire.active,
            newest: wire.newest,
        }
    }
}
