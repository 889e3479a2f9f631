//! The node's line to the managers: what it should be comes down, what happened goes up.
//!
//! [`Agent`] holds one session at a time with any manager and moves on when it ends. Beside it run
//! [`keep_saved`], which writes the assignments to disk, [`keep_outbox`], which holds reports until
//! the cluster knows them, and [`Renewal`], which keeps the certificate fresh.

#[cfg(test)]
pub(crate) mod fake_manager;
mod inbox;
mod logs;
mod managers;
mod renew;
mod report;
mod saved;
mod session;
mod sessions;
mod standing;

pub use inbox::Verdict;
pub use inbox::judge;
pub use managers::Managers;
pub use renew::Renewal;
pub use report::Outbox;
pub use report::keep_outbox;
pub use saved::keep_saved;
pub use sessions::Agent;
pub use sessions::Dial;
pub use sessions::Hello;
pub use standing::Standing;
pub use standing::Told;

use std::error::Error;

/// A failed call in words for people.
fn words(status: &tonic::Status) -> String {
    if let Some(reason) = weft_pki::explain(status) {
        return reason;
    }
    let causes = std::iter::successors(status.source(), |error| (*error).source());
    let mut text = status.message().to_owned();
    for cause in causes.map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
