//! Brings `lo` up with one synchronous netlink request, so that making a namespace needs no runtime.

use std::io;

use netlink_packet_core::NLM_F_ACK;
use netlink_packet_core::NLM_F_REQUEST;
use netlink_packet_core::NetlinkMessage;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkFlags;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::Socket;
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;

/// The index of `lo` in every namespace (`LOOPBACK_IFINDEX` in the kernel's `net/flow.h`).
const LOOPBACK_INDEX: u32 = 1;

/// Sets `lo` up in the namespace of the calling thread.
pub(super) fn bring_up() -> io::Result<()> {
    let mut link = LinkMessage::default();
    link.header.index = LOOPBACK_INDEX;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::SetLink(link));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);

    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
        .map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))?;
    if let NetlinkPayload::Error(error) = answer.payload
        && error.code.is_some()
    {
        return Err(error.to_io());
    }
    Ok(())
}
