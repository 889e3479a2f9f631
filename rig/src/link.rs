//! The few link operations a wire needs, in whatever namespace the calling thread is in.
//!
//! Not those of `weft-kernel`: its links carry the product's mark, by which a daemon recognises
//! what is its own to remove. A host's cable must look like any machine's network card.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

use futures::TryStreamExt;
use rtnetlink::Handle;
use rtnetlink::LinkBridge;
use rtnetlink::LinkMessageBuilder;
use rtnetlink::LinkUnspec;
use rtnetlink::LinkVeth;
use rtnetlink::packet_route::link::InfoData;
use rtnetlink::packet_route::link::InfoVeth;

use crate::error::RigError;

/// Opens a netlink socket in this thread's namespace and runs `work` with it. Must not be called
/// inside an async runtime; [`crate::Netns::run`] gives a thread that is not.
pub(crate) fn with_links<T>(
    work: impl AsyncFnOnce(Links) -> Result<T, RigError>,
) -> Result<T, RigError> {
    let fail = |source| RigError::File {
        op: "open",
        path: "netlink socket".into(),
        source,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(fail)?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(fail)?;
        let connection = tokio::task::spawn(connection);
        let result = work(Links { handle }).await;
        connection.abort();
        result
    })
}

/// The links of one namespace.
pub(crate) struct Links {
    handle: Handle,
}

impl Links {
    /// Index of a link.
    pub(crate) async fn index(&self, link: &str) -> Result<u32, RigError> {
        let mut found = Box::pin(self.handle.link().get().match_name(link).execute());
        let message = found
            .try_next()
            .await
            .map_err(|source| fail("find", link, source))?;
        message
            .map(|m| m.header.index)
            .ok_or_else(|| RigError::NoLink {
                link: link.to_owned(),
            })
    }

    /// Adds a bridge that forwards at once.
    pub(crate) async fn add_bridge(&self, link: &str) -> Result<(), RigError> {
        let add = self.handle.link().add(LinkBridge::new(link).build());
        add.execute()
            .await
            .map_err(|source| fail("add bridge", link, source))
    }

    /// Adds a veth pair: `link` here, `peer` born in the other namespace, so that no half of it
    /// is ever seen elsewhere.
    pub(crate) async fn add_veth(
        &self,
        link: &str,
        peer: &str,
        peer_ns: BorrowedFd<'_>,
    ) -> Result<(), RigError> {
        let other = LinkMessageBuilder::<LinkUnspec>::new()
            .name(peer.to_owned())
            .setns_by_fd(peer_ns.as_raw_fd())
            .build();
        let pair = LinkVeth::new(link, peer).set_info_data(InfoData::Veth(InfoVeth::Peer(other)));
        let add = self.handle.link().add(pair.build());
        add.execute()
            .await
            .map_err(|source| fail("add veth", link, source))
    }

    /// Makes `link` a port of `bridge`.
    pub(crate) async fn plug(&self, link: &str, bridge: &str) -> Result<(), RigError> {
        let bridge = self.index(bridge).await?;
        let message = LinkUnspec::new_with_name(link)
            .controller(bridge)
            .up()
            .build();
        let set = self.handle.link().change(message);
        set.execute()
            .await
            .map_err(|source| fail("plug in", link, source))
    }

    /// Sets a link up or down.
    pub(crate) async fn set_up(&self, link: &str, up: bool) -> Result<(), RigError> {
        let message = LinkUnspec::new_with_name(link);
        let message = if up { message.up() } else { message.down() };
        let op = if up { "set up" } else { "set down" };
        let set = self.handle.link().change(message.build());
        set.execute().await.map_err(|source| fail(op, link, source))
    }

    /// Gives a link an address.
    pub(crate) async fn address(
        &self,
        link: &str,
        addr: Ipv4Addr,
        bits: u8,
    ) -> Result<(), RigError> {
        let index = self.index(link).await?;
        let add = self.handle.address().add(index, IpAddr::V4(addr), bits);
        add.execute()
            .await
            .map_err(|source| fail("give an address to", link, source))
    }

    /// Removes a link; one that is not there is no error.
    pub(crate) async fn remove(&self, link: &str) -> Result<(), RigError> {
        let Ok(index) = self.index(link).await else {
            return Ok(());
        };
        let gone = self.handle.link().del(index);
        gone.execute()
            .await
            .map_err(|source| fail("remove", link, source))
    }
}

fn fail(op: &'static str, link: &str, source: rtnetlink::Error) -> RigError {
    RigError::Link {
        op,
        link: link.to_owned(),
        source,
    }
}
