//! What the log needs from a storage engine: ordered keys, atomic batches, a real sync.

use std::io;

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Put { key: Vec<u8>, value: Vec<u8> },
    Remove { key: Vec<u8> },
}

/// One pair as [`Engine::scan`] yields it.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// A store of byte pairs, used by one thread. Small on purpose: the log keeps its own copy in
/// memory, so an engine is only read when a member starts.
pub(crate) trait Engine: Send + 'static {
    /// Applies all of `ops` in order, or, after a crash, none of them. With `durable`, they
    /// have reached the disk itself when this returns. After an error the state on disk is
    /// unknown and the engine must not be used again.
    fn commit(&mut self, ops: Vec<Op>, durable: bool) -> io::Result<()>;

    /// How long the next durable commit takes, in a simulation, which is not to block.
    #[cfg(feature = "sim")]
    fn sync_time(&mut self) -> std::time::Duration {
        std::time::Duration::ZERO
    }

    /// All pairs in the order of their keys.
    fn scan(&self) -> Box<dyn Iterator<Item = io::Result<Pair>> + '_>;
}

/// Longest value an engine is given; longer records are cut into several pairs. sled moves
/// values over 128 KiB into files of their own, which it never syncs.
pub(crate) const VALUE_BYTES: usize = 48 * 1024;
