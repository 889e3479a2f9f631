//! The node's data plane: what tasks talk over. Composes the overlay networks with the ingress.

mod config;
mod held;
mod ingress;
mod memory;
mod plane;

pub use config::DataPlaneConfig;
pub use config::OpenError;
pub use ingress::IngressPlane;
pub use ingress::NoIngress;
pub use plane::DataPlane;

use crate::desired::Desired;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use weft_proto::TaskId;

/// What one round of reconciling led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Each active task: the path of its network namespace once everything in it is as desired, or
    /// why it is not.
    pub tasks: BTreeMap<TaskId, Result<PathBuf, String>>,
    /// What else went wrong; the next round tries again.
    pub problems: Vec<String>,
}

/// Makes the kernel's networks what they should be. Level-triggered: call it with the newest state,
/// as often as you like.
pub trait Network: Send {
    /// Creates what is missing, changes what differs, removes what is not needed any more. `active`
    /// are the tasks whose network must exist: running, about to, or still stopping.
    fn reconcile(
        &mut self,
        desired: &Desired,
        active: &BTreeSet<TaskId>,
    ) -> impl Future<Output = Round> + Send;

    /// Removes everything, when the node leaves its cluster. What could not be removed is told.
    fn clear(&mut self) -> impl Future<Output = Vec<String>> + Send;
}
