//! Keys of encrypted networks: this node's own pair, and what it shares with each other node.
//!
//! The private key is on disk, for the owner only, so that the node is the same to the others after
//! a restart. What it shares with others is in memory only: it comes with every session, is wiped
//! when it is replaced, and is never saved with the assignments. So a node that starts with no
//! manager in reach has none; what its kernel holds from before goes on, as everything else in the
//! kernel does. A copy on disk would have to be sealed with a key on the same disk, and whoever
//! reads that reads both.

mod own;
mod table;

pub use own::OwnKeyError;
pub use own::own_key;
pub use table::KeyTable;
