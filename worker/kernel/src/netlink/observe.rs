//! Reads links: from the kernel's message to [`Link`].

use std::net::IpAddr;

use futures::StreamExt;
use futures::stream;
use nix::errno::Errno;
use rtnetlink::packet_route::link::AfSpecInet6;
use rtnetlink::packet_route::link::AfSpecUnspec;
use rtnetlink::packet_route::link::In6AddrGenMode;
use rtnetlink::packet_route::link::InfoBridge;
use rtnetlink::packet_route::link::InfoData;
use rtnetlink::packet_route::link::InfoKind;
use rtnetlink::packet_route::link::InfoPortData;
use rtnetlink::packet_route::link::InfoVxlan;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::link::LinkFlags;
use rtnetlink::packet_route::link::LinkInfo;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::link::State;

use super::Cause;
use super::Counters;
use super::Device;
use super::IfName;
use super::Link;
use super::LinkIndex;
use super::LinkKind;
use super::Mac;
use super::Netlink;
use super::NetlinkError;
use super::OperState;
use super::Operation;
use super::PortFlags;
use super::Vni;
use super::VxlanState;
use super::collect;
use super::errno_of;

impl Netlink {
    /// All links of the namespace, in the order of their numbers.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn links(&self) -> Result<Vec<Link>, NetlinkError> {
        let answer = collect(self.handle.link().get().execute()).await;
        let messages = self.judge(|| Operation::ListLinks, answer)?;
        Ok(messages.into_iter().map(read).collect())
    }

    /// The link called `name`, or `None`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn link(&self, name: &IfName) -> Result<Option<Link>, NetlinkError> {
        let answer = self.handle.link().get().match_name(name.as_str()).execute();
        self.one(|| Operation::ReadLink { link: name.clone() }, answer)
            .await
    }

    /// The link with number `index`, or `None`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn link_by_index(&self, index: LinkIndex) -> Result<Option<Link>, NetlinkError> {
        let answer = self.handle.link().get().match_index(index.0).execute();
        self.one(|| Operation::ReadLinkByIndex { index }, answer)
            .await
    }

    /// A handle for changing the link called `name`, or `None`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn find_device(&self, name: &IfName) -> Result<Option<Device>, NetlinkError> {
        let link = self.link(name).await?;
        Ok(link.map(|link| Device::new(self, name.clone(), link.index)))
    }

    /// A handle for changing the link called `name`.
    ///
    /// # Errors
    /// With [`Cause::NoSuchLink`] when there is none.
    pub async fn device(&self, name: &IfName) -> Result<Device, NetlinkError> {
        let found = self.find_device(name).await?;
        found.ok_or_else(|| {
            self.failed(
                Operation::ReadLink { link: name.clone() },
                Cause::NoSuchLink,
            )
        })
    }

    async fn one(
        &self,
        operation: impl FnOnce() -> Operation,
        answer: impl stream::Stream<Item = Result<LinkMessage, rtnetlink::Error>>,
    ) -> Result<Option<Link>, NetlinkError> {
        let mut answer = std::pin::pin!(answer);
        let Some(first) = answer.next().await else {
            return Ok(None);
        };
        if errno_of(&first) == Some(Errno::ENODEV) {
            return Ok(None);
        }
        self.judge(operation, first)
            .map(|message| Some(read(message)))
    }
}

/// Pure: one message as a [`Link`].
fn read(message: LinkMessage) -> Link {
    let mut link = Link {
        index: LinkIndex(message.header.index),
        name: IfName::reported(String::new()),
        kind: LinkKind::Plain,
        mtu: 0,
        mac: None,
        alias: None,
        up: message.header.flags.contains(LinkFlags::Up),
        oper: OperState::Unknown,
        master: None,
        peer: None,
        peer_netns: None,
        generates_addresses: None,
        port: None,
        counters: Counters::default(),
    };
    for attribute in message.attributes {
        read_attribute(&mut link, attribute);
    }
    link
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel reports far more than is of use"
)]
fn read_attribute(link: &mut Link, attribute: LinkAttribute) {
    match attribute {
        LinkAttribute::IfName(name) => link.name = IfName::reported(name),
        LinkAttribute::Mtu(mtu) => link.mtu = mtu,
        LinkAttribute::Address(bytes) => link.mac = bytes.try_into().ok().map(Mac),
        LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
        LinkAttribute::Controller(index) => link.master = Some(LinkIndex(index)),
        LinkAttribute::Link(index) => link.peer = (index != 0).then_some(LinkIndex(index)),
        LinkAttribute::LinkNetNsId(id) => link.peer_netns = Some(id),
        LinkAttribute::OperState(state) => link.oper = read_oper_state(state),
        LinkAttribute::LinkInfo(infos) => read_infos(link, infos),
        LinkAttribute::AfSpecUnspec(families) => {
            link.generates_addresses = families.iter().find_map(generates_addresses);
        }
        LinkAttribute::Stats64(stats) => {
            link.counters = Counters {
                rx_packets: stats.rx_packets,
                tx_packets: stats.tx_packets,
                rx_bytes: stats.rx_bytes,
                tx_bytes: stats.tx_bytes,
                rx_dropped: stats.rx_dropped,
                tx_dropped: stats.tx_dropped,
            };
        }
        _ => {}
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all other states mean not ready"
)]
fn read_oper_state(state: State) -> OperState {
    match state {
        State::Up => OperState::Up,
        State::Unknown => OperState::Unknown,
        State::LowerLayerDown => OperState::LowerDown,
        _ => OperState::Down,
    }
}

fn generates_addresses(family: &AfSpecUnspec) -> Option<bool> {
    let AfSpecUnspec::Inet6(settings) = family else {
        return None;
    };
    settings.iter().find_map(|setting| {
        let AfSpecInet6::AddrGenMode(mode) = setting else {
            return None;
        };
        Some(*mode != In6AddrGenMode::None)
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only kinds we make or must tell apart"
)]
fn read_infos(link: &mut Link, infos: Vec<LinkInfo>) {
    for info in infos {
        match info {
            // The kind comes before its data.
            LinkInfo::Kind(InfoKind::Veth) => link.kind = LinkKind::Veth,
            LinkInfo::Kind(InfoKind::Wireguard) => link.kind = LinkKind::Wireguard,
            LinkInfo::Kind(InfoKind::Tun) => link.kind = LinkKind::Tun,
            LinkInfo::Kind(kind) => link.kind = LinkKind::Other(kind.to_string()),
            LinkInfo::Data(InfoData::Bridge(options)) => {
                let snooping = options.iter().find_map(|option| match option {
                    InfoBridge::MulticastSnooping(on) => Some(*on),
                    _ => None,
                });
                link.kind = LinkKind::Bridge {
                    mcast_snooping: snooping.unwrap_or(true),
                };
            }
            LinkInfo::Data(InfoData::Vxlan(options)) => {
                if let Some(state) = read_vxlan(&options) {
                    link.kind = LinkKind::Vxlan(state);
                }
            }
            LinkInfo::PortData(InfoPortData::BridgePort(flags)) => {
                link.port = Some(PortFlags::read(&flags));
            }
            _ => {}
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only what is fixed at creation"
)]
fn read_vxlan(options: &[InfoVxlan]) -> Option<VxlanState> {
    let mut vni = None;
    let mut local = None;
    let mut port = 0;
    let mut learns = false;
    for option in options {
        match option {
            InfoVxlan::Id(id) => vni = Vni::new(*id).ok(),
            InfoVxlan::Local(ip) => local = Some(IpAddr::V4(*ip)),
            InfoVxlan::Local6(ip) => local = Some(IpAddr::V6(*ip)),
            InfoVxlan::Port(number) => port = *number,
            InfoVxlan::Learning(on) => learns = *on,
            _ => {}
        }
    }
    Some(VxlanState {
        vni: vni?,
        local,
        port,
        learning: learns,
    })
}
