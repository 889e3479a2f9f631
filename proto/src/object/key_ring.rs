//! The keys that all keys of the data plane are made from.

use crate::key::SecretKey;
use crate::object::Meta;
use crate::time::Timestamp;
use std::fmt;

/// The keys of which every pair of nodes gets its own. Holds secrets: it never leaves the managers,
/// and has no `Serialize`, so that it cannot be shown by accident.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRing {
    /// Kept by the store.
    pub meta: Meta,
    /// By number, oldest first. One is active, those before it are retired, and at most one comes
    /// after it.
    pub epochs: Vec<KeyEpoch>,
}

/// One key, for the time that it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEpoch {
    /// Never used twice; of two the greater is the newer.
    pub number: u64,
    /// The key.
    pub key: SecretKey,
    /// When it was made.
    pub born: Timestamp,
    /// What it is good for.
    pub phase: KeyPhase,
    /// Since when.
    pub since: Timestamp,
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyPhase {
    /// Nodes are told it, and use it when another node does.
    Distributing,
    /// Nodes use it for everything new.
    Active,
    /// Still known, for nodes that have not heard of its successor.
    Retired,
}

impl fmt::Display for KeyPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            KeyPhase::Distributing => "distributing",
            KeyPhase::Active => "active",
            KeyPhase::Retired => "retired",
        })
    }
}

impl KeyRing {
    /// The number of the newest; 0 when there is none.
    pub fn newest(&self) -> u64 {
        self.epochs.last().map_or(0, |epoch| epoch.number)
    }

    /// The one that is used for everything new.
    pub fn active(&self) -> Option<&KeyEpoch> {
        self.in_phase(KeyPhase::Active)
    }

    /// The one that nodes are being told.
    pub fn distributing(&self) -> Option<&KeyEpoch> {
        self.in_phase(KeyPhase::Distributing)
    }

    fn in_phase(&self, phase: KeyPhase) -> Option<&KeyEpoch> {
        self.epochs.iter().find(|epoch| epoch.phase == phase)
    }
}
