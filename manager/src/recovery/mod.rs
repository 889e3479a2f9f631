//! A cluster goes on with one manager: after its majority was lost, or out of a backup.
//!
//! Both ways end alike. The state is taken over by one manager under a new identity in the log; all
//! other managers there were are removed from it, so that nobody listens to them any more; and the
//! log goes on far beyond where the old one can have been, so that agents that know more than this
//! state does follow it all the same, and never go back.

mod backup;
mod found;
mod salvage;
mod takeover;

pub use backup::Backup;
pub use backup::BackupError;
pub use found::FoundError;
pub use found::found;
pub use salvage::SalvageError;
pub use salvage::Survivor;
pub use salvage::salvage;
pub use takeover::Founder;
pub use takeover::TakeOverError;
pub use takeover::TakenOver;
pub use takeover::take_over;
