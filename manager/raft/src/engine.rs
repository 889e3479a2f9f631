//! What the log needs from a storage engine: the changes a log knows, atomic groups of them, a
//! real sync.

use std::collections::BTreeMap;
use std::io;

/// One change of the log. Records are in their envelope already (see `records`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// The entry at `index` is this one, whatever was there.
    Entry { index: u64, record: Vec<u8> },
    /// The entries from `first` on are gone.
    Truncate { first: u64 },
    /// The entries up to and with `upto` are not needed any more.
    Purge { upto: u64 },
    /// A single value is this one; an empty one is none.
    Meta { name: Meta, record: Vec<u8> },
}

/// The single values that are kept beside the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meta {
    /// Whose log it is. Only in logs of the first release; later ones say it in every segment.
    Identity,
    Vote,
    Purged,
    Committed,
}

impl Meta {
    pub(crate) const ALL: [Meta; 4] = [Meta::Identity, Meta::Vote, Meta::Purged, Meta::Committed];

    /// Its name in messages and in keys.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Meta::Identity => "identity",
            Meta::Vote => "vote",
            Meta::Purged => "purged",
            Meta::Committed => "committed",
        }
    }
}

/// A log that is written to by one thread. Small on purpose: the log keeps its own copy in
/// memory, so an engine is only read when a member starts.
pub(crate) trait Engine: Send + 'static {
    /// Applies all of `ops` in order, or, after a crash, none of them. With `durable`, they and
    /// all before them have reached the disk itself when this returns; without, they may wait
    /// for the next that is. After an error the state on disk is unknown and the engine must not
    /// be used again.
    fn commit(&mut self, ops: Vec<Op>, durable: bool) -> io::Result<()>;

    /// How long the next durable commit takes, in a simulation, which is not to block.
    #[cfg(feature = "sim")]
    fn sync_time(&mut self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

/// What a log holds after a number of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) metas: BTreeMap<Meta, Vec<u8>>,
    pub(crate) entries: BTreeMap<u64, Vec<u8>>,
}

impl Contents {
    pub(crate) fn apply(&mut self, op: Op) {
        match op {
            Op::Entry { index, record } => {
                self.entries.insert(index, record);
            }
            Op::Truncate { first } => {
                self.entries.split_off(&first);
            }
            Op::Purge { upto } => {
                self.entries = match upto.checked_add(1) {
                    Some(kept) => self.entries.split_off(&kept),
                    None => BTreeMap::new(),
                };
            }
            Op::Meta { name, record } if record.is_empty() => {
                self.metas.remove(&name);
            }
            Op::Meta { name, record } => {
                self.metas.insert(name, record);
            }
        }
    }
}
