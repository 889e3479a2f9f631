//! Encryption of what goes to disk. The cipher is a caller's choice; [`crate::DataKeys`] is ours.

use crate::records::RecordError;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use weft_proto::wire;

/// Encrypts everything on its way to the disk and decrypts it at start: commands, votes, log
/// positions, snapshots. What stays readable is whose directory it is.
///
/// Sealed bytes must say themselves which key they need, so that keys can be changed while old
/// records remain. A member with a sealer refuses what is not sealed, and the reverse.
pub trait Sealer: Send + Sync + 'static {
    /// Encrypts `plain`, bound to its place. Called by several threads.
    fn seal(&self, place: &Place, plain: &[u8]) -> Result<Vec<u8>, SealError>;

    /// The inverse of [`Sealer::seal`]; refuses bytes that were sealed for another place.
    fn open(&self, place: &Place, sealed: &[u8]) -> Result<Vec<u8>, SealError>;
}

/// Where sealed bytes belong: whose they are, and which part of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    cluster: Arc<str>,
    raft_id: u64,
    part: Part,
}

/// Which part of a member's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A group of changes of the log: which log, which of its files, which group.
    Frame {
        log: [u8; 16],
        segment: u64,
        sequence: u64,
    },
    /// A piece of a snapshot that ends at `index` of `term`; pieces count from 0.
    Snapshot { term: u64, index: u64, piece: u64 },
    /// The end of a snapshot, which says what the pieces are.
    SnapshotEnd,
}

impl Place {
    /// The place as bytes to authenticate together with the content. No two places have the
    /// same.
    pub fn associated_data(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96);
        match self.part {
            Part::Frame {
                log,
                segment,
                sequence,
            } => {
                bytes.push(b'F');
                bytes.extend(log);
                bytes.extend(segment.to_be_bytes());
                bytes.extend(sequence.to_be_bytes());
            }
            Part::Snapshot { term, index, piece } => {
                bytes.push(b'S');
                bytes.extend(term.to_be_bytes());
                bytes.extend(index.to_be_bytes());
                bytes.extend(piece.to_be_bytes());
            }
            Part::SnapshotEnd => bytes.push(b'Z'),
        }
        bytes.extend(self.raft_id.to_be_bytes());
        bytes.extend(self.cluster.as_bytes());
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
pub struct Sealing {
    sealer: Option<Arc<dyn Sealer>>,
    cluster: Arc<str>,
    raft_id: u64,
}

impl Sealing {
    /// Everything is sealed by `sealer`.
    pub fn with(sealer: Arc<dyn Sealer>) -> Self {
        Sealing {
            sealer: Some(sealer),
            ..Sealing::default()
        }
    }

    /// The same, for this member's directory: what another member sealed does not open.
    pub(crate) fn of(&self, owner: &wire::RaftIdentity) -> Self {
        Sealing {
            sealer: self.sealer.clone(),
            cluster: Arc::from(owner.cluster.as_str()),
            raft_id: owner.raft_id,
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.sealer.is_some()
    }

    pub(crate) fn seal<'a>(&self, part: Part, plain: &'a [u8]) -> io::Result<Cow<'a, [u8]>> {
        match &self.sealer {
            Some(sealer) => {
                let sealed = sealer.seal(&self.place(part), plain);
                Ok(Cow::Owned(sealed.map_err(io::Error::other)?))
            }
            None => Ok(Cow::Borrowed(plain)),
        }
    }

    /// Opens bytes that say of themselves whether they are `sealed`.
    pub(crate) fn open<'a>(
        &self,
        part: Part,
        sealed: bool,
        bytes: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, RecordError> {
        match (&self.sealer, sealed) {
            (Some(sealer), true) => {
                let plain = sealer.open(&self.place(part), bytes);
                Ok(Cow::Owned(plain.map_err(RecordError::Unseal)?))
            }
            (None, false) => Ok(Cow::Borrowed(bytes)),
            (None, true) => Err(RecordError::NoKey),
            (Some(_), false) => Err(RecordError::NotSealed),
        }
    }

    fn place(&self, part: Part) -> Place {
        Place {
            cluster: Arc::clone(&self.cluster),
            raft_id: self.raft_id,
            part,
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
