//! Changes of an existing link.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use rtnetlink::LinkMessageBuilder;
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::link::AfSpecInet6;
use rtnetlink::packet_route::link::AfSpecUnspec;
use rtnetlink::packet_route::link::In6AddrGenMode;
use rtnetlink::packet_route::link::LinkAttribute;

use super::Alias;
use super::Cause;
use super::IfName;
use super::Link;
use super::LinkIndex;
use super::Mac;
use super::Netlink;
use super::NetlinkError;
use super::Operation;
use super::settled;

/// A link found by name, ready to be changed. Its number was looked up once: if the link is deleted
/// and made anew, get a new handle.
#[derive(Clone, Debug)]
pub struct Device {
    netlink: Netlink,
    name: IfName,
    index: LinkIndex,
}

impl Device {
    pub(super) fn new(netlink: &Netlink, name: IfName, index: LinkIndex) -> Self {
        Self {
            netlink: netlink.clone(),
            name,
            index,
        }
    }

    /// The link's name.
    #[must_use]
    pub fn name(&self) -> &IfName {
        &self.name
    }

    /// The link's number in its namespace.
    #[must_use]
    pub fn index(&self) -> LinkIndex {
        self.index
    }

    /// The connection to the namespace the link is in.
    #[must_use]
    pub fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    /// The link as it is now.
    ///
    /// # Errors
    /// With [`Cause::NoSuchLink`] when it is gone.
    pub async fn observe(&self) -> Result<Link, NetlinkError> {
        let link = self.netlink.link_by_index(self.index).await?;
        link.ok_or_else(|| {
            let operation = Operation::ReadLink {
                link: self.name.clone(),
            };
            self.netlink.failed(operation, Cause::NoSuchLink)
        })
    }

    /// Sets the link up.
    ///
    /// # Errors
    /// When the link is gone, or cannot start (as a VXLAN device whose port is taken).
    pub async fn set_up(&self) -> Result<(), NetlinkError> {
        self.change(
            || Operation::SetUp {
                link: self.name.clone(),
            },
            LinkMessageBuilder::up,
        )
        .await
    }

    /// Sets the link down.
    ///
    /// # Errors
    /// When the link is gone.
    pub async fn set_down(&self) -> Result<(), NetlinkError> {
        self.change(
            || Operation::SetDown {
                link: self.name.clone(),
            },
            LinkMessageBuilder::down,
        )
        .await
    }

    /// Sets the largest packet in bytes.
    ///
    /// # Errors
    /// When the link is gone or cannot carry that.
    pub async fn set_mtu(&self, mtu: u32) -> Result<(), NetlinkError> {
        self.change(
            || Operation::SetMtu {
                link: self.name.clone(),
                mtu,
            },
            |link| link.mtu(mtu),
        )
        .await
    }

    /// Sets the Ethernet address.
    ///
    /// # Errors
    /// When the link is gone or refuses the address.
    pub async fn set_mac(&self, mac: Mac) -> Result<(), NetlinkError> {
        self.change(
            || Operation::SetMac {
                link: self.name.clone(),
                mac,
            },
            |link| link.address(mac.0.to_vec()),
        )
        .await
    }

    /// Marks the link as ours and stops the kernel from giving it IPv6 addresses of its own making.
    /// The alias stays when the link moves to another namespace; the address mode does not.
    ///
    /// # Errors
    /// When the link is gone.
    pub async fn mark_owned(&self, alias: &Alias) -> Result<(), NetlinkError> {
        self.change(
            || Operation::MarkOwned {
                link: self.name.clone(),
            },
            |link| {
                link.alias(alias.as_str())
                    .append_extra_attribute(no_generated_addresses())
            },
        )
        .await
    }

    /// Makes the link a port of `bridge`.
    ///
    /// # Errors
    /// When either is gone, or `bridge` takes no ports.
    pub async fn set_master(&self, bridge: &Device) -> Result<(), NetlinkError> {
        self.change(
            || Operation::SetMaster {
                link: self.name.clone(),
                master: bridge.name.clone(),
            },
            |link| link.controller(bridge.index.0),
        )
        .await
    }

    /// Detaches the link from its bridge.
    ///
    /// # Errors
    /// When the link is gone.
    pub async fn clear_master(&self) -> Result<(), NetlinkError> {
        self.change(
            || Operation::ClearMaster {
                link: self.name.clone(),
            },
            LinkMessageBuilder::nocontroller,
        )
        .await
    }

    /// Renames the link and returns the handle under the new name. On kernels before 6.2 it must be
    /// down.
    ///
    /// # Errors
    /// When the link is gone, up on an old kernel, or the name is taken.
    pub async fn rename(&self, to: IfName) -> Result<Device, NetlinkError> {
        self.change(
            || Operation::Rename {
                link: self.name.clone(),
                to: to.clone(),
            },
            |link| link.name(to.as_str()),
        )
        .await?;
        Ok(Self::new(&self.netlink, to, self.index))
    }

    /// Moves the link into the namespace of `to` and returns its handle there. The kernel sets it
    /// down and forgets its addresses, routes, neighbours and bridge on the way.
    ///
    /// # Errors
    /// When the link is gone, cannot move, or its name is taken there.
    pub async fn move_to(&self, to: &Netlink) -> Result<Device, NetlinkError> {
        self.change(
            || Operation::Move {
                link: self.name.clone(),
                to: to.netns().place().clone(),
            },
            |link| link.setns_by_fd(to.netns().as_fd().as_raw_fd()),
        )
        .await?;
        to.device(&self.name).await
    }

    /// Deletes the link. Absent is done.
    ///
    /// # Errors
    /// When the link cannot be deleted (as `lo` and hardware).
    pub async fn delete(&self) -> Result<(), NetlinkError> {
        let answer = self.netlink.handle.link().del(self.index.0).execute().await;
        let answer = settled(answer, &[Errno::ENODEV]);
        self.netlink.judge(
            || Operation::DeleteLink {
                link: self.name.clone(),
            },
            answer,
        )
    }

    async fn change(
        &self,
        operation: impl FnOnce() -> Operation,
        edit: impl FnOnce(LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec>,
    ) -> Result<(), NetlinkError> {
        let message = edit(LinkUnspec::new_with_index(self.index.0)).build();
        let answer = self.netlink.handle.link().change(message).execute().await;
        self.netlink.judge(operation, answer)
    }
}

impl Netlink {
    /// Deletes the link called `name`. Absent is done.
    ///
    /// # Errors
    /// When the link cannot be deleted.
    pub async fn delete_link(&self, name: &IfName) -> Result<(), NetlinkError> {
        match self.find_device(name).await? {
            Some(device) => device.delete().await,
            None => Ok(()),
        }
    }
}

fn no_generated_addresses() -> LinkAttribute {
    LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
        In6AddrGenMode::None,
    )])])
}
