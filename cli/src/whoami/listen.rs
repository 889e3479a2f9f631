//! Sockets for both address families, or for IPv4 alone where a host has no IPv6.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::net::UdpSocket;

/// In order: `[::]` takes IPv4 too (Linux, unless net.ipv6.bindv6only is set), so it is enough
/// where it works.
const ANY: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    IpAddr::V4(Ipv4Addr::UNSPECIFIED),
];

pub(super) async fn tcp(port: u16) -> anyhow::Result<TcpListener> {
    let addresses = ANY.map(|address| (address, port).into());
    TcpListener::bind(addresses.as_slice())
        .await
        .with_context(|| format!("failed to listen on TCP port {port}"))
}

pub(super) async fn udp(port: u16) -> anyhow::Result<UdpSocket> {
    let addresses = ANY.map(|address| (address, port).into());
    UdpSocket::bind(addresses.as_slice())
        .await
        .with_context(|| format!("failed to listen on UDP port {port}"))
}
