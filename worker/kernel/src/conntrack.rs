//! Connections the kernel remembers, and making it forget some: a flow of datagrams stays with the
//! backend that was drawn for its first one, until the flow is forgotten.

use crate::netns::Netns;
use crate::netns::NetnsError;
use crate::nft::wire;
use crate::nft::wire::Attributes;
use crate::nft::wire::Header;
use crate::nft::wire::Message;
use crate::nft::wire::Wire;
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::errno::Errno;
use std::io;
use std::net::IpAddr;

/// The conntrack subsystem (`NFNL_SUBSYS_CTNETLINK`), in the upper byte of a message's kind.
const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;

/// Attributes of a flow (`enum ctattr_type`).
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const IDENTIFIER: u16 = 12;
const ZONE: u16 = 18;

/// UDP's protocol number.
pub const UDP: u8 = 17;

/// A flow, as far as it matters to who chose its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The protocol's number.
    pub protocol: u8,
    /// Where its beginner sends to.
    pub destination: IpAddr,
    /// The port it sends to; 0 where the protocol has none.
    pub destination_port: u16,
    /// Who answers: another one where the destination was rewritten.
    pub answers_from: IpAddr,
    /// The port that answers; 0 where the protocol has none.
    pub answers_from_port: u16,
}

/// Why flows could not be read or forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ConntrackError {
    /// The namespace cannot be entered.
    #[error("cannot enter the namespace whose flows are to be forgotten")]
    Namespace(#[source] NetnsError),
    /// No netfilter socket.
    #[error("cannot open a netfilter socket")]
    Open(#[source] io::Error),
    /// The kernel did not take a question or an order.
    #[error("cannot talk to connection tracking")]
    Talk(#[source] io::Error),
    /// The kernel refused.
    #[error("connection tracking refused to list or forget flows")]
    Refused(#[source] Errno),
}

/// Forgets the flows of `netns` that `which` picks; says how many. Their next packet is judged like
/// a first one.
///
/// # Errors
/// When the kernel cannot be asked, or refuses.
pub fn forget(
    netns: &Netns,
    which: impl Fn(&Flow) -> bool + Send,
) -> Result<usize, ConntrackError> {
    let open = || {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        Ok(socket)
    };
    let socket = netns.run_in(open).map_err(ConntrackError::Namespace)?;
    let socket = socket.map_err(ConntrackError::Open)?;
    let mut picked = Vec::new();
    ask(&socket, GET, wire::DUMP, 1, &(0, Vec::new()), |message| {
        let Some((family, attributes)) = message.object() else {
            return;
        };
        if read(attributes).is_some_and(|flow| which(&flow)) {
            let names = [ORIGINAL, IDENTIFIER, ZONE];
            let names = names
                .into_iter()
                .filter_map(|kind| Some((kind, attributes.get(kind)?.to_vec())));
            picked.push((family, names.collect()));
        }
    })?;
    let mut forgotten = 0;
    for (seq, flow) in (2..).zip(picked) {
        match ask(&socket, DELETE, wire::ACK, seq, &flow, |_| {}) {
            Ok(()) => forgotten += 1,
            // It ended by itself.
            Err(ConntrackError::Refused(Errno::ENOENT)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(forgotten)
}

/// Sends one request and hands its answers to `each`, up to the one that ends it.
fn ask(
    socket: &Socket,
    kind: u16,
    flags: u16,
    seq: u32,
    (family, attributes): &(u8, Vec<(u16, Vec<u8>)>),
    mut each: impl FnMut(Message<'_>),
) -> Result<(), ConntrackError> {
    let mut request = Wire::default();
    let header = Header {
        kind,
        flags: wire::REQUEST | flags,
        seq,
        family: *family,
        resource: 0,
    };
    request.message(header, |wire| {
        for (kind, value) in attributes {
            if *kind == ORIGINAL {
                // Its attributes are already written.
                wire.nest(*kind, |wire| wire.raw(value));
            } else {
                wire.bytes(*kind, value);
            }
        }
    });
    let request = request
        .finish()
        .map_err(|why| ConntrackError::Talk(io::Error::other(why)))?;
    socket.send(&request, 0).map_err(ConntrackError::Talk)?;
    loop {
        let (answer, _) = socket.recv_from_full().map_err(ConntrackError::Talk)?;
        for message in wire::messages(&answer).filter(|message| message.seq == seq) {
            if message.kind == wire::KIND_DONE || message.kind == wire::KIND_ERROR {
                return match message.code().unwrap_or(0) {
                    0 => Ok(()),
                    code => Err(ConntrackError::Refused(Errno::from_raw(
                        code.saturating_neg(),
                    ))),
                };
            }
            each(message);
        }
    }
}

fn read(attributes: Attributes<'_>) -> Option<Flow> {
    let original = attributes.nested(ORIGINAL)?;
    let reply = attributes.nested(REPLY)?;
    let protocol = original.nested(2)?.get(1)?;
    Some(Flow {
        protocol: *protocol.first()?,
        destination: address(original, (2, 4))?,
        destination_port: port(original, 3),
        answers_from: address(reply, (1, 3))?,
        answers_from_port: port(reply, 2),
    })
}

/// A port of a tuple.
fn port(tuple: Attributes<'_>, kind: u16) -> u16 {
    let bytes = tuple.nested(2).and_then(|protocol| protocol.get(kind));
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u16::from_be_bytes)
}

/// An address of a tuple: the attribute of its IPv4 form, or of its IPv6 form.
fn address(tuple: Attributes<'_>, (v4, v6): (u16, u16)) -> Option<IpAddr> {
    let addresses = tuple.nested(1)?;
    if let Some(bytes) = addresses.get(v4) {
        return Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?));
    }
    Some(IpAddr::from(<[u8; 16]>::try_from(addresses.get(v6)?).ok()?))
}
