//! The last assignments on disk: a node that starts with no manager in reach keeps its tasks and
//! its data plane. Data of secrets is not among them: it is never on this node's disk.
//!
//! One file, replaced in one step: eight bytes of magic, CRC-32C of the rest (little endian), then
//! a snapshot as it comes over the wire.

use crate::desired::Desired;
use crate::durable;
use prost::Message;
use std::fs;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use weft_pki::LocalKey;
use weft_proto::assignment::Assignments;
use weft_proto::convert::ConvertError;
use weft_proto::wire;

const MAGIC: [u8; 8] = *b"weft-as1";
const SEALED: [u8; 8] = *b"weft-as2";
const HEADER: usize = MAGIC.len() + 4;

/// Where one node keeps its last assignments. One process uses it at a time.
#[derive(Clone, Debug)]
pub struct Db {
    dir: PathBuf,
    key: Option<LocalKey>,
}

/// The assignments could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The file could not be read.
    #[error("cannot read the last assignments in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("the last assignments in {} are damaged; they come anew from a manager", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file is sealed, and its key is not here now.
    #[error("the last assignments in {} are sealed, and their key is locked", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
    },
    /// The file is whole, and this version cannot read it.
    #[error("the last assignments in {} cannot be understood; they come anew from a manager", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: ConvertError,
    },
    /// The file could not be written.
    #[error("cannot write the assignments to {}: check free space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The file could not be removed.
    #[error("cannot remove {}", path.display())]
    Remove {
        /// The directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

impl Db {
    /// Keeps its file in `<state_dir>/agent`, which [`Db::save`] makes.
    pub fn new(state_dir: &Path) -> Self {
        Db {
            dir: state_dir.join("agent"),
            key: None,
        }
    }

    /// The same, with what it writes sealed with `key`.
    #[must_use]
    pub fn sealed_with(self, key: Option<LocalKey>) -> Self {
        Db { key, ..self }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("assignments.pb")
    }

    /// The assignments saved last; `None` if there are none. Blocks on the disk.
    pub fn load(&self) -> Result<Option<Desired>, DbError> {
        let path = self.file();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DbError::Read { path, source }),
        };
        let opened = match (bytes.strip_prefix(&SEALED), &self.key) {
            (Some(_), None) => return Err(DbError::Sealed { path }),
            (Some(sealed), Some(key)) => key.open(&SEALED, sealed),
            (None, _) => Some(bytes),
        };
        let Some(wire) = opened.and_then(|bytes| decode(&bytes)) else {
            return Err(DbError::Damaged { path });
        };
        let step =
            Assignments::try_from(wire).map_err(|source| DbError::Content { path, source })?;
        Ok(Some(Desired::default().after(step)))
    }

    /// Saves `desired` in place of what was there; on an error that still is. Blocks on the disk.
    pub fn save(&self, desired: &Desired) -> Result<(), DbError> {
        let path = self.file();
        let bytes = encode(&wire::Assignments::from(&desired.to_saved()));
        self.seal(bytes)
            .and_then(|bytes| self.write(&path, &bytes))
            .map_err(|source| DbError::Write { path, source })
    }

    fn seal(&self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let Some(key) = &self.key else {
            return Ok(bytes);
        };
        let sealed = key.seal(&SEALED, &bytes).map_err(io::Error::other)?;
        Ok([SEALED.as_slice(), &sealed].concat())
    }

    /// Removes everything, for a node that leaves.
    pub fn remove(&self) -> Result<(), DbError> {
        match fs::remove_dir_all(&self.dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(DbError::Remove {
                path: self.dir.clone(),
                source,
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // For the owner's eyes only: environments of tasks may hold passwords.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)?;
        durable::replace(path, bytes)
    }
}

fn encode(wire: &wire::Assignments) -> Vec<u8> {
    let body = wire.encode_to_vec();
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

fn decode(bytes: &[u8]) -> Option<wire::Assignments> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (checksum, body) = rest.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*checksum) != crc32c::crc32c(body) {
        return None;
    }
    wire::Assignments::decode(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::desired;
    use crate::fixture::task;
    use weft_proto::MaterialId;
    use weft_proto::assignment::MaterialRecord;
    use weft_proto::object::Data;
    use weft_proto::spec::MaterialKind;

    #[test]
    fn what_was_saved_last_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::new(dir.path());
        assert_eq!(db.load().unwrap(), None);
        db.save(&desired(1, [task(1)])).unwrap();
        db.save(&desired(2, [task(1), task(2)])).unwrap();
        assert_eq!(db.load().unwrap(), Some(desired(2, [task(1), task(2)])));
        db.remove().unwrap();
        assert_eq!(db.load().unwrap(), None);
        db.remove().unwrap();
    }

    #[test]
    fn what_was_sealed_opens_with_its_key_only_and_an_older_file_is_read_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let plain = Db::new(dir.path());
        plain.save(&desired(1, [task(1)])).unwrap();
        let key = LocalKey::random().unwrap();
        let db = plain.clone().sealed_with(Some(key));
        assert_eq!(db.load().unwrap(), Some(desired(1, [task(1)])));
        db.save(&desired(2, [task(2)])).unwrap();
        assert_eq!(db.load().unwrap(), Some(desired(2, [task(2)])));
        assert!(matches!(plain.load(), Err(DbError::Sealed { .. })));
        let other = plain.clone().sealed_with(LocalKey::random().ok());
        assert!(matches!(other.load(), Err(DbError::Damaged { .. })));
    }

    #[test]
    fn a_file_cut_or_changed_anywhere_is_noticed() {
        let whole = encode(&wire::Assignments::from(
            &desired(1, [task(1)]).to_snapshot(),
        ));
        assert!(decode(&whole).is_some());
        for at in 0..whole.len() {
            assert!(decode(&whole[..at]).is_none(), "cut at {at}");
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert!(decode(&flipped).is_none(), "flipped at {at}");
        }
    }

    #[test]
    fn the_data_of_secrets_is_on_no_disk_and_that_of_configs_comes_back() {
        let record = |n: u128, kind, data: &str| MaterialRecord {
            kind,
            id: MaterialId::from_entropy(n),
            version: 1,
            name: format!("m{n}").parse().unwrap(),
            template: false,
            data: Data::new(data.as_bytes().to_vec()),
        };
        let mut all = desired(1, [task(1)]);
        for record in [
            record(1, MaterialKind::Secret, "hunter2"),
            record(2, MaterialKind::Config, "listen 80"),
        ] {
            all.materials.insert((record.id, 1), record);
        }
        let dir = tempfile::tempdir().unwrap();
        let db = Db::new(dir.path());
        db.save(&all).unwrap();
        let bytes = fs::read(db.file()).unwrap();
        assert!(!bytes.windows(7).any(|part| part == b"hunter2"));
        let loaded = db.load().unwrap().unwrap();
        let kinds: Vec<_> = loaded
            .materials
            .values()
            .map(|record| record.kind)
            .collect();
        assert_eq!(kinds, [MaterialKind::Config]);
        assert_eq!(loaded.tasks, all.tasks);
    }
}
