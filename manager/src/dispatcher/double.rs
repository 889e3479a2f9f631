//! Two agents with one identity: a node's key was copied to another machine.
//!
//! An agent draws a number when it starts and says it in every hello. A session with the number of
//! the one before is that agent, back over another connection. With another number it is the agent
//! after a restart, whose old session is dead and may not know it yet, or a second machine, whose
//! rival is alive and goes on sending heartbeats: so the newcomer waits for as long as a heartbeat
//! takes, and whoever is heard meanwhile keeps the place.

use crate::dispatcher::presence::Presence;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use tonic::Status;
use weft_proto::NodeId;

/// Between two looks at whether the old session was heard.
const LOOK: Duration = Duration::from_millis(20);

/// What the second of two machines with one identity is told.
const DOUBLED: &str = "another machine holds a session with this node's identity and answers: if \
     this is a copy of that machine, run `weft cluster leave --force` here and join it as a node of \
     its own; if nobody copied it on purpose, its key was stolen: run `weft node revoke` on a manager";

/// Waits until a newcomer may take its node's place, at most for `patience`: until an older session
/// has shown that it is dead, by its end or its silence.
///
/// # Errors
/// Another machine has the place and is alive.
pub(super) async fn make_way(
    presence: &Presence,
    node: NodeId,
    instance: u64,
    patience: Duration,
) -> Result<(), Status> {
    let arrived = Instant::now();
    loop {
        if presence.is_refused(node, instance) {
            return Err(doubled());
        }
        match presence.rival(node, instance) {
            None => return Ok(()),
            Some(heard) if heard > arrived => {
                presence.alarm(node);
                return Err(doubled());
            }
            Some(_) if arrived.elapsed() >= patience => return Ok(()),
            Some(_) => sleep(LOOK).await,
        }
    }
}

/// The answer to the second of two machines with one identity.
pub(super) fn doubled() -> Status {
    Status::already_exists(DOUBLED)
}
