//! Taking over what the first release kept: its log in sled, and its snapshot in one piece, both
//! readable by anybody. Everything is written anew, sealed if this member seals; the old log is
//! removed only when the new one is on disk under its name, so a crash only means doing it again.

use crate::convert::meta_from_wire;
use crate::convert::required;
use crate::directory::create_log;
use crate::directory::snapshot_dir;
use crate::disk::Directory;
use crate::engine::Contents;
use crate::engine::Meta;
use crate::engine::Op;
use crate::error::StartError;
use crate::image::Image;
use crate::legacy::SledEngine;
use crate::member::RaftId;
use crate::records;
use crate::records::Kind;
use crate::records::RecordError;
use crate::seal::Sealing;
use crate::snapshot::CURRENT;
use crate::snapshot::MAGIC;
use crate::snapshot::SnapshotStore;
use crate::types::SnapshotMeta;
use std::io;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use weft_proto::wire;

/// Bytes of records that are written with one sync, about.
const GROUP_BYTES: usize = 4 << 20;

/// Writes the log in `legacy` and the snapshot in `dir` anew. `sealing` is this member's.
pub(crate) fn take_over(
    dir: &Path,
    legacy: &Path,
    owner: &wire::RaftIdentity,
    sealing: &Sealing,
) -> Result<(), StartError> {
    let failed = |source| StartError::Migrate {
        dir: legacy.to_owned(),
        source,
    };
    let contents = SledEngine::open(legacy)
        .and_then(|old| old.contents())
        .map_err(failed)?;
    let image = Image::load(&contents)?;
    match &image.identity {
        Some(found) if found != owner => {
            return Err(StartError::OtherOwner {
                cluster: owner.cluster.clone(),
                id: RaftId(owner.raft_id),
                found_cluster: found.cluster.clone(),
                found_id: RaftId(found.raft_id),
            });
        }
        None if image.vote.is_some() || image.last().is_some() => {
            let reason = "the log does not say whose it is";
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, reason)));
        }
        Some(_) | None => {}
    }
    let entries = contents.entries.len();
    // First the snapshot: a log without the snapshot it begins at would be refused.
    take_over_snapshot(dir, sealing)?;
    create_log(dir, owner, sealing, groups(contents, &image))?;
    tracing::info!(dir = %legacy.display(), entries, sealed = sealing.is_on(), "took over the log of the previous release");
    Ok(())
}

/// The contents as groups of changes. The records stay as they are: they have the same envelope.
fn groups(contents: Contents, image: &Image) -> Vec<Vec<Op>> {
    let metas = contents.metas.into_iter();
    let mut group: Vec<Op> = metas
        .filter(|(name, _)| *name != Meta::Identity)
        .map(|(name, record)| Op::Meta { name, record })
        .collect();
    let first = image.purged.map_or(0, |purged| purged.index + 1);
    group.extend(image.purged.map(|purged| Op::Purge { upto: purged.index }));
    let mut groups = Vec::new();
    let mut bytes = 0;
    for (index, record) in contents.entries {
        if index < first {
            continue;
        }
        bytes += record.len();
        group.push(Op::Entry { index, record });
        if bytes >= GROUP_BYTES {
            groups.push(std::mem::take(&mut group));
            bytes = 0;
        }
    }
    groups.push(group);
    groups
}

fn take_over_snapshot(dir: &Path, sealing: &Sealing) -> Result<(), StartError> {
    let path = snapshot_dir(dir).join(CURRENT);
    let failed = |source| StartError::OpenSnapshot {
        path: path.clone(),
        source,
    };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if bytes.starts_with(&MAGIC) {
        // An earlier attempt came this far.
        return Ok(());
    }
    let (meta, data) = read(&bytes).map_err(|source| StartError::Snapshot {
        path: path.clone(),
        source,
    })?;
    let write = || {
        let disk = Directory::open(&snapshot_dir(dir))?;
        let store = SnapshotStore::empty(Arc::new(disk), sealing.clone())?;
        let mut writer = store.begin(meta)?;
        writer.write_all(data)?;
        store.install(&writer.finish()?)
    };
    write().map(drop).map_err(failed)
}

/// The snapshot of the first release: length of a head, the head's record, the content.
fn read(file: &[u8]) -> Result<(SnapshotMeta, &[u8]), RecordError> {
    let short = || RecordError::Short { len: file.len() };
    let (len, rest) = file.split_first_chunk::<4>().ok_or_else(short)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| short())?;
    let (head, data) = rest.split_at_checked(len).ok_or_else(short)?;
    let head: wire::RaftSnapshotHead = records::open(Kind::Snapshot, 0, head)?;
    if u64::try_from(data.len()).ok() != Some(head.size) {
        return Err(short());
    }
    if crc32c::crc32c(data) != head.checksum {
        return Err(RecordError::Checksum);
    }
    let meta = required("head.meta", head.meta)
        .and_then(meta_from_wire)
        .map_err(RecordError::Field)?;
    Ok((meta, data))
}
