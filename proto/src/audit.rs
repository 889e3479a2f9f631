//! Who changed what.

use crate::time::Timestamp;

/// Bytes of each text of an [`Actor`]: enough for the longest identity and a sentence.
pub const ACTOR_TEXT: usize = 256;

/// Who causes a change, and by which call. The texts are for people and for searching; nothing is
/// decided by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// Who: the identity in a certificate, `local/uid/N` of a node's socket, or `token/ROLE` of a
    /// joining node.
    pub identity: String,
    /// Where the call came from: an address, or the socket of a node.
    pub origin: String,
    /// Which call: `Control/CreateService`.
    pub call: String,
    /// What it does: `created service web`.
    pub summary: String,
}

/// A change that somebody caused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Of the change: the version of all it wrote.
    pub revision: u64,
    /// When its proposer decided it.
    pub at: Timestamp,
    /// Who, and what.
    pub actor: Actor,
}
