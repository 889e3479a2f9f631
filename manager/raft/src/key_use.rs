//! Which data keys a directory still needs. Sealed bytes say themselves which one they need, so the
//! files are looked at without being opened.

use crate::cipher::key_of;
use crate::frame;
use crate::frame::Found;
use crate::records;
use crate::records::Kind;
use crate::segment;
use crate::segment::Name;
use crate::snapshot::CURRENT;
use crate::snapshot::MAGIC;
use crate::snapshot::PIECE_HEAD;
use crate::snapshot::TAIL;
use crate::snapshot::UNFINISHED;
use crate::snapshot::piece_checksum;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// The numbers of the data keys that something in the log and the snapshot in `dir` is sealed with.
/// While the member runs: those that were in use when this began, at least. Blocks on the disk.
///
/// # Errors
/// The disk's, or files that are not what they should be: then nothing is known.
pub fn keys_in_use(dir: &Path) -> io::Result<BTreeSet<u32>> {
    let mut keys = BTreeSet::new();
    let wal = dir.join("wal");
    for entry in absent_is_empty(fs::read_dir(&wal))?.into_iter().flatten() {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Name::Segment(number) = segment::parse_name(name)
            && let Some(bytes) = absent_is_empty(fs::read(wal.join(name)))?
        {
            of_segment(number, &bytes, &mut keys)?;
        }
    }
    // First: what is being made now becomes the snapshot later, and may have begun with an old key.
    let snapshots = absent_is_empty(fs::read_dir(dir.join("snapshot")))?;
    for entry in snapshots.into_iter().flatten() {
        if entry?.file_name().to_string_lossy().ends_with(UNFINISHED) {
            let text = "a snapshot is being made";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
        }
    }
    if let Some(bytes) = absent_is_empty(fs::read(dir.join("snapshot").join(CURRENT)))? {
        of_snapshot(&bytes, &mut keys).ok_or_else(|| unknown("the snapshot"))?;
    }
    Ok(keys)
}

fn absent_is_empty<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        // Segments are removed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn unknown(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what} is not understood"),
    )
}

fn of_segment(number: u64, bytes: &[u8], keys: &mut BTreeSet<u32>) -> io::Result<()> {
    let (head, mut at) = segment::decode(number, bytes).map_err(io::Error::other)?;
    while let Found::Frame {
        sealed, body, next, ..
    } = frame::find(head.home, bytes, at)
    {
        if sealed {
            keys.insert(key_of(body).map_err(io::Error::other)?);
        }
        at = next;
    }
    Ok(())
}

fn of_snapshot(bytes: &[u8], keys: &mut BTreeSet<u32>) -> Option<()> {
    let tail = usize::try_from(TAIL).ok()?;
    let (rest, tail) = bytes.split_at_checked(bytes.len().checked_sub(tail)?)?;
    let (len, _) = tail.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let (pieces, end) = rest.split_at_checked(rest.len().checked_sub(len)?)?;
    let (sealed, body) = records::unwrap(Kind::SnapshotEnd, 0, end).ok()?;
    if sealed {
        keys.insert(key_of(body).ok()?);
    }
    let mut pieces = pieces.strip_prefix(MAGIC.as_slice())?;
    for number in 0.. {
        if pieces.is_empty() {
            break;
        }
        let (head, rest) = pieces.split_first_chunk::<PIECE_HEAD>()?;
        let [a, b, c, d, e, f, g, h] = *head;
        let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
        let (piece, rest) = rest.split_at_checked(len)?;
        if piece_checksum(number, piece) != u32::from_le_bytes([e, f, g, h]) {
            return None;
        }
        if sealed {
            keys.insert(key_of(piece).ok()?);
        }
        pieces = rest;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::DataKey;
    use crate::cipher::DataKeys;
    use crate::config::RaftConfig;
    use crate::member::Member;
    use crate::member::RaftId;
    use crate::recovery::force_new_cluster;
    use crate::recovery::found_with_state;
    use crate::seal::Sealing;
    use std::sync::Arc;
    use weft_proto::ClusterId;
    use weft_proto::NodeId;

    fn config(dir: &Path, sealing: u32, older: &[u32]) -> RaftConfig {
        let me = Member {
            raft_id: RaftId(1),
            node_id: NodeId::from_entropy(1),
            addr: ([127, 0, 0, 1], 2377).into(),
        };
        let key = |id: &u32| DataKey::new(*id, [u8::try_from(*id).unwrap(); 32]);
        let keys = DataKeys::new(key(&sealing), older.iter().map(key).collect());
        let mut config = RaftConfig::new(me, ClusterId::from_entropy(1), dir);
        config.sealing = Sealing::with(Arc::new(keys));
        config
    }

    #[test]
    fn a_directory_says_which_keys_its_log_and_its_snapshot_need() {
        let dir = tempfile::tempdir().unwrap();
        let raft = dir.path().join("raft");
        assert_eq!(keys_in_use(&raft).unwrap(), [].into());
        found_with_state(&config(&raft, 1, &[]), 5, &[7; 600_000]).unwrap();
        assert_eq!(keys_in_use(&raft).unwrap(), [1].into());
        // Something is written with another key.
        force_new_cluster(&config(&raft, 2, &[1])).unwrap();
        assert_eq!(keys_in_use(&raft).unwrap(), [1, 2].into());
        assert!(force_new_cluster(&config(&raft, 2, &[])).is_err());
        // A snapshot alone counts as well.
        fs::remove_dir_all(raft.join("wal")).unwrap();
        assert_eq!(keys_in_use(&raft).unwrap(), [1].into());
    }

    #[test]
    fn while_a_snapshot_is_made_and_of_a_damaged_one_nothing_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let raft = dir.path().join("raft");
        found_with_state(&config(&raft, 1, &[]), 5, b"state").unwrap();
        let unfinished = raft.join("snapshot/0.tmp");
        fs::write(&unfinished, b"begun").unwrap();
        assert!(keys_in_use(&raft).is_err());
        fs::remove_file(&unfinished).unwrap();
        let current = raft.join("snapshot/current");
        let whole = fs::read(&current).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&current, &flipped).unwrap();
            // A mark of the end says nothing about keys.
            let known = keys_in_use(&raft).is_ok();
            assert!(!known || at >= whole.len() - 8, "flipped at {at}");
        }
    }
}
