//! A node's identity on disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::DAY;
use common::credentials;
use common::credentials_at;
use common::now;
use common::root;
use weft_pki::Credentials;
use weft_pki::Keystore;
use weft_pki::KeystoreError;
use weft_proto::Role;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn same(one: &Credentials, two: &Credentials) -> bool {
    one.identity() == two.identity()
        && one.chain() == two.chain()
        && one.root() == two.root()
        && *one.key().to_pem() == *two.key().to_pem()
}

#[test]
fn an_identity_survives_a_round_trip_and_only_its_owner_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Keystore::new(dir.path().join("a/node"));
    assert!(!store.exists());
    assert!(matches!(store.load(), Err(KeystoreError::Absent { .. })));
    let stored = credentials(&root(1), Role::Worker, 3);
    store.store(&stored).unwrap();
    assert!(store.exists());
    assert!(same(&store.load().unwrap(), &stored));
    let current = dir.path().join("a/node/current");
    assert_eq!(mode(&dir.path().join("a/node")), 0o700);
    assert_eq!(mode(&current), 0o700);
    assert_eq!(mode(&current.join("node.key")), 0o600);
}

#[test]
fn a_renewed_identity_replaces_the_old_one_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = Keystore::new(dir.path());
    let root = root(1);
    for node in 1..5 {
        let stored = credentials(&root, Role::Worker, node);
        store.store(&stored).unwrap();
        assert!(same(&store.load().unwrap(), &stored));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}

#[test]
fn what_an_interrupted_replacement_left_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let store = Keystore::new(dir.path());
    let root = root(1);
    let old = credentials(&root, Role::Worker, 1);
    store.store(&old).unwrap();
    // As if the power failed after the new directory was half written, with the link prepared.
    fs::create_dir(dir.path().join("2")).unwrap();
    fs::write(dir.path().join("2/node.key"), "half").unwrap();
    std::os::unix::fs::symlink("2", dir.path().join("current.new")).unwrap();
    assert!(same(&store.load().unwrap(), &old));
    let new = credentials(&root, Role::Worker, 2);
    store.store(&new).unwrap();
    assert!(same(&store.load().unwrap(), &new));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn an_expired_identity_is_still_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let store = Keystore::new(dir.path());
    let old = credentials_at(&root(1), Role::Worker, 1, now() - 100 * DAY);
    store.store(&old).unwrap();
    assert!(store.load().unwrap().not_after() < now());
}

#[test]
fn a_key_that_others_can_read_is_refused_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let store = Keystore::new(dir.path());
    store
        .store(&credentials(&root(1), Role::Worker, 1))
        .unwrap();
    let key = dir.path().join("current/node.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let error = store.load().unwrap_err();
    assert!(matches!(error, KeystoreError::KeyExposed { .. }));
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn every_damaged_file_is_named() {
    for name in ["node.key", "node.crt", "root.crt"] {
        let dir = tempfile::tempdir().unwrap();
        let store = Keystore::new(dir.path());
        store
            .store(&credentials(&root(1), Role::Worker, 1))
            .unwrap();
        let path = dir.path().join("current").join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() / 3]).unwrap();
        let error = store.load().unwrap_err().to_string();
        assert!(
            error.contains(name) && error.contains("join again"),
            "{error}"
        );
        fs::remove_file(&path).unwrap();
        assert!(store.load().unwrap_err().to_string().contains(name));
    }
}

#[test]
fn files_of_two_identities_are_not_mixed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Keystore::new(dir.path());
    let root = root(1);
    store.store(&credentials(&root, Role::Worker, 1)).unwrap();
    let other = credentials(&root, Role::Worker, 2);
    fs::write(dir.path().join("current/node.crt"), other.chain().to_pem()).unwrap();
    assert!(matches!(store.load(), Err(KeystoreError::Mismatch { .. })));
}

#[test]
fn a_removed_identity_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Keystore::new(dir.path().join("node"));
    store
        .store(&credentials(&root(1), Role::Worker, 1))
        .unwrap();
    fs::write(dir.path().join("node/other"), "not ours").unwrap();
    store.remove().unwrap();
    assert!(!store.exists());
    assert_eq!(fs::read_dir(dir.path().join("node")).unwrap().count(), 1);
    store.remove().unwrap();
    Keystore::new(dir.path().join("never")).remove().unwrap();
}
