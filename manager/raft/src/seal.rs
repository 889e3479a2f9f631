//! Encryption of what goes to disk. The keys and the cipher are the caller's.

use crate::records::RecordError;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Encrypts commands and snapshots on their way to the disk and decrypts them at start. Votes,
/// log positions and whose directory it is stay readable.
///
/// Sealed bytes must say themselves which key they need, so that keys can be changed while old
/// records remain. A member with a sealer refuses records that are not sealed, and the reverse.
pub trait Sealer: Send + Sync + 'static {
    /// Encrypts `plain`, bound to its place. Called by several threads.
    fn seal(&self, place: Place, plain: &[u8]) -> Result<Vec<u8>, SealError>;

    /// The inverse of [`Sealer::seal`]; refuses bytes that were sealed for another place.
    fn open(&self, place: Place, sealed: &[u8]) -> Result<Vec<u8>, SealError>;
}

/// Where sealed bytes belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An entry of the log.
    Entry {
        /// Its index.
        index: u64,
    },
    /// A snapshot.
    Snapshot {
        /// The index of the last entry it contains.
        index: u64,
    },
}

impl Place {
    /// The place as bytes to authenticate together with the content.
    pub fn associated_data(self) -> [u8; 9] {
        let (letter, index) = match self {
            Place::Entry { index } => (b'E', index),
            Place::Snapshot { index } => (b'S', index),
        };
        let mut bytes = [letter; 9];
        bytes[1..].copy_from_slice(&index.to_be_bytes());
        bytes
    }
}

/// Why bytes could not be sealed or opened.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SealError(Arc<dyn Error + Send + Sync>);

impl SealError {
    /// Wraps the cipher's own error or a description.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        SealError(Arc::from(cause.into()))
    }
}

impl PartialEq for SealError {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Eq for SealError {}

/// A [`Sealer`], or none: then everything is stored as it is.
#[derive(Clone, Default)]
pub struct Sealing(Option<Arc<dyn Sealer>>);

impl Sealing {
    /// Everything is sealed by `sealer`.
    pub fn with(sealer: Arc<dyn Sealer>) -> Self {
        Sealing(Some(sealer))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn seal<'a>(&self, place: Place, plain: &'a [u8]) -> io::Result<Cow<'a, [u8]>> {
        match &self.0 {
            Some(sealer) => {
                let sealed = sealer.seal(place, plain).map_err(io::Error::other)?;
                Ok(Cow::Owned(sealed))
            }
            None => Ok(Cow::Borrowed(plain)),
        }
    }

    /// Opens bytes of which their record says whether they are `sealed`.
    pub(crate) fn open<'a>(
        &self,
        place: Place,
        sealed: bool,
        bytes: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, RecordError> {
        match (&self.0, sealed) {
            (Some(sealer), true) => {
                let plain = sealer.open(place, bytes).map_err(RecordError::Unseal)?;
                Ok(Cow::Owned(plain))
            }
            (None, false) => Ok(Cow::Borrowed(bytes)),
            (None, true) => Err(RecordError::NoKey),
            (Some(_), false) => Err(RecordError::NotSealed),
        }
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() {
            "Sealing(on)"
        } else {
            "Sealing(off)"
        })
    }
}
