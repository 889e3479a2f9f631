//! The keys that a manager's disk is sealed with, and whether they are locked themselves.
//!
//! One file beside the log holds them all: the keys of log and snapshots, and the one that the node's
//! private key is sealed with. In a cluster with autolock the file itself is locked with the cluster's
//! unlock key, which only running managers and people have. So one write locks a manager, unlocks it
//! for good, or exchanges the unlock key, and a crash leaves the old or the new.

#[cfg(test)]
mod tests;

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use weft_pki::KeySeal;
use weft_pki::UnlockKey;
use weft_raft::KeyFileError;
use weft_raft::KeySet;
use weft_raft::KeyWrap;
use weft_raft::Locked;
use weft_raft::Place;
use weft_raft::Plain;
use weft_raft::SealError;
use weft_raft::Sealer;
use zeroize::Zeroizing;

/// What the node's private key is bound to.
const IDENTITY: &[u8] = b"weft node key 1";

/// Where the keys of the log in `dir` are: whoever removes one must remove both. Copies of a log
/// that differ in the extension of their names only share it.
pub fn key_file(dir: &Path) -> PathBuf {
    dir.with_extension("key")
}

/// A manager's keys. Everything on its disk is sealed and opened through this.
pub struct Vault {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// None while it is closed.
    keys: Option<Arc<KeySet>>,
    /// What the file is locked with; before there is one, what it will be locked with.
    lock: Option<UnlockKey>,
}

impl Vault {
    /// The keys of the log in `dir`, closed until they are needed.
    pub fn beside(dir: &Path) -> Self {
        Vault {
            path: key_file(dir),
            inner: Mutex::default(),
        }
    }

    /// Opens the file, if there is one. Blocks on the disk.
    ///
    /// # Errors
    /// It is locked, or locked with another key, or the disk's.
    pub fn open(&self, key: Option<&UnlockKey>) -> Result<(), KeyFileError> {
        let mut inner = self.inner.lock();
        if inner.keys.is_none()
            && let Some((keys, lock)) = self.read(key)?
        {
            inner.keys = Some(keys);
            inner.lock = lock;
        }
        Ok(())
    }

    /// Makes sure that there are keys. New ones are only made when nothing was sealed with old ones:
    /// `needed`. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Vault::open`], or the file is missing.
    pub fn ready(&self, needed: bool) -> Result<(), KeyFileError> {
        self.keys(needed).map(|_| ())
    }

    /// What the keys are locked with on the disk; none if they are not.
    pub fn lock(&self) -> Option<UnlockKey> {
        self.inner.lock().lock.clone()
    }

    /// Locks the file with this key, or with none; what is written from now on is sealed with a data
    /// key that was never in the file otherwise. Before there is a file, it is made so. Blocks on
    /// the disk.
    ///
    /// # Errors
    /// The disk's: then the file is as it was.
    pub fn lock_with(&self, key: Option<UnlockKey>) -> Result<(), KeyFileError> {
        let mut inner = self.inner.lock();
        if let Some(keys) = inner.keys.clone() {
            // What a copy of the file from before opens is only what was written before.
            let fresh = keys.rotated().map_err(|error| self.unwritable(error))?;
            self.write(&fresh, key.as_ref())?;
            inner.keys = Some(Arc::new(fresh));
        }
        inner.lock = key;
        Ok(())
    }

    /// The data keys that seal nothing new any more.
    pub fn old_keys(&self) -> BTreeSet<u32> {
        let keys = self.inner.lock().keys.clone();
        keys.map(|keys| keys.older()).unwrap_or_default()
    }

    /// Forgets the old data keys that are not in use; how many are left. Blocks on the disk.
    ///
    /// # Errors
    /// The disk's: then the file is as it was.
    pub fn retire(&self, in_use: &BTreeSet<u32>) -> Result<usize, KeyFileError> {
        let mut inner = self.inner.lock();
        let Some(keys) = inner.keys.clone() else {
            return Ok(0);
        };
        let left = keys.retaining(in_use);
        let count = left.older().len();
        if count < keys.older().len() {
            self.write(&left, inner.lock.as_ref())?;
            inner.keys = Some(Arc::new(left));
        }
        Ok(count)
    }

    /// From now on the node's private key is not sealed, whatever the log is: the node stops being a
    /// manager.
    pub fn release(&self) {
        self.inner.lock().lock = None;
    }

    /// Removes the keys: whatever was sealed with them is lost.
    ///
    /// # Errors
    /// The disk's.
    pub fn destroy(&self) -> io::Result<()> {
        let mut inner = self.inner.lock();
        *inner = Inner::default();
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn keys(&self, needed: bool) -> Result<Arc<KeySet>, KeyFileError> {
        let mut inner = self.inner.lock();
        if let Some(keys) = &inner.keys {
            return Ok(keys.clone());
        }
        let wanted = inner.lock.clone();
        let keys = match self.read(wanted.as_ref())? {
            Some((keys, lock)) => {
                inner.lock = lock;
                keys
            }
            None if needed => {
                return Err(KeyFileError::Missing {
                    path: self.path.clone(),
                });
            }
            None => {
                let keys = KeySet::generate().map_err(|error| self.unwritable(error))?;
                self.write(&keys, wanted.as_ref())?;
                Arc::new(keys)
            }
        };
        inner.keys = Some(keys.clone());
        Ok(keys)
    }

    /// What the file holds, and what it is locked with.
    #[allow(clippy::type_complexity, reason = "two things that belong together")]
    fn read(
        &self,
        key: Option<&UnlockKey>,
    ) -> Result<Option<(Arc<KeySet>, Option<UnlockKey>)>, KeyFileError> {
        let found = match (KeySet::read(&self.path, &[&Plain]), key) {
            (Err(KeyFileError::Locked { .. }), Some(key)) => {
                let locked = self.locked(key)?;
                let keys = KeySet::read(&self.path, &[&locked])?;
                keys.map(|keys| (keys, Some(key.clone())))
            }
            (found, _) => found?.map(|keys| (keys, None)),
        };
        Ok(found.map(|(keys, lock)| (Arc::new(keys), lock)))
    }

    fn write(&self, keys: &KeySet, lock: Option<&UnlockKey>) -> Result<(), KeyFileError> {
        let locked = lock.map(|key| self.locked(key)).transpose()?;
        let way: &dyn KeyWrap = match &locked {
            Some(locked) => locked,
            None => &Plain,
        };
        keys.write(&self.path, way)
    }

    fn locked(&self, key: &UnlockKey) -> Result<Locked, KeyFileError> {
        Locked::new(key.as_bytes()).map_err(|error| self.unwritable(error))
    }

    fn unwritable(&self, error: SealError) -> KeyFileError {
        KeyFileError::Write {
            path: self.path.clone(),
            source: io::Error::other(error),
        }
    }

    fn opened(&self) -> Result<Arc<KeySet>, SealError> {
        let keys = self.inner.lock().keys.clone();
        keys.ok_or_else(|| SealError::new("this manager's keys are not open"))
    }
}

impl Sealer for Vault {
    fn seal(&self, place: &Place, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.opened()?.data.seal(place, plain)
    }

    fn open(&self, place: &Place, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.opened()?.data.open(place, sealed)
    }
}

/// The node's private key is sealed exactly where the file is locked: beside a file that opens by
/// itself it would be as safe as it is now.
impl KeySeal for Vault {
    fn seal(&self, pem: &str) -> io::Result<Option<Vec<u8>>> {
        if self.lock().is_none() {
            return Ok(None);
        }
        let keys = self.keys(false).map_err(io::Error::other)?;
        let sealed = keys.identity.seal(IDENTITY, pem.as_bytes());
        sealed.map(Some).map_err(io::Error::other)
    }

    fn open(&self, sealed: &[u8]) -> io::Result<Zeroizing<String>> {
        let keys = self.keys(true).map_err(io::Error::other)?;
        let pem = keys.identity.open(IDENTITY, sealed);
        let pem = String::from_utf8(pem.map_err(io::Error::other)?);
        pem.map(Zeroizing::new).map_err(io::Error::other)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
