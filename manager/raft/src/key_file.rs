//! The file that keeps a manager's keys, beside its directory.
//!
//! ```text
//! weft data keys 1
//! 0 plain <64 hexadecimal digits>             the key that the node's identity is sealed with
//! <number> plain <64 hexadecimal digits>      one line for each data key; the last one seals
//! ```
//! The second word says how the key is wrapped: `plain`, whoever can read the file can read the
//! log; or `locked-` and a mark of the unlock key that is needed. The same word in every line.

use crate::cipher::DataKey;
use crate::cipher::DataKeys;
use crate::disk::sync_dir;
use crate::lock::LOCKED;
use crate::seal::SealError;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use zeroize::Zeroizing;

const HEADER: &str = "weft data keys 1";
/// The number of the key that the node's identity is sealed with.
const IDENTITY: u32 = 0;

/// How a key lies in its file.
pub trait KeyWrap {
    /// The word that names this way.
    fn name(&self) -> &str;

    /// What is written for the key of this number.
    fn wrap(&self, number: u32, key: &[u8; 32]) -> Result<Vec<u8>, SealError>;

    /// The inverse.
    fn unwrap(&self, number: u32, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError>;
}

/// Keys lie in their file as they are.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl KeyWrap for Plain {
    fn name(&self) -> &str {
        "plain"
    }

    fn wrap(&self, _: u32, key: &[u8; 32]) -> Result<Vec<u8>, SealError> {
        Ok(key.to_vec())
    }

    fn unwrap(&self, _: u32, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let key = <[u8; 32]>::try_from(wrapped).map(Zeroizing::new);
        key.map_err(|_| SealError::new("a key has 32 bytes"))
    }
}

/// What a key file holds.
#[derive(Clone, Debug)]
pub struct KeySet {
    /// What the node's identity is sealed with.
    pub identity: DataKey,
    /// What its log and snapshots are sealed with.
    pub data: DataKeys,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The directory is sealed and its keys are gone.
    #[error("the key file {path} is missing, and without it the log and the snapshot beside it cannot be read: put it back if there is a copy", path = path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It needs an unlock key.
    #[error("the keys in {path} are locked: an unlock key opens them", path = path.display())]
    Locked {
        /// Which file.
        path: PathBuf,
    },
    /// It needs another unlock key.
    #[error("the keys in {path} are locked with another unlock key", path = path.display())]
    WrongKey {
        /// Which file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("failed to read the key file {path}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("failed to write the key file {path}", path = path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not a key file, or wrapped in a way that this release does not know.
    #[error("the key file {path} is not understood in line {line}", path = path.display())]
    Line {
        /// Which.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Why, if it is the key itself.
        #[source]
        source: Option<SealError>,
    },
}

impl KeySet {
    /// Random keys.
    pub fn generate() -> Result<Self, SealError> {
        Ok(KeySet {
            identity: DataKey::generate(IDENTITY)?,
            data: DataKeys::new(DataKey::generate(1)?, Vec::new()),
        })
    }

    /// The same with another data key that seals from now on; the present ones still open.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn rotated(&self) -> Result<Self, SealError> {
        let highest = self.data.all().map(DataKey::id).max().unwrap_or(IDENTITY);
        let fresh = DataKey::generate(highest.saturating_add(1))?;
        let older = self.data.all().cloned().collect();
        Ok(KeySet {
            identity: self.identity.clone(),
            data: DataKeys::new(fresh, older),
        })
    }

    /// The same without the older data keys of which nothing is in use any more.
    #[must_use]
    pub fn retaining(&self, in_use: &BTreeSet<u32>) -> Self {
        let mut all = self.data.all().cloned();
        let sealing = all.next();
        let older = all.filter(|key| in_use.contains(&key.id())).collect();
        KeySet {
            identity: self.identity.clone(),
            data: sealing.map_or_else(|| self.data.clone(), |it| DataKeys::new(it, older)),
        }
    }

    /// The numbers of the data keys that only open.
    pub fn older(&self) -> BTreeSet<u32> {
        self.data.all().skip(1).map(DataKey::id).collect()
    }

    /// The keys in the file at `path`, wrapped in any of these ways; `None` if there is no file.
    /// A file of a release that sealed no identities gets a key for that when it is written next.
    ///
    /// # Errors
    /// The disk's, or that the file cannot be opened in any of these ways.
    pub fn read(path: &Path, ways: &[&dyn KeyWrap]) -> Result<Option<Self>, KeyFileError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(KeyFileError::Read {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let path = path.to_owned();
        let locked = |name: &str| name.starts_with(LOCKED);
        let way = match way_of(&text) {
            Some(name) => match ways.iter().find(|way| way.name() == name) {
                Some(way) => *way,
                None if locked(name) && ways.iter().any(|way| locked(way.name())) => {
                    return Err(KeyFileError::WrongKey { path });
                }
                None if locked(name) => return Err(KeyFileError::Locked { path }),
                None => {
                    let (line, source) = (2, None);
                    return Err(KeyFileError::Line { path, line, source });
                }
            },
            None => &Plain,
        };
        let parsed = parse(&text, way);
        parsed
            .map(Some)
            .map_err(|(line, source)| KeyFileError::Line { path, line, source })
    }

    /// Writes the file, for its owner's eyes only (mode 0600): the old one or the new one is there,
    /// whole, whatever happens, and the new one durable when this returns.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, path: &Path, wrap: &dyn KeyWrap) -> Result<(), KeyFileError> {
        let text = render(self, wrap).map_err(io::Error::other);
        text.and_then(|text| write(path, &text))
            .map_err(|source| KeyFileError::Write {
                path: path.to_owned(),
                source,
            })
    }
}

/// Whole or not at all, and durable.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let dir = path
        .parent()
        .ok_or_else(|| io::Error::other("a file has a directory"))?;
    std::fs::create_dir_all(dir)?;
    let new = path.with_extension("key.new");
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    sync_dir(dir)
}

fn render(keys: &KeySet, wrap: &dyn KeyWrap) -> Result<Zeroizing<String>, SealError> {
    let mut text = Zeroizing::new(format!("{HEADER}\n"));
    let mut oldest_first: Vec<&DataKey> = keys.data.all().collect();
    oldest_first.push(&keys.identity);
    oldest_first.reverse();
    for key in oldest_first {
        let wrapped = Zeroizing::new(wrap.wrap(key.id(), key.bytes())?);
        // Writing to a string cannot fail.
        let _ = write!(text, "{} {} ", key.id(), wrap.name());
        for byte in wrapped.iter() {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    Ok(text)
}

/// How the keys of a file are wrapped; `None` if it has none.
fn way_of(text: &str) -> Option<&str> {
    text.lines().nth(1)?.split(' ').nth(1)
}

fn parse(text: &str, wrap: &dyn KeyWrap) -> Result<KeySet, (usize, Option<SealError>)> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err((1, None));
    }
    let mut keys = Vec::new();
    let mut identity = None;
    for (line, number) in lines.zip(2..) {
        let mut words = line.split(' ');
        let id = words.next().and_then(|id| id.parse().ok());
        let known = words.next() == Some(wrap.name());
        let wrapped = words.next().and_then(unhex);
        let (Some(id), true, Some(wrapped)) = (id, known, wrapped) else {
            return Err((number, None));
        };
        let key = wrap.unwrap(id, &wrapped).map_err(|e| (number, Some(e)))?;
        let key = DataKey::new(id, *key);
        if id == IDENTITY {
            identity = Some(key);
        } else {
            keys.push(key);
        }
    }
    let sealing = keys.pop().ok_or((2, None))?;
    keys.reverse();
    let identity = match identity {
        Some(identity) => identity,
        None => DataKey::generate(IDENTITY).map_err(|e| (2, Some(e)))?,
    };
    Ok(KeySet {
        identity,
        data: DataKeys::new(sealing, keys),
    })
}

fn unhex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let bytes = (0..text.len()).step_by(2);
    bytes
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect::<Option<Vec<u8>>>()
        .map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Locked;
    use std::os::unix::fs::PermissionsExt;

    fn bytes(keys: &KeySet) -> Vec<[u8; 32]> {
        let data = keys.data.all().map(|k| *k.bytes());
        data.chain([*keys.identity.bytes()]).collect()
    }

    fn set() -> KeySet {
        KeySet {
            identity: DataKey::new(0, [1; 32]),
            data: DataKeys::new(DataKey::new(7, [7; 32]), vec![DataKey::new(3, [3; 32])]),
        }
    }

    #[test]
    fn a_key_file_is_read_as_it_was_written_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("raft.key");
        assert!(KeySet::read(&path, &[&Plain]).unwrap().is_none());
        let made = KeySet::generate().unwrap();
        made.write(&path, &Plain).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = KeySet::read(&path, &[&Plain]).unwrap().unwrap();
        assert_eq!(bytes(&made), bytes(&read));
    }

    #[test]
    fn a_locked_file_opens_with_its_unlock_key_only_and_says_what_it_needs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("raft.key");
        let (mine, other) = (
            Locked::new(&[1; 32]).unwrap(),
            Locked::new(&[2; 32]).unwrap(),
        );
        set().write(&path, &mine).unwrap();
        let read = KeySet::read(&path, &[&Plain, &mine]).unwrap().unwrap();
        assert_eq!(bytes(&read), bytes(&set()));
        let locked = KeySet::read(&path, &[&Plain]).unwrap_err();
        assert!(matches!(locked, KeyFileError::Locked { .. }), "{locked:?}");
        let wrong = KeySet::read(&path, &[&Plain, &other]).unwrap_err();
        assert!(matches!(wrong, KeyFileError::WrongKey { .. }), "{wrong:?}");
        let text = std::fs::read_to_string(&path).unwrap();
        for secret in ["01010101", "03030303", "07070707"] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn a_locked_file_whose_lines_were_exchanged_is_damaged_and_not_wrong() {
        let mine = Locked::new(&[1; 32]).unwrap();
        let text = render(&set(), &mine).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let three = lines[2].replacen("3 ", "7 ", 1);
        lines[2] = lines[3].replacen("7 ", "3 ", 1);
        lines[3] = three;
        let error = parse(&lines.join("\n"), &mine).unwrap_err();
        assert!(matches!(error, (3, Some(_))), "{error:?}");
    }

    #[test]
    fn the_last_key_of_a_file_seals_and_all_of_them_open() {
        let text = render(&set(), &Plain).unwrap();
        let read = parse(&text, &Plain).unwrap().data;
        assert_eq!(read.all().map(DataKey::id).collect::<Vec<_>>(), [7, 3]);
    }

    #[test]
    fn a_new_data_key_seals_and_older_ones_go_when_nothing_needs_them() {
        let ids = |keys: &KeySet| keys.data.all().map(DataKey::id).collect::<Vec<_>>();
        let next = set().rotated().unwrap();
        assert_eq!(ids(&next), [8, 7, 3]);
        let text = render(&next, &Plain).unwrap();
        assert_eq!(ids(&parse(&text, &Plain).unwrap()), [8, 7, 3]);
        assert_eq!(ids(&next.retaining(&BTreeSet::from([3, 8]))), [8, 3]);
        let bare = next.retaining(&BTreeSet::new());
        assert_eq!(ids(&bare), [8], "the one that seals always stays");
        assert_eq!(bare.identity.bytes(), set().identity.bytes());
    }

    #[test]
    fn a_file_of_an_earlier_release_is_read_and_has_no_key_for_identities_yet() {
        let digits = "05".repeat(32);
        let read = parse(&format!("{HEADER}\n1 plain {digits}\n"), &Plain).unwrap();
        assert_eq!(read.data.all().map(DataKey::id).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_is_no_key_file_is_refused_by_its_line() {
        let line = |text: &str| parse(text, &Plain).unwrap_err().0;
        assert_eq!(line(""), 1);
        assert_eq!(line("weft data keys 1\n"), 2);
        assert_eq!(line("weft data keys 1\n1 locked 00\n"), 2);
        assert_eq!(line("weft data keys 1\n1 plain 00\n"), 2);
        assert_eq!(line("weft data keys 1\n1 plain 0g\n"), 2);
    }
}
