//! A node's identity on its disk.
//!
//! ```text
//! DIR/current -> 7        one symbolic link, replaced in one step
//! DIR/7/node.key          0600; the directories are 0700
//! DIR/7/node.key.sealed   instead of it, where a [`KeySeal`] wants it so
//! DIR/7/node.crt          the chain, leaf first
//! DIR/7/root.crt          the root this node trusts; two while the cluster changes its root
//! ```
//!
//! Key and certificate belong together, so they change together: a whole new directory is
//! written and synced, then `current` is switched to it. A crash at any moment leaves the old
//! identity or the new one, never a mixture. The cluster's root key is never kept here.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::CertificateChain;
use crate::ChainError;
use crate::Credentials;
use crate::CredentialsError;
use crate::IdentityError;
use crate::KeyError;
use crate::NodeIdentity;
use crate::PrivateKey;
use crate::Trust;
use crate::TrustError;

const CURRENT: &str = "current";
const CURRENT_NEW: &str = "current.new";
const KEY: &str = "node.key";
const SEALED: &str = "node.key.sealed";
const CHAIN: &str = "node.crt";
const ROOT: &str = "root.crt";

/// Where one node keeps its identity. One process uses it at a time, by clones of one value.
#[derive(Clone, Debug)]
pub struct Keystore {
    dir: PathBuf,
    seal: Option<Arc<dyn KeySeal>>,
    /// One change after the other.
    turn: Arc<Mutex<()>>,
}

/// How the private key lies on the disk, when not as it is.
pub trait KeySeal: Send + Sync + std::fmt::Debug {
    /// What to write instead of the key; `None` if it may lie there as it is.
    ///
    /// # Errors
    /// It must not, and there is nothing to seal it with.
    fn seal(&self, pem: &str) -> io::Result<Option<Vec<u8>>>;

    /// The inverse.
    ///
    /// # Errors
    /// Sealed by somebody else, changed, or there is nothing to open it with.
    fn open(&self, sealed: &[u8]) -> io::Result<Zeroizing<String>>;
}

/// The identity could not be stored or loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// There is none.
    #[error("this node belongs to no cluster ({} does not exist): run `weft init` or `weft join`", path.display())]
    Absent {
        /// What was looked for.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("cannot read {}: check that the daemon runs as the owner of that file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: check free space and that the daemon owns the directory", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Others than the owner can read the key.
    #[error("{} can be read by others (mode {mode:o}): if nobody has, run `chmod 600` on it; otherwise remove this node and join it again", path.display())]
    KeyExposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file is damaged.
    #[error("{} is damaged: restore it, or remove the directory and join again with a token", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// How.
        #[source]
        source: KeyError,
    },
    /// The certificate file is damaged.
    #[error("{} is damaged: restore it, or remove the directory and join again with a token", path.display())]
    Chain {
        /// The file.
        path: PathBuf,
        /// How.
        #[source]
        source: ChainError,
    },
    /// The root file is damaged.
    #[error("{} is damaged: restore it, or remove the directory and join again with a token", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// How.
        #[source]
        source: TrustError,
    },
    /// The files do not belong together.
    #[error("the files in {} do not belong together: restore them, or remove the directory and join again with a token", dir.display())]
    Mismatch {
        /// Their directory.
        dir: PathBuf,
        /// How they differ.
        #[source]
        source: CredentialsError,
    },
}

impl Keystore {
    /// A store in `dir`, which [`Keystore::store`] creates and closes to all but the owner.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            seal: None,
            turn: Arc::default(),
        }
    }

    /// The same store, whose private key lies on the disk as `seal` says.
    #[must_use]
    pub fn sealed_by(self, seal: Arc<dyn KeySeal>) -> Self {
        Self {
            seal: Some(seal),
            ..self
        }
    }

    /// Whether the stored private key is sealed.
    pub fn is_sealed(&self) -> bool {
        self.dir.join(CURRENT).join(SEALED).exists()
    }

    /// Who the stored certificate names, without a look at its key, which may be sealed.
    pub fn identity(&self) -> Result<NodeIdentity, KeystoreError> {
        let dir = self.dir.join(CURRENT);
        let path = dir.join(CHAIN);
        let chain = CertificateChain::from_pem(&read(&path)?)
            .map_err(|source| KeystoreError::Chain { path, source })?;
        let leaf = chain.certificates().first();
        let named = leaf
            .ok_or(IdentityError::NotACertificate)
            .and_then(NodeIdentity::from_certificate);
        named.map_err(|source| KeystoreError::Mismatch {
            dir,
            source: CredentialsError::Identity(source),
        })
    }

    /// Stores the identity anew if its key does not lie on the disk as the seal wants it now.
    /// Whether it did. Blocks on the disk.
    pub fn reseal(&self) -> Result<bool, KeystoreError> {
        let _turn = self.turn.lock();
        if !self.exists() {
            return Ok(false);
        }
        let credentials = self.load()?;
        let (name, _) = self.key_file(&credentials)?;
        if self.is_sealed() == (name == SEALED) {
            return Ok(false);
        }
        self.write(&credentials).map(|()| true)
    }

    /// Whether an identity was stored, readable or not.
    pub fn exists(&self) -> bool {
        fs::symlink_metadata(self.dir.join(CURRENT)).is_ok()
    }

    /// Loads the identity, expired or not.
    pub fn load(&self) -> Result<Credentials, KeystoreError> {
        if !self.exists() {
            return Err(KeystoreError::Absent {
                path: self.dir.join(CURRENT),
            });
        }
        let dir = self.dir.join(CURRENT);
        let sealed = dir.join(SEALED);
        let (path, key) = if sealed.exists() {
            let key = self.open(&sealed)?;
            (sealed, key)
        } else {
            let path = dir.join(KEY);
            let key = read_key(&path)?;
            (path, key)
        };
        let key =
            PrivateKey::from_pem(&key).map_err(|source| KeystoreError::Key { path, source })?;
        let path = dir.join(CHAIN);
        let chain = CertificateChain::from_pem(&read(&path)?)
            .map_err(|source| KeystoreError::Chain { path, source })?;
        let path = dir.join(ROOT);
        let trust = Trust::from_pem(&read(&path)?)
            .map_err(|source| KeystoreError::Root { path, source })?;
        Credentials::new(key, chain, trust)
            .map_err(|source| KeystoreError::Mismatch { dir, source })
    }

    /// Stores `credentials` in place of what was there. They are on the disk when this returns;
    /// on an error, what was there still is. Blocks on the disk.
    pub fn store(&self, credentials: &Credentials) -> Result<(), KeystoreError> {
        let _turn = self.turn.lock();
        self.write(credentials)
    }

    /// Under which name the key is written, and what.
    fn key_file(
        &self,
        credentials: &Credentials,
    ) -> Result<(&'static str, Zeroizing<Vec<u8>>), KeystoreError> {
        let pem = credentials.key().to_pem();
        let sealed = self.seal.as_ref().map(|seal| seal.seal(&pem)).transpose();
        let sealed = sealed.map_err(|source| KeystoreError::Write {
            path: self.dir.join(SEALED),
            source,
        })?;
        Ok(match sealed.flatten() {
            Some(sealed) => (SEALED, Zeroizing::new(sealed)),
            None => (KEY, Zeroizing::new(pem.as_bytes().to_vec())),
        })
    }

    fn open(&self, path: &Path) -> Result<Zeroizing<String>, KeystoreError> {
        let opened = fs::read(path).and_then(|sealed| match &self.seal {
            Some(seal) => seal.open(&sealed),
            None => Err(io::Error::other("it is sealed")),
        });
        opened.map_err(|source| KeystoreError::Read {
            path: path.to_owned(),
            source,
        })
    }

    fn write(&self, credentials: &Credentials) -> Result<(), KeystoreError> {
        let (key_name, key) = self.key_file(credentials)?;
        let write = |path: &Path| {
            let path = path.to_owned();
            |source| KeystoreError::Write { path, source }
        };
        make_dir(&self.dir).map_err(write(&self.dir))?;
        let generations = self.generations().map_err(write(&self.dir))?;
        let next = generations.iter().max().map_or(1, |last| last + 1);
        let dir = self.dir.join(next.to_string());
        make_dir(&dir).map_err(write(&dir))?;
        for (name, mode, bytes) in [
            (key_name, 0o600, key),
            (
                CHAIN,
                0o644,
                credentials.chain().to_pem().into_bytes().into(),
            ),
            (
                ROOT,
                0o644,
                credentials.trust().to_pem().into_bytes().into(),
            ),
        ] {
            let path = dir.join(name);
            write_synced(&path, mode, &bytes).map_err(write(&path))?;
        }
        sync_dir(&dir).map_err(write(&dir))?;
        self.switch_to(&next.to_string())
            .map_err(write(&self.dir.join(CURRENT)))?;
        for old in generations {
            // The switch has happened; a leftover is removed the next time.
            let _ = fs::remove_dir_all(self.dir.join(old.to_string()));
        }
        Ok(())
    }

    /// Removes the identity: the node has left its cluster. Nothing else in the directory is
    /// touched.
    pub fn remove(&self) -> Result<(), KeystoreError> {
        let removed = || {
            for link in [CURRENT, CURRENT_NEW] {
                absent_is_fine(fs::remove_file(self.dir.join(link)))?;
            }
            for generation in self.generations()? {
                fs::remove_dir_all(self.dir.join(generation.to_string()))?;
            }
            sync_dir(&self.dir)
        };
        absent_is_fine(removed()).map_err(|source| KeystoreError::Write {
            path: self.dir.clone(),
            source,
        })
    }

    fn generations(&self) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        Ok(found)
    }

    /// The commit point: `rename` replaces the link in one step.
    fn switch_to(&self, generation: &str) -> io::Result<()> {
        let link = self.dir.join(CURRENT_NEW);
        absent_is_fine(fs::remove_file(&link))?;
        symlink(generation, &link)?;
        sync_dir(&self.dir)?;
        fs::rename(&link, self.dir.join(CURRENT))?;
        sync_dir(&self.dir)
    }
}

/// Makes a directory that only its owner may enter, also when it was there with another mode.
fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    dir.parent().map_or(Ok(()), sync_dir)
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn write_synced(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    // The directory is new, so a file that exists is not ours.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    // The parent of a relative name is the empty path.
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)?.sync_all()
}

fn read(path: &Path) -> Result<String, KeystoreError> {
    fs::read_to_string(path).map_err(|source| KeystoreError::Read {
        path: path.to_owned(),
        source,
    })
}

fn read_key(path: &Path) -> Result<Zeroizing<String>, KeystoreError> {
    let metadata = fs::metadata(path).map_err(|source| KeystoreError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeystoreError::KeyExposed {
            path: path.to_owned(),
            mode,
        });
    }
    read(path).map(Zeroizing::new)
}
