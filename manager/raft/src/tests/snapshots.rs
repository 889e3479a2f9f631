//! Snapshot files: power cuts while one replaces another, damage, and size in memory.

use super::mem_disk::Image;
use super::mem_disk::Luck;
use super::mem_disk::MemDisk;
use super::power::owner;
use super::power::sealed;
use crate::RaftId;
use crate::StartError;
use crate::seal::Sealing;
use crate::snapshot::SnapshotStore;
use crate::types::LeaderId;
use crate::types::LogId;
use crate::types::SnapshotMeta;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

fn meta(index: u64) -> SnapshotMeta {
    let leader_id = LeaderId {
        term: 1,
        node_id: RaftId(1),
    };
    SnapshotMeta {
        last_log_id: Some(LogId { leader_id, index }),
        ..SnapshotMeta::default()
    }
}

fn store(disk: &MemDisk, sealing: &Sealing) -> Result<SnapshotStore, StartError> {
    let disk = Arc::new(disk.clone());
    SnapshotStore::open(disk, Path::new("snapshot"), sealing.of(&owner()))
}

fn content(index: u64, len: usize) -> Vec<u8> {
    let byte = u8::try_from(index).unwrap();
    vec![byte; len]
}

fn put(store: &SnapshotStore, index: u64, len: usize) -> bool {
    let mut writer = store.begin(meta(index)).unwrap();
    writer.write_all(&content(index, len)).unwrap();
    store.install(&writer.finish().unwrap()).unwrap()
}

fn current(store: &SnapshotStore) -> Option<(u64, Vec<u8>)> {
    let file = store.current()?;
    let mut found = Vec::new();
    file.reader().read_to_end(&mut found).unwrap();
    Some((file.meta.last_log_id?.index, found))
}

#[test]
fn a_power_cut_leaves_the_old_snapshot_or_the_new_one() {
    const LEN: usize = 600_000;
    let disk = MemDisk::default();
    let first = store(&disk, &sealed()).unwrap();
    let mut done = Vec::new();
    for index in 1..=3 {
        assert!(put(&first, index, LEN));
        done.push((disk.events(), index));
    }
    let mut cases = 0;
    for upto in 0..=disk.events() {
        let least = done.iter().rev().find(|(at, _)| *at <= upto);
        let least = least.map_or(0, |(_, index)| *index);
        for luck in [
            Luck::Nothing,
            Luck::Everything,
            Luck::Random(1),
            Luck::Random(2),
            Luck::Prefix(100),
            Luck::Suffix(100),
        ] {
            let after = MemDisk::of(disk.after_cut(upto, luck));
            let found = current(&store(&after, &sealed()).unwrap());
            let index = found.as_ref().map_or(0, |(index, _)| *index);
            assert!(index >= least && index <= least + 1, "{upto} {luck:?}");
            assert!(found.is_none_or(|(index, bytes)| bytes == content(index, LEN)));
            cases += 1;
        }
    }
    println!("{} operations, {cases} power cuts", disk.events());
}

#[test]
fn an_older_snapshot_never_replaces_a_newer_one_and_readers_keep_theirs() {
    let disk = MemDisk::default();
    let store = store(&disk, &Sealing::default()).unwrap();
    assert!(put(&store, 5, 10));
    let reading = store.current().unwrap();
    assert!(!put(&store, 4, 10));
    assert!(!put(&store, 5, 20));
    assert!(put(&store, 6, 20));
    let mut read = Vec::new();
    reading.reader().read_to_end(&mut read).unwrap();
    assert_eq!(read, content(5, 10));
    assert_eq!(current(&store), Some((6, content(6, 20))));
    assert_eq!(disk.live().len(), 1, "no leftovers");
}

#[test]
fn every_damaged_byte_of_a_snapshot_is_noticed() {
    for sealing in [Sealing::default(), sealed()] {
        let disk = MemDisk::default();
        put(&store(&disk, &sealing).unwrap(), 9, 700);
        let image: Image = disk.live();
        let len = image["current"].len();
        for at in 0..len {
            let mut damaged = image.clone();
            if let Some(file) = damaged.get_mut("current") {
                file[at] ^= 1;
            }
            let found = store(&MemDisk::of(damaged), &sealing);
            assert!(found.is_err(), "byte {at} of {len}");
        }
        for cut in 0..len {
            let mut damaged = image.clone();
            if let Some(file) = damaged.get_mut("current") {
                file.truncate(cut);
            }
            assert!(store(&MemDisk::of(damaged), &sealing).is_err());
        }
    }
}

#[test]
fn pieces_of_a_sealed_snapshot_do_not_pass_in_each_others_places() {
    const LEN: usize = 600_000;
    let disk = MemDisk::default();
    put(&store(&disk, &sealed()).unwrap(), 9, LEN);
    let mut image = disk.live();
    let file = image.get_mut("current").unwrap();
    // Two whole pieces of 256 KiB follow the magic; change their places, checksums made right.
    let piece = |file: &[u8], at: usize| {
        let len = u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        file[at + 8..at + 8 + usize::try_from(len).unwrap()].to_vec()
    };
    let (a, first) = (8, piece(file, 8));
    let b = a + 8 + first.len();
    let second = piece(file, b);
    assert_eq!(first.len(), second.len());
    for (at, number, bytes) in [(a, 0, &second), (b, 1, &first)] {
        let checksum = crate::snapshot::piece_checksum(number, bytes);
        file[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
        file[at + 8..at + 8 + bytes.len()].copy_from_slice(bytes);
    }
    let error = store(&MemDisk::of(image), &sealed()).unwrap_err();
    assert!(error.to_string().contains("refused"), "{error:?}");
}
