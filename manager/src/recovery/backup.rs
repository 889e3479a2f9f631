//! The backup file: a state at one revision, whole or not at all.
//!
//! ```text
//! 8 bytes    "weftbak1": what it is, and the version of this layout
//! u32 LE     length of the head
//! head       weft.v1.BackupHead: of which cluster, at which revision, how many bytes follow
//! bytes      weft.v1.StoreSnapshot: the cluster with its root key and join tokens, and all objects
//! 32 bytes   SHA-256 of everything before
//! ```

use crate::store::State;
use aws_lc_rs::digest::SHA256;
use aws_lc_rs::digest::SHA256_OUTPUT_LEN;
use aws_lc_rs::digest::digest;
use prost::Message;
use weft_proto::ClusterId;
use weft_proto::command::StoreSnapshot;
use weft_proto::convert::ConvertError;
use weft_proto::object::Object;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// What every version begins with; the last byte is the version.
const MAGIC: &[u8] = b"weftbak";
const VERSION: u8 = b'1';

/// A state that was backed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Of which cluster.
    pub cluster: ClusterId,
    /// When it was taken, by the clock of whoever asked for it.
    pub taken_at: Timestamp,
    /// The version of `weft` that wrote it.
    pub release: String,
    /// The state.
    pub snapshot: StoreSnapshot,
}

/// Bytes that are no usable backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Another kind of file.
    #[error("this is no backup of a cluster: it does not begin like one")]
    Foreign,
    /// Of a release that writes them differently.
    #[error(
        "this backup has layout {:?}, and this release reads {:?}: restore it with the release that wrote it",
        char::from(*.found), char::from(VERSION)
    )]
    Version {
        /// Its version.
        found: u8,
    },
    /// Cut short.
    #[error("this backup is cut short: it has {found} bytes and should have {expected}")]
    Short {
        /// Bytes there are.
        found: usize,
        /// Bytes there should be, as far as that can be told.
        expected: usize,
    },
    /// Changed since it was written.
    #[error("this backup is damaged: its checksum does not fit; use another copy")]
    Checksum,
    /// Written by something else, though its checksum fits.
    #[error("this backup cannot be understood: a newer release may have written it")]
    Content(#[source] ConvertError),
    /// There is nothing in it.
    #[error("this backup holds no cluster")]
    Empty,
}

impl Backup {
    /// What is to be kept of a state; `None` of one without a cluster.
    pub fn of(state: &State, taken_at: Timestamp, release: &str) -> Option<Backup> {
        let mut snapshot = state.to_snapshot();
        // Only for retries of commands under way, which no restored cluster will see.
        snapshot.recent = Vec::new();
        Some(Backup {
            cluster: state.cluster()?.id,
            taken_at,
            release: release.to_owned(),
            snapshot,
        })
    }

    /// The state.
    pub fn state(&self) -> State {
        State::from_snapshot(self.snapshot.clone())
    }

    /// The file's bytes. They hold the cluster's keys.
    pub fn encode(&self) -> Vec<u8> {
        let body = self.snapshot.encode();
        let head = wire::BackupHead {
            cluster: self.cluster.to_string(),
            revision: self.snapshot.revision,
            taken_at_ms: self.taken_at.as_millis(),
            release: self.release.clone(),
            size: u64::try_from(body.len()).unwrap_or(u64::MAX),
        }
        .encode_to_vec();
        let mut bytes = [MAGIC, &[VERSION]].concat();
        let len = u32::try_from(head.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&body);
        let checksum = digest(&SHA256, &bytes);
        bytes.extend_from_slice(checksum.as_ref());
        bytes
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// They are not a whole, undamaged backup of this release.
    pub fn decode(bytes: &[u8]) -> Result<Backup, BackupError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| {
            if MAGIC.starts_with(bytes) {
                short(bytes, MAGIC.len() + 1)
            } else {
                BackupError::Foreign
            }
        })?;
        let (version, rest) = rest
            .split_first()
            .ok_or_else(|| short(bytes, MAGIC.len() + 1))?;
        if *version != VERSION {
            return Err(BackupError::Version { found: *version });
        }
        let begin = MAGIC.len() + 1 + 4;
        let (len, rest) = rest
            .split_first_chunk::<4>()
            .ok_or_else(|| short(bytes, begin))?;
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let head = rest
            .get(..len)
            .ok_or_else(|| short(bytes, begin.saturating_add(len)))?;
        // What damage made of the head is told from a cut by the checksum alone.
        let size = wire::BackupHead::decode(head).ok();
        let body = begin + len;
        let expected = size.as_ref().map(|head| {
            let size = usize::try_from(head.size).unwrap_or(usize::MAX);
            body.saturating_add(size).saturating_add(SHA256_OUTPUT_LEN)
        });
        if let Some(expected) = expected
            && bytes.len() < expected
        {
            return Err(short(bytes, expected));
        }
        let end = bytes
            .len()
            .checked_sub(SHA256_OUTPUT_LEN)
            .filter(|end| *end >= body)
            .ok_or_else(|| short(bytes, body + SHA256_OUTPUT_LEN))?;
        let (content, checksum) = bytes.split_at(end);
        if digest(&SHA256, content).as_ref() != checksum {
            return Err(BackupError::Checksum);
        }
        let head = size.ok_or(BackupError::Checksum)?;
        let snapshot = content.get(body..).unwrap_or_default();
        let snapshot = StoreSnapshot::decode(snapshot).map_err(BackupError::Content)?;
        let cluster = snapshot.objects.iter().find_map(|object| match object {
            Object::Cluster(cluster) => Some(cluster.id),
            Object::Node(_)
            | Object::Network(_)
            | Object::Service(_)
            | Object::Task(_)
            | Object::Material(_)
            | Object::KeyRing(_)
            | Object::User(_)
            | Object::JoinToken(_) => None,
        });
        Ok(Backup {
            cluster: cluster.ok_or(BackupError::Empty)?,
            taken_at: Timestamp::from_millis(head.taken_at_ms),
            release: head.release,
            snapshot,
        })
    }
}

fn short(bytes: &[u8], expected: usize) -> BackupError {
    BackupError::Short {
        found: bytes.len(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cluster;
    use crate::fixture::node;
    use crate::fixture::state;

    fn backup() -> Backup {
        let state = state(vec![cluster().into(), node(1).into()]);
        Backup::of(&state, Timestamp::from_millis(7), "0.1.0").unwrap()
    }

    #[test]
    fn what_was_backed_up_is_read_again() {
        let backup = backup();
        let read = Backup::decode(&backup.encode()).unwrap();
        assert_eq!(read, backup);
        assert_eq!(read.state().nodes().count(), 1);
    }

    #[test]
    fn a_file_cut_or_changed_anywhere_is_refused_and_a_cut_is_called_one() {
        let whole = backup().encode();
        for at in 0..whole.len() {
            let cut = Backup::decode(&whole[..at]).unwrap_err();
            assert!(
                matches!(cut, BackupError::Short { .. }),
                "cut at {at}: {cut}"
            );
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert!(Backup::decode(&flipped).is_err(), "flipped at {at}");
        }
        let longer = [whole.as_slice(), b"x"].concat();
        assert!(matches!(
            Backup::decode(&longer),
            Err(BackupError::Checksum)
        ));
    }

    #[test]
    fn other_files_and_other_versions_are_refused_by_name() {
        let foreign = Backup::decode(b"#!/bin/sh and so on").unwrap_err();
        assert!(matches!(foreign, BackupError::Foreign));
        let mut newer = backup().encode();
        newer[MAGIC.len()] = b'2';
        let newer = Backup::decode(&newer).unwrap_err().to_string();
        assert!(newer.contains("'2'") && newer.contains("'1'"), "{newer}");
    }
}
