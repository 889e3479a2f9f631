//! UDP flows go where new ones would: a flow has no end, so it would stay with a task that is gone
//! for as long as its client sends.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::os::fd::AsFd;

use ipnet::Ipv4Net;
use weft_kernel::netns::Netns;
use weft_kernel::nft::Nft;
use weft_kernel::nft::NftError;
use weft_kernel::nft::UdpFlow;
use weft_proto::spec::Protocol;

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
    fn is_stale(&self, flow: &UdpFlow) -> bool {
        let to = self.ports.get(&flow.asked.port());
        self.pool.contains(flow.answers.ip())
            && !self.pool.contains(flow.asked.ip())
            && !to.is_some_and(|to| to.contains(&flow.answers))
    }
}

/// Forgets the host's flows that lead elsewhere; their next packets choose anew, or are refused.
pub(super) async fn steer(host: &Netns, by: &Steering) -> Result<(), NftError> {
    let (host, by) = (host.clone(), by.clone());
    let work = move || {
        let mut nft = Nft::open_in(host.as_fd())?;
        let mut flows = nft.udp_flows()?;
        flows.retain(|flow| by.is_stale(flow));
        nft.forget(&flows)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(steered) => steered,
        Err(source) => Err(NftError::Lost { source }),
    }
}
