//! A member's directory.
//!
//! ```text
//! lock       held by the process that uses the directory
//! wal/       the log (see `segment`); wal.new while it is being made
//! snapshot/  the snapshot (see `snapshot`)
//! log/       the log of the first release, until it has been taken over
//! ```

use crate::config::RaftConfig;
use crate::disk::Directory;
use crate::disk::sync_dir;
use crate::engine::Engine;
use crate::engine::Op;
use crate::error::Damage;
use crate::error::StartError;
use crate::file_engine::FileEngine;
use crate::file_engine::Sizes;
use crate::image::Image;
use crate::migrate;
use crate::seal::Sealing;
use crate::set_back;
use crate::snapshot::CURRENT;
use crate::snapshot::SnapshotStore;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use weft_proto::wire;

const LOCK: &str = "lock";
const WAL_DIR: &str = "wal";
const NEW_WAL_DIR: &str = "wal.new";
const SNAPSHOT_DIR: &str = "snapshot";
const LEGACY_DIR: &str = "log";

/// What a directory holds.
pub(crate) struct Opened {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) image: Image,
    pub(crate) snapshots: Arc<SnapshotStore>,
}

/// Whether `dir` holds a member's log or snapshot that cannot be read without its key. The log of
/// the first release can.
pub fn is_written(dir: &Path) -> bool {
    dir.join(WAL_DIR).exists()
}

pub(crate) fn owner(config: &RaftConfig) -> wire::RaftIdentity {
    wire::RaftIdentity {
        cluster: config.cluster.to_string(),
        raft_id: config.me.raft_id.0,
    }
}

/// Opens and checks a member's directory; creates it when it is new, and takes over what the
/// first release left. Blocks on the disk.
pub(crate) fn open_dir(config: &RaftConfig) -> Result<Opened, StartError> {
    let dir = &config.dir;
    let lock = lock(dir).map_err(|source| StartError::OpenLog {
        dir: dir.clone(),
        source,
    })?;
    if set_back::is_marked(dir) {
        return Err(StartError::Damaged {
            file: WAL_DIR.to_owned(),
            at: 0,
            source: Damage::SetBack,
        });
    }
    let owner = owner(config);
    let sealing = config.sealing.of(&owner);
    let legacy = dir.join(LEGACY_DIR);
    let wal = dir.join(WAL_DIR);
    if !wal.exists() {
        if legacy.exists() {
            migrate::take_over(dir, &legacy, &owner, &sealing)?;
        } else if dir.join(SNAPSHOT_DIR).join(CURRENT).exists() {
            // Somebody removed the log, and with it the votes of this member.
            return Err(StartError::Damaged {
                file: WAL_DIR.to_owned(),
                at: 0,
                source: Damage::MissingFile,
            });
        } else {
            create_log(dir, &owner, &sealing, [])?;
        }
    }
    if legacy.exists() {
        // Taken over; a crash may have kept it.
        std::fs::remove_dir_all(&legacy)
            .and_then(|()| sync_dir(dir))
            .map_err(|source| StartError::Migrate {
                dir: legacy,
                source,
            })?;
    }
    let disk = Directory::open(&wal).map_err(|source| StartError::OpenLog { dir: wal, source })?;
    let (mut engine, contents) =
        FileEngine::open(Arc::new(disk), &owner, &sealing, Sizes::default(), None)?;
    engine.lock = Some(lock);
    let image = Image::load(&contents)?;
    open_with(Box::new(engine), image, dir, sealing)
}

pub(crate) fn open_with(
    engine: Box<dyn Engine>,
    image: Image,
    dir: &Path,
    sealing: Sealing,
) -> Result<Opened, StartError> {
    let snapshots = open_snapshots(dir, sealing)?;
    let kept = snapshots.current().and_then(|s| s.meta.last_log_id);
    if let Some(purged) = image.purged
        && kept < Some(purged)
    {
        return Err(StartError::MissingSnapshot {
            purged: purged.index,
        });
    }
    Ok(Opened {
        engine,
        image,
        snapshots: Arc::new(snapshots),
    })
}

pub(crate) fn open_snapshots(dir: &Path, sealing: Sealing) -> Result<SnapshotStore, StartError> {
    let path = snapshot_dir(dir);
    let disk = Directory::open(&path).map_err(|source| StartError::OpenSnapshot {
        path: path.clone(),
        source,
    })?;
    SnapshotStore::open(Arc::new(disk), &path, sealing)
}

pub(crate) fn snapshot_dir(dir: &Path) -> PathBuf {
    dir.join(SNAPSHOT_DIR)
}

/// Makes a log that holds the results of `groups`. It is there whole, or not at all: a directory
/// without any segment is a damaged one, so one that is being made has another name.
pub(crate) fn create_log(
    dir: &Path,
    owner: &wire::RaftIdentity,
    sealing: &Sealing,
    groups: impl IntoIterator<Item = Vec<Op>>,
) -> Result<(), StartError> {
    let failed = |source| StartError::WriteLog { source };
    let new = dir.join(NEW_WAL_DIR);
    match std::fs::remove_dir_all(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let disk = Directory::open(&new).map_err(failed)?;
    let mut name = [0; 16];
    aws_lc_rs::rand::fill(&mut name)
        .map_err(|_| failed(io::Error::other("the machine gives no random numbers")))?;
    let (mut engine, _) =
        FileEngine::open(Arc::new(disk), owner, sealing, Sizes::default(), Some(name))?;
    for group in groups {
        engine.commit(group, true).map_err(failed)?;
    }
    drop(engine);
    std::fs::rename(&new, dir.join(WAL_DIR))
        .and_then(|()| sync_dir(dir))
        .map_err(failed)
}

/// Keeps every other process out for as long as the file is open.
fn lock(dir: &Path) -> io::Result<File> {
    drop(Directory::open(dir)?);
    let file = File::create(dir.join(LOCK))?;
    file.try_lock()?;
    Ok(file)
}
