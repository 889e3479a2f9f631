use crate::vault::Vault;
use crate::vault::key_file;
use weft_pki::KeySeal;
use weft_pki::UnlockKey;
use weft_raft::KeyFileError;

fn key(byte: u8) -> UnlockKey {
    UnlockKey::from_bytes(&[byte; 32]).unwrap()
}

/// The same directory as a new process finds it.
fn again(dir: &tempfile::TempDir) -> Vault {
    Vault::beside(&dir.path().join("raft"))
}

fn sealed(vault: &Vault) -> Option<Vec<u8>> {
    KeySeal::seal(vault, "PRIVATE").unwrap()
}

fn unsealed(vault: &Vault, sealed: &[u8]) -> String {
    KeySeal::open(vault, sealed).unwrap().to_string()
}

#[test]
fn without_autolock_the_keys_open_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    again(&dir).ready(false).unwrap();
    let vault = again(&dir);
    vault.open(None).unwrap();
    assert_eq!(vault.lock(), None);
    assert_eq!(sealed(&vault), None);
}

#[test]
fn a_locked_vault_opens_with_its_key_only_and_so_does_the_nodes_private_key() {
    let dir = tempfile::tempdir().unwrap();
    let vault = again(&dir);
    vault.lock_with(Some(key(1))).unwrap();
    vault.ready(false).unwrap();
    let pem = sealed(&vault).unwrap();
    let text = std::fs::read_to_string(key_file(&dir.path().join("raft"))).unwrap();
    assert!(!text.contains("plain"), "never written as they are: {text}");

    let stolen = again(&dir);
    let refused = stolen.open(None).unwrap_err();
    assert!(matches!(refused, KeyFileError::Locked { .. }));
    let refused = stolen.open(Some(&key(2))).unwrap_err();
    assert!(matches!(refused, KeyFileError::WrongKey { .. }));
    assert!(KeySeal::open(&stolen, &pem).is_err());
    assert!(stolen.ready(true).is_err() && stolen.ready(false).is_err());

    stolen.open(Some(&key(1))).unwrap();
    assert_eq!(unsealed(&stolen, &pem), "PRIVATE");
    assert_eq!(stolen.lock(), Some(key(1)));
}

#[test]
fn an_exchanged_unlock_key_is_the_only_one_from_then_on_and_keys_stay() {
    let dir = tempfile::tempdir().unwrap();
    let vault = again(&dir);
    vault.ready(false).unwrap();
    for lock in [Some(1), Some(2), None, Some(3)] {
        vault.lock_with(lock.map(key)).unwrap();
        let pem = sealed(&vault);
        let next = again(&dir);
        if let Some(lock) = lock {
            assert!(next.open(Some(&key(lock + 1))).is_err());
            next.open(Some(&key(lock))).unwrap();
            assert_eq!(unsealed(&next, &pem.unwrap()), "PRIVATE");
        } else {
            next.open(None).unwrap();
            assert_eq!(pem, None);
        }
    }
}

#[test]
fn a_manager_that_was_away_opens_with_the_old_key_and_takes_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let away = again(&dir);
    away.lock_with(Some(key(1))).unwrap();
    away.ready(false).unwrap();
    let back = again(&dir);
    back.open(Some(&key(1))).unwrap();
    back.lock_with(Some(key(2))).unwrap();
    assert!(again(&dir).open(Some(&key(1))).is_err());
    again(&dir).open(Some(&key(2))).unwrap();
}

#[test]
fn a_vault_that_was_destroyed_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let vault = again(&dir);
    vault.lock_with(Some(key(1))).unwrap();
    vault.ready(false).unwrap();
    vault.destroy().unwrap();
    vault.destroy().unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    assert_eq!(vault.lock(), None);
    let missing = vault.ready(true).unwrap_err();
    assert!(matches!(missing, KeyFileError::Missing { .. }));
}

#[test]
fn a_manager_that_is_let_go_keeps_its_private_key_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let vault = again(&dir);
    vault.lock_with(Some(key(1))).unwrap();
    let pem = sealed(&vault).unwrap();
    vault.release();
    assert_eq!(unsealed(&vault, &pem), "PRIVATE");
    assert_eq!(sealed(&vault), None);
}

#[test]
fn every_change_of_the_lock_brings_a_new_data_key_and_old_ones_go_when_they_are_not_needed() {
    let dir = tempfile::tempdir().unwrap();
    let vault = again(&dir);
    vault.ready(false).unwrap();
    assert_eq!(vault.old_keys(), [].into());
    vault.lock_with(Some(key(1))).unwrap();
    vault.lock_with(Some(key(2))).unwrap();
    assert_eq!(vault.old_keys(), [1, 2].into());
    let next = again(&dir);
    next.open(Some(&key(2))).unwrap();
    assert_eq!(
        next.old_keys(),
        [1, 2].into(),
        "kept until nothing needs them"
    );
    assert_eq!(next.retire(&[1].into()).unwrap(), 1);
    assert_eq!(next.retire(&[3].into()).unwrap(), 0);
    assert_eq!(next.old_keys(), [].into());
    let last = again(&dir);
    last.open(Some(&key(2))).unwrap();
    assert_eq!(last.old_keys(), [].into());
}
