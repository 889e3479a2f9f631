//! Whether managers are locked after a restart, and what unlocks them.

use crate::api::cluster;
use crate::api::error::ApiError;
use crate::propose::retry::Decision;
use crate::store::State;
use weft_pki::UnlockKey;
use weft_proto::command::Change;
use weft_proto::object::Cluster;
use zeroize::Zeroizing;

/// What unlocks managers; `None` if they are never locked.
pub(super) fn unlock_key(state: &State) -> Result<Option<UnlockKey>, ApiError> {
    let cluster = cluster::get(state)?;
    let key = cluster.unlock_key.as_ref();
    Ok(key.and_then(|key| UnlockKey::from_bytes(key.as_ref())))
}

/// Locks managers from their next restart on, or not any more. A cluster that does already keeps
/// its key.
pub(super) fn set(
    state: &State,
    on: bool,
    fresh: &UnlockKey,
) -> Result<Decision<Option<UnlockKey>>, ApiError> {
    let wanted = match unlock_key(state)? {
        _ if !on => None,
        Some(present) => Some(present),
        None => Some(fresh.clone()),
    };
    put(state, wanted)
}

/// Another unlock key.
pub(super) fn rotate(
    state: &State,
    fresh: &UnlockKey,
) -> Result<Decision<Option<UnlockKey>>, ApiError> {
    match unlock_key(state)? {
        Some(_) => put(state, Some(fresh.clone())),
        None => Err(ApiError::NotAutolocked),
    }
}

fn put(state: &State, key: Option<UnlockKey>) -> Result<Decision<Option<UnlockKey>>, ApiError> {
    let cluster = cluster::get(state)?;
    let mut new = Cluster::clone(&cluster);
    new.unlock_key = key.as_ref().map(|key| Zeroizing::new(*key.as_bytes()));
    let changed = new != *cluster;
    Ok(Decision {
        changes: changed.then(|| Change::update(new)).into_iter().collect(),
        outcome: key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn key(byte: u8) -> UnlockKey {
        UnlockKey::from_bytes(&[byte; 32]).unwrap()
    }

    fn locked_with(byte: u8) -> State {
        let mut cluster = fixture::cluster();
        cluster.unlock_key = Some(Zeroizing::new([byte; 32]));
        fixture::state(vec![cluster.into()])
    }

    fn open() -> State {
        fixture::state(vec![fixture::cluster().into()])
    }

    #[test]
    fn a_cluster_is_locked_once_and_keeps_its_key() {
        let first = set(&open(), true, &key(1)).unwrap();
        assert_eq!((first.changes.len(), first.outcome), (1, Some(key(1))));
        let again = set(&locked_with(1), true, &key(2)).unwrap();
        assert_eq!((again.changes.len(), again.outcome), (0, Some(key(1))));
    }

    #[test]
    fn a_cluster_that_is_locked_no_more_forgets_the_key() {
        let off = set(&locked_with(1), false, &key(2)).unwrap();
        assert_eq!((off.changes.len(), off.outcome), (1, None));
        let again = set(&open(), false, &key(2)).unwrap();
        assert_eq!((again.changes.len(), again.outcome), (0, None));
    }

    #[test]
    fn a_key_is_exchanged_only_where_there_is_one() {
        let new = rotate(&locked_with(1), &key(2)).unwrap();
        assert_eq!((new.changes.len(), new.outcome), (1, Some(key(2))));
        let refused = rotate(&open(), &key(2)).map(|_| ()).unwrap_err();
        assert!(matches!(refused, ApiError::NotAutolocked));
    }
}
