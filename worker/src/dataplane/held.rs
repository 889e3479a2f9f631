//! What the data plane holds, and what it was brought to.

use crate::dns::Upstreams;
use crate::network::NetworkError;
use crate::network::overlay::Joined;
use crate::network::task;
use crate::network::task::Resolver;
use crate::network::wanted::Overlay;
use crate::network::wanted::TaskNet;
use std::collections::BTreeMap;
use std::sync::Arc;
use weft_kernel::netns::Netns;
use weft_proto::NetworkId;
use weft_proto::TaskId;

#[derive(Debug)]
pub(super) struct HeldOverlay {
    pub(super) joined: Joined,
    /// What it was brought to; `None` when that failed half-way.
    pub(super) applied: Option<Overlay>,
}

#[derive(Debug)]
pub(super) struct HeldTask {
    pub(super) netns: Netns,
    pub(super) resolver: Option<Resolver>,
    /// What it was brought to; `None` when that failed half-way.
    pub(super) applied: Option<TaskNet>,
}

/// Brings one task's namespace to what is wanted.
pub(super) async fn attach(
    held: &mut HeldTask,
    net: &TaskNet,
    overlays: &BTreeMap<NetworkId, Joined>,
    upstreams: &Arc<Upstreams>,
) -> (TaskId, Result<(), NetworkError>) {
    (net.id, bring(held, net, overlays, upstreams).await)
}

async fn bring(
    held: &mut HeldTask,
    net: &TaskNet,
    overlays: &BTreeMap<NetworkId, Joined>,
    upstreams: &Arc<Upstreams>,
) -> Result<(), NetworkError> {
    if let Some(resolver) = &mut held.resolver {
        resolver.update(net, upstreams);
    }
    if held.applied.as_ref() != Some(net) {
        let before = held.applied.take();
        task::attach(&held.netns, net, overlays).await?;
        // What was there before this daemon may have been anything.
        if before.is_none_or(|before| task::lost_backend(&before, net)) {
            task::steer(&held.netns, net).await?;
        }
        held.applied = Some(net.clone());
    }
    if held.resolver.is_none() {
        held.resolver = Some(Resolver::start(&held.netns, net, upstreams)?);
    }
    Ok(())
}
