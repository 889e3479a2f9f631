//! Ports that services may not have.

use crate::api::error::ApiError;
use weft_proto::defaults;
use weft_proto::spec::HostPort;
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

/// Refuses the cluster's own ports, and those that are asked for in both modes.
pub(super) fn check(ports: &[Port], host_ports: &[HostPort]) -> Result<(), ApiError> {
    let mesh = ports
        .iter()
        .filter_map(|port| Some((port.protocol, port.published?)));
    let mesh: Vec<_> = mesh.collect();
    let hosts = host_ports
        .iter()
        .map(|port| (port.protocol, port.published));
    let hosts: Vec<_> = hosts.collect();
    let all = || mesh.iter().chain(&hosts).copied();
    if let Some((protocol, port)) = all().find(|asked| RESERVED.contains(asked)) {
        return Err(ApiError::PortReserved { port, protocol });
    }
    match mesh.iter().find(|asked| hosts.contains(asked)) {
        None => Ok(()),
        Some((protocol, port)) => Err(ApiError::PortInBothModes {
            port: *port,
            protocol: *protocol,
        }),
    }
}
