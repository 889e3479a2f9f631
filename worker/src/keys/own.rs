//! This node's own key pair.

use crate::durable;
use std::fs;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use tracing::warn;
use weft_pki::tunnel::TunnelKeyError;
use weft_pki::tunnel::TunnelSecret;
use zeroize::Zeroizing;

/// Beside the last assignments, so that it goes with them when the node leaves.
const FILE: &str = "tunnel.key";

/// The node has no key pair.
#[derive(Debug, thiserror::Error)]
pub enum OwnKeyError {
    /// The file could not be read.
    #[error("cannot read {}: check that the daemon runs as the owner of that file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The file could not be written.
    #[error("cannot write {}: check free space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// No key could be made.
    #[error(transparent)]
    Make(#[from] TunnelKeyError),
}

/// The key pair of the node whose state is in `state_dir`, made at the first call. One that is
/// damaged, or that others could read, is replaced by a new one: the other nodes are told. Blocks on
/// the disk.
///
/// # Errors
/// The disk refuses, or there is no randomness.
pub fn own_key(state_dir: &Path) -> Result<TunnelSecret, OwnKeyError> {
    let dir = state_dir.join("agent");
    let path = dir.join(FILE);
    if let Some(key) = load(&path)? {
        return Ok(key);
    }
    let key = TunnelSecret::generate()?;
    let written = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .and_then(|()| durable::replace(&path, key.expose().expose()));
    written.map_err(|source| OwnKeyError::Write { path, source })?;
    Ok(key)
}

fn load(path: &Path) -> Result<Option<TunnelSecret>, OwnKeyError> {
    let failed = |source| OwnKeyError::Read {
        path: path.to_owned(),
        source,
    };
    let mode = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode() & 0o7777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    if mode & 0o077 != 0 {
        warn!(file = %path.display(), mode = format!("{mode:o}"), "others could read this key: a new one takes its place");
        return Ok(None);
    }
    let bytes = Zeroizing::new(fs::read(path).map_err(failed)?);
    match TunnelSecret::from_bytes(&bytes) {
        Ok(key) => Ok(Some(key)),
        Err(error) => {
            warn!(file = %path.display(), %error, "a new key takes the place of a damaged one");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_same_after_a_restart_and_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let key = own_key(dir.path()).unwrap();
        assert_eq!(own_key(dir.path()).unwrap(), key);
        let path = dir.path().join("agent").join(FILE);
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(path.as_path()), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn a_key_that_is_damaged_or_was_open_to_others_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let first = own_key(dir.path()).unwrap();
        let path = dir.path().join("agent").join(FILE);
        fs::write(&path, [1; 7]).unwrap();
        let second = own_key(dir.path()).unwrap();
        assert_ne!(first.public(), second.public());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let third = own_key(dir.path()).unwrap();
        assert_ne!(second.public(), third.public());
        assert_eq!(own_key(dir.path()).unwrap(), third);
    }
}
