//! What went wrong in a run: the first thing counts.

use parking_lot::Mutex;
use std::sync::Arc;

/// Broken invariants. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Violations(Arc<Mutex<Vec<String>>>);

impl Violations {
    /// Something is not as promised.
    pub fn add(&self, what: impl Into<String>) {
        let mut found = self.0.lock();
        // Consequences follow a first violation in thousands.
        if found.len() < 20 {
            found.push(what.into());
        }
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        !self.0.lock().is_empty()
    }

    /// All of them, the first one first.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}
