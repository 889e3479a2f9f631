//! Addresses of links.

use std::net::IpAddr;

use ipnet::IpNet;
use nix::errno::Errno;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::address::AddressFlags;
use rtnetlink::packet_route::address::AddressMessage;

use super::Device;
use super::Link;
use super::LinkIndex;
use super::Netlink;
use super::NetlinkError;
use super::Operation;
use super::collect;
use super::settled;

/// How an address is to be treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressOptions {
    /// Use it at once, without asking the link whether another has it. Ignored for IPv4.
    pub nodad: bool,
    /// Do not add the route to its subnet.
    pub no_prefix_route: bool,
}

/// An address as observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The link that has it.
    pub link: LinkIndex,
    /// The address and the length of its subnet.
    pub net: IpNet,
    /// Whether it is still being checked and not usable yet.
    pub tentative: bool,
    /// How it was added.
    pub options: AddressOptions,
}

impl Netlink {
    /// All addresses of the namespace, IPv4 and IPv6.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn addresses(&self) -> Result<Vec<Address>, NetlinkError> {
        let answer = collect(self.handle.address().get().execute()).await;
        let messages = self.judge(|| Operation::ListAddresses, answer)?;
        Ok(messages.iter().filter_map(read).collect())
    }

    /// The link that owns `ip`, with its MTU and state; `None` when no link of this namespace does.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn owner_of(&self, ip: IpAddr) -> Result<Option<Link>, NetlinkError> {
        let addresses = self.addresses().await?;
        match addresses.iter().find(|address| address.net.addr() == ip) {
            Some(address) => self.link_by_index(address.link).await,
            None => Ok(None),
        }
    }
}

impl Device {
    /// Adds an address, or sets the options of the one that is there.
    ///
    /// # Errors
    /// When the link is gone or the address is not one a link can have.
    pub async fn add_address(
        &self,
        address: IpNet,
        options: AddressOptions,
    ) -> Result<(), NetlinkError> {
        let mut request = self.netlink().handle.address().add(
            self.index().0,
            address.addr(),
            address.prefix_len(),
        );
        let mut flags = AddressFlags::empty();
        flags.set(
            AddressFlags::Nodad,
            options.nodad && address.addr().is_ipv6(),
        );
        flags.set(AddressFlags::Noprefixroute, options.no_prefix_route);
        if !flags.is_empty() {
            request
                .message_mut()
                .attributes
                .push(AddressAttribute::Flags(flags));
        }
        let answer = request.replace().execute().await;
        let operation = || Operation::AddAddress {
            link: self.name().clone(),
            address,
        };
        self.netlink().judge(operation, answer)
    }

    /// Deletes an address. Absent is done.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn delete_address(&self, address: IpNet) -> Result<(), NetlinkError> {
        let handle = self.netlink().handle.address();
        let mut request = handle.add(self.index().0, address.addr(), address.prefix_len());
        let message = std::mem::take(request.message_mut());
        let answer = handle.del(message).execute().await;
        let answer = settled(answer, &[Errno::EADDRNOTAVAIL, Errno::ENODEV]);
        let operation = || Operation::DeleteAddress {
            link: self.name().clone(),
            address,
        };
        self.netlink().judge(operation, answer)
    }

    /// The addresses of this link.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn addresses(&self) -> Result<Vec<Address>, NetlinkError> {
        let all = self.netlink().addresses().await?;
        Ok(all
            .into_iter()
            .filter(|address| address.link == self.index())
            .collect())
    }
}

fn read(message: &AddressMessage) -> Option<Address> {
    let mut ip = None;
    let mut flags = AddressFlags::empty();
    for attribute in &message.attributes {
        // On point-to-point links `Address` is the other end and `Local` our own.
        if let AddressAttribute::Local(local) = attribute {
            ip = Some(*local);
        } else if let AddressAttribute::Address(address) = attribute {
            ip = ip.or(Some(*address));
        } else if let AddressAttribute::Flags(all) = attribute {
            flags = *all;
        }
    }
    Some(Address {
        link: LinkIndex(message.header.index),
        net: IpNet::new(ip?, message.header.prefix_len).ok()?,
        tentative: flags.contains(AddressFlags::Tentative),
        options: AddressOptions {
            nodad: flags.contains(AddressFlags::Nodad),
            no_prefix_route: flags.contains(AddressFlags::Noprefixroute),
        },
    })
}
