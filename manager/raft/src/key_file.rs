//! The file that keeps a manager's data keys, beside its directory.
//!
//! ```text
//! weft data keys 1
//! <number> plain <64 hexadecimal digits>      one line for each key; the last one seals
//! ```
//! The second word says how the key is wrapped. `plain` is the only way so far: whoever can read
//! the file can read the log.

use crate::cipher::DataKey;
use crate::cipher::DataKeys;
use crate::disk::sync_dir;
use crate::seal::SealError;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use zeroize::Zeroizing;

const HEADER: &str = "weft data keys 1";

/// How a key lies in its file. The place where a later release asks for an unlock key.
pub trait KeyWrap {
    /// The word that names this way.
    fn name(&self) -> &'static str;

    /// What is written for a key.
    fn wrap(&self, key: &[u8; 32]) -> Result<Vec<u8>, SealError>;

    /// The inverse.
    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError>;
}

/// Keys lie in their file as they are.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl KeyWrap for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn wrap(&self, key: &[u8; 32]) -> Result<Vec<u8>, SealError> {
        Ok(key.to_vec())
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let key = <[u8; 32]>::try_from(wrapped).map(Zeroizing::new);
        key.map_err(|_| SealError::new("a key has 32 bytes"))
    }
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

/// The keys in the file at `path`. Makes the file with a random key if it is missing, unless
/// something was sealed with the old one: `needed`.
///
/// The file is for its owner's eyes only (mode 0600), and durable when this returns.
pub fn data_keys(path: &Path, wrap: &dyn KeyWrap, needed: bool) -> Result<DataKeys, KeyFileError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if needed {
                return Err(KeyFileError::Missing {
                    path: path.to_owned(),
                });
            }
            return create(path, wrap);
        }
        Err(source) => {
            return Err(KeyFileError::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    parse(&text, wrap).map_err(|(line, source)| KeyFileError::Line {
        path: path.to_owned(),
        line,
        source,
    })
}

fn create(path: &Path, wrap: &dyn KeyWrap) -> Result<DataKeys, KeyFileError> {
    let failed = |source| KeyFileError::Write {
        path: path.to_owned(),
        source,
    };
    let key = DataKey::generate(1).map_err(|e| failed(io::Error::other(e)))?;
    let keys = DataKeys::new(key, Vec::new());
    let text = render(&keys, wrap).map_err(|e| failed(io::Error::other(e)))?;
    write(path, &text).map_err(failed)?;
    Ok(keys)
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

fn render(keys: &DataKeys, wrap: &dyn KeyWrap) -> Result<Zeroizing<String>, SealError> {
    let mut text = Zeroizing::new(format!("{HEADER}\n"));
    let mut oldest_first: Vec<&DataKey> = keys.all().collect();
    oldest_first.reverse();
    for key in oldest_first {
        let wrapped = Zeroizing::new(wrap.wrap(key.bytes())?);
        // Writing to a string cannot fail.
        let _ = write!(text, "{} {} ", key.id(), wrap.name());
        for byte in wrapped.iter() {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    Ok(text)
}

fn parse(text: &str, wrap: &dyn KeyWrap) -> Result<DataKeys, (usize, Option<SealError>)> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err((1, None));
    }
    let mut keys = Vec::new();
    for (line, number) in lines.zip(2..) {
        let mut words = line.split(' ');
        let id = words.next().and_then(|id| id.parse().ok());
        let known = words.next() == Some(wrap.name());
        let wrapped = words.next().and_then(unhex);
        let (Some(id), true, Some(wrapped)) = (id, known, wrapped) else {
            return Err((number, None));
        };
        let key = wrap.unwrap(&wrapped).map_err(|e| (number, Some(e)))?;
        keys.push(DataKey::new(id, *key));
    }
    let sealing = keys.pop().ok_or((2, None))?;
    keys.reverse();
    Ok(DataKeys::new(sealing, keys))
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
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_file_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("raft.key");
        let made = data_keys(&path, &Plain, false).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = data_keys(&path, &Plain, true).unwrap();
        let bytes = |keys: &DataKeys| keys.all().map(|k| *k.bytes()).collect::<Vec<_>>();
        assert_eq!(bytes(&made), bytes(&read));
    }

    #[test]
    fn a_missing_key_is_never_replaced_while_something_needs_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("raft.key");
        let error = data_keys(&path, &Plain, true).unwrap_err();
        assert!(matches!(error, KeyFileError::Missing { .. }), "{error:?}");
        assert!(!path.exists());
    }

    #[test]
    fn the_last_key_of_a_file_seals_and_all_of_them_open() {
        let keys = DataKeys::new(DataKey::new(7, [7; 32]), vec![DataKey::new(3, [3; 32])]);
        let text = render(&keys, &Plain).unwrap();
        let read = parse(&text, &Plain).unwrap();
        assert_eq!(read.all().map(DataKey::id).collect::<Vec<_>>(), [7, 3]);
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
