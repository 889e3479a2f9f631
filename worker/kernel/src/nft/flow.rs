//! Tracked flows, as far as somebody has to forget them: without an end of their own, UDP flows
//! stay with the destination they were once given, for as long as packets come.

use super::error::NftError;
use super::handle::Nft;
use super::wire;
use super::wire::Attributes;
use super::wire::Header;
use super::wire::Wire;
use nix::errno::Errno;
use nix::sys::socket::MsgFlags;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;

/// Connection tracking's number among the netfilter subsystems, in the place it has in a kind.
const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const IPV4: u8 = 2;
const UDP: u8 = 17;
const NESTED: u16 = 0x8000;

const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;

/// A tracked IPv4 UDP flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpFlow {
    /// Who began it.
    pub client: SocketAddrV4,
    /// Whom the client asked.
    pub asked: SocketAddrV4,
    /// Who answers: another one than was asked where the destination was rewritten.
    pub answers: SocketAddrV4,
    /// What the kernel tells flows apart by, as it said it.
    names: Vec<(u16, Vec<u8>)>,
}

impl Nft {
    /// All tracked IPv4 UDP flows of the namespace.
    ///
    /// # Errors
    /// When the kernel does not list them.
    pub fn udp_flows(&mut self) -> Result<Vec<UdpFlow>, NftError> {
        let read = |found: &mut Vec<UdpFlow>, message: wire::Message<'_>| {
            found.extend(message.object().and_then(|(_, flow)| read(flow)));
        };
        self.list_kind("tracked flows", (GET, IPV4), |_| {}, read)
    }

    /// Forgets these flows: the next packet of each is judged like a first one. One that has ended
    /// meanwhile is done.
    ///
    /// # Errors
    /// With the first refusal; the rest is not tried.
    pub fn forget(&mut self, flows: &[UdpFlow]) -> Result<(), NftError> {
        for flow in flows {
            let seq = self.next_seq();
            let header = Header {
                kind: DELETE,
                flags: wire::REQUEST | wire::ACK,
                seq,
                family: IPV4,
                resource: 0,
            };
            let mut request = Wire::default();
            request.message(header, |wire| {
                for (kind, value) in &flow.names {
                    wire.bytes(*kind, value);
                }
            });
            let request = request.finish().map_err(|_| NftError::Forget {
                source: Errno::EMSGSIZE,
            })?;
            self.send(&request)?;
            let mut code = 0;
            // The kernel works while we send: the answer is there by now.
            self.receive(MsgFlags::MSG_DONTWAIT, |message| {
                if message.seq == seq && message.kind == wire::KIND_ERROR {
                    code = message.code().unwrap_or(0);
                }
                true
            })?;
            let source = Errno::from_raw(code.saturating_neg());
            if code != 0 && source != Errno::ENOENT {
                return Err(NftError::Forget { source });
            }
        }
        Ok(())
    }
}

fn read(flow: Attributes<'_>) -> Option<UdpFlow> {
    let (client, asked) = ends(flow.nested(ORIGINAL)?)?;
    let (answers, _) = ends(flow.nested(REPLY)?)?;
    let mut names = vec![(ORIGINAL | NESTED, flow.get(ORIGINAL)?.to_vec())];
    for kind in [ID, ZONE] {
        names.extend(flow.get(kind).map(|value| (kind, value.to_vec())));
    }
    Some(UdpFlow {
        client,
        asked,
        answers,
        names,
    })
}

/// Source and destination of one direction; `None` when it is not UDP.
fn ends(direction: Attributes<'_>) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let (ip, protocol) = (direction.nested(1)?, direction.nested(2)?);
    if protocol.get(1)? != [UDP] {
        return None;
    }
    let end = |address: u16, port: u16| {
        let address = <[u8; 4]>::try_from(ip.get(address)?).ok()?;
        let port = <[u8; 2]>::try_from(protocol.get(port)?).ok()?;
        let address = Ipv4Addr::from(address);
        Some(SocketAddrV4::new(address, u16::from_be_bytes(port)))
    };
    Some((end(1, 2)?, end(2, 3)?))
}
