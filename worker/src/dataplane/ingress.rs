//! The seam to the ingress room: the routing mesh, and the tasks' way out.

use crate::desired::Desired;
use std::collections::BTreeMap;
use std::future::Future;
use weft_kernel::netns::Netns;
use weft_proto::TaskId;

/// The routing mesh and the way out, as the data plane drives it. Level-triggered.
pub trait IngressPlane: Send {
    /// Gives each of these tasks its outside interface, and publishes the ports of `desired`.
    /// Answers with the problem of each task that has one.
    fn reconcile(
        &mut self,
        desired: &Desired,
        tasks: &BTreeMap<TaskId, Netns>,
    ) -> impl Future<Output = BTreeMap<TaskId, String>> + Send;

    /// Removes everything.
    fn clear(&mut self) -> impl Future<Output = ()> + Send;
}

/// No routing mesh and no way out.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoIngress;

impl IngressPlane for NoIngress {
    async fn reconcile(
        &mut self,
        _: &Desired,
        _: &BTreeMap<TaskId, Netns>,
    ) -> BTreeMap<TaskId, String> {
        BTreeMap::new()
    }

    async fn clear(&mut self) {}
}
