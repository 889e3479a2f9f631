//! Removing the demo.

use std::path::PathBuf;

use crate::demo::failure::DemoError;
use crate::error::RigError;
use crate::layout::Layout;
use crate::leftovers::leftovers;
use crate::state::RigState;
use crate::subnet;
use crate::teardown;

/// Removes every trace of the demo, also of one whose start was interrupted, and checks that
/// nothing is left. Returns whether there was anything to remove.
///
/// # Errors
/// What could not be removed.
pub fn down(layout: &Layout) -> Result<bool, DemoError> {
    let state = match RigState::load(&layout.run) {
        Ok(state) => state,
        Err(RigError::State { .. } | RigError::NotThere { .. }) => {
            if leftovers(layout)?.is_empty() {
                return Ok(false);
            }
            without_record(layout.clone())
        }
        Err(other) => return Err(other.into()),
    };
    teardown::remove(&state, || {})?;
    Ok(true)
}

/// A reboot takes /run, and with it the record, but leaves the daemons' state on disk.
fn without_record(layout: Layout) -> RigState {
    RigState {
        layout,
        creator: None,
        subnet: subnet::DEFAULT,
        uplink: true,
        weft: PathBuf::new(),
        hosts: Vec::new(),
    }
}
