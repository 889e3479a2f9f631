//! Killing and starting a node's daemon, to see what the others make of it.

use crate::contract;
use crate::demo::failure::DemoError;
use crate::error::RigError;
use crate::host::Host;
use crate::layout::Layout;
use crate::rig::Rig;

/// The word that stands for whichever node leads.
const LEADER: &str = "leader";

/// Kills the daemon of a node (`n2`, or `leader`) without warning; its tasks go on. Returns the
/// node's name.
///
/// # Errors
/// [`DemoError::NotUp`], [`DemoError::NoTarget`], or it does not die.
pub fn kill(layout: &Layout, node: &str) -> Result<String, DemoError> {
    let host = find(layout, node)?;
    host.kill_daemon()?;
    Ok(host.name().to_owned())
}

/// Starts the daemon of a node again, and waits until it answers.
///
/// # Errors
/// [`DemoError::NotUp`], [`DemoError::NoTarget`], or it does not start.
pub fn start(layout: &Layout, node: &str) -> Result<String, DemoError> {
    let host = find(layout, node)?;
    host.start_daemon()?;
    host.wait_ready(super::up::DAEMON)?;
    Ok(host.name().to_owned())
}

fn find(layout: &Layout, node: &str) -> Result<Host, DemoError> {
    let rig = match Rig::open(&layout.run) {
        Err(RigError::NotThere { .. }) => return Err(DemoError::NotUp),
        opened => opened?,
    };
    let hosts = rig.hosts();
    let name = match node {
        LEADER => hosts
            .iter()
            .find_map(|host| contract::leader(&host.weft_json(&contract::node_ls()).ok()?)),
        name => Some(name.to_owned()),
    };
    let wanted = |host: &Host| Some(host.name()) == name.as_deref();
    hosts
        .into_iter()
        .find(wanted)
        .ok_or_else(|| DemoError::NoTarget {
            name: node.to_owned(),
        })
}
