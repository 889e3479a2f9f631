//! Ports that services may not have.

use crate::api::error::ApiError;
use weft_proto::defaults;
use weft_proto::spec::Port;
use weft_proto::spec::Protocol;

/// Where nodes send encrypted packets to each other; kept free for it.
const WIREGUARD_PORT: u16 = 51840;

/// What the cluster itself listens on, on every node. Published, such a port would take the
/// cluster's own traffic away and there would be no way back.
const RESERVED: [(Protocol, u16); 3] = [
    (Protocol::Tcp, defaults::CONTROL_PORT),
    (Protocol::Udp, defaults::VXLAN_PORT),
    (Protocol::Udp, WIREGUARD_PORT),
];

/// Refuses the cluster's own ports.
pub(super) fn check(ports: &[Port]) -> Result<(), ApiError> {
    let reserved = ports.iter().find_map(|port| {
        let asked = (port.protocol, port.published?);
        RESERVED.contains(&asked).then_some(asked)
    });
    match reserved {
        None => Ok(()),
        Some((protocol, port)) => Err(ApiError::PortReserved { port, protocol }),
    }
}
