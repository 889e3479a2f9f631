//! Which address a node tells others.

use anyhow::Context;
use anyhow::bail;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use weft_proto::defaults::CONTROL_PORT;

/// What a user may give as `--advertise-addr`: `IP` or `IP:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advertise(pub(crate) SocketAddr);

impl Advertise {
    /// Reads `IP` or `IP:PORT`; the port defaults to 2377.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Advertise> {
        let addr = text
            .parse::<SocketAddr>()
            .or_else(|_| {
                text.parse::<IpAddr>()
                    .map(|ip| SocketAddr::new(ip, CONTROL_PORT))
            })
            .with_context(|| {
                format!("{text:?} is no address: give an IP or IP:PORT of this node")
            })?;
        if addr.ip().is_unspecified() || addr.ip().is_multicast() || addr.port() == 0 {
            bail!("{text} cannot be reached by others: give an IP or IP:PORT of this node");
        }
        Ok(Advertise(addr))
    }

    /// The given address, which must be one of this machine's.
    pub(crate) fn given(text: &str) -> anyhow::Result<Advertise> {
        let advertise = Advertise::parse(text)?;
        let own = own_addresses()?;
        if !own.contains(&advertise.0.ip()) {
            bail!(
                "{} is not an address of this node: it has {}",
                advertise.0.ip(),
                list(&own)
            );
        }
        Ok(advertise)
    }

    /// The one address that others may reach this machine at; several are a question to the user.
    pub(crate) fn only_one() -> anyhow::Result<Advertise> {
        let own: Vec<IpAddr> = own_addresses()?
            .into_iter()
            .filter(|addr| !addr.is_loopback())
            .collect();
        match own.as_slice() {
            [only] => Ok(Advertise(SocketAddr::new(*only, CONTROL_PORT))),
            [] => bail!("this node has no address but loopback: give one with --advertise-addr"),
            several => bail!(
                "this node has several addresses ({}): choose the one that other nodes reach with \
                 --advertise-addr",
                list(several)
            ),
        }
    }

    /// The address from which this machine reaches `remote`.
    pub(crate) fn towards(remote: SocketAddr) -> anyhow::Result<Advertise> {
        let any: IpAddr = match remote {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // Connecting a UDP socket sends nothing; the kernel chooses the source address.
        let socket = std::net::UdpSocket::bind((any, 0)).context("open a socket")?;
        socket
            .connect(remote)
            .with_context(|| format!("this node has no route to {}", remote.ip()))?;
        let own = socket.local_addr().context("read the socket's address")?;
        Ok(Advertise(SocketAddr::new(own.ip(), CONTROL_PORT)))
    }
}

fn list(addrs: &[IpAddr]) -> String {
    addrs
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn own_addresses() -> anyhow::Result<Vec<IpAddr>> {
    let up = |flags: InterfaceFlags| flags.contains(InterfaceFlags::IFF_UP);
    let addrs = getifaddrs()
        .context("list this machine's addresses")?
        .filter(|interface| up(interface.flags))
        .filter_map(|interface| interface.address)
        .filter_map(|addr| {
            let v4 = addr.as_sockaddr_in().map(|addr| IpAddr::V4(addr.ip()));
            v4.or_else(|| addr.as_sockaddr_in6().map(|addr| IpAddr::V6(addr.ip())))
        })
        .filter(|addr| !matches!(addr, IpAddr::V6(v6) if v6.is_unicast_link_local()));
    Ok(addrs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_come_with_a_port_and_has_one_otherwise() {
        let parsed = |text: &str| Advertise::parse(text).map(|a| a.0.to_string()).ok();
        assert_eq!(parsed("192.0.2.1").as_deref(), Some("192.0.2.1:2377"));
        assert_eq!(parsed("192.0.2.1:99").as_deref(), Some("192.0.2.1:99"));
        assert_eq!(
            parsed("[2001:db8::1]:99").as_deref(),
            Some("[2001:db8::1]:99")
        );
        for bad in [
            "",
            "web",
            "0.0.0.0",
            "192.0.2.1:0",
            "192.0.2.1:x",
            "224.0.0.1",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let refused = Advertise::given("192.0.2.77").unwrap_err().to_string();
        assert!(
            refused.contains("is not an address of this node"),
            "{refused}"
        );
        assert!(Advertise::given("127.0.0.1:5").is_ok());
    }
}
