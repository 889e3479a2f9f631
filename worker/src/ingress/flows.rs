//! UDP flows go where new ones would: a flow has no end, so it would stay with a task that is gone
//! for as long as its client sends.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddrV4;

use ipnet::Ipv4Net;
use weft_kernel::conntrack;
use weft_kernel::conntrack::Flow;
use weft_kernel::netns::Netns;
use weft_proto::spec::Protocol;

use super::error::MeshError;
use super::mesh::Mesh;

/// The UDP ports and their backends: what decides where flows may stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Steering {
    pool: Ipv4Net,
    ports: BTreeMap<u16, Vec<SocketAddrV4>>,
}

impl Steering {
    /// The steering of a mesh.
    pub(super) fn of(mesh: &Mesh) -> Self {
        let udp = mesh
            .ports
            .iter()
            .filter(|((protocol, _), _)| *protocol == Protocol::Udp);
        Self {
            pool: mesh.pool,
            ports: udp.map(|((_, port), to)| (*port, to.clone())).collect(),
        }
    }

    /// Whether a flow leads to a task to which its port does not lead (any more).
    fn is_stale(&self, flow: &Flow) -> bool {
        let (IpAddr::V4(asked), IpAddr::V4(answers)) = (flow.destination, flow.answers_from) else {
            return false;
        };
        let answers = SocketAddrV4::new(answers, flow.answers_from_port);
        let to = self.ports.get(&flow.destination_port);
        flow.protocol == conntrack::UDP
            && self.pool.contains(answers.ip())
            && !self.pool.contains(&asked)
            && !to.is_some_and(|to| to.contains(&answers))
    }
}

/// Forgets the host's flows that lead elsewhere; their next packets choose anew, or are refused.
pub(super) async fn steer(host: &Netns, by: &Steering) -> Result<(), MeshError> {
    let (host, by) = (host.clone(), by.clone());
    let work = move || conntrack::forget(&host, |flow| by.is_stale(flow));
    let forgotten = tokio::task::spawn_blocking(work).await;
    forgotten
        .map_err(MeshError::Lost)?
        .map_err(MeshError::Flows)?;
    Ok(())
}
