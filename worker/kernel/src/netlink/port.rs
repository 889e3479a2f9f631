//! Flags of a bridge port.

use rtnetlink::LinkBridgePort;
use rtnetlink::packet_route::link::InfoBridgePort;

use super::Device;
use super::NetlinkError;
use super::Operation;

/// What a bridge does with frames at one of its ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the kernel's own independent switches"
)]
pub struct PortFlags {
    /// Learn source addresses seen here.
    pub learning: bool,
    /// Send unicast for unknown destinations here.
    pub flood: bool,
    /// Send multicast here.
    pub mcast_flood: bool,
    /// Send broadcast here.
    pub bcast_flood: bool,
    /// Keep ARP and neighbour discovery away from this port and answer it from the neighbour table
    /// of the bridge. On a task's own port this would leave its questions unanswered.
    pub neigh_suppress: bool,
}

impl PortFlags {
    /// The port to other nodes: nothing is flooded or learnt, lookups are answered here.
    pub const REMOTE: Self = Self {
        learning: false,
        flood: false,
        mcast_flood: false,
        bcast_flood: false,
        neigh_suppress: true,
    };

    /// The port of a local endpoint with a static entry: hears broadcasts of its neighbours.
    pub const LOCAL: Self = Self {
        learning: false,
        flood: false,
        mcast_flood: true,
        bcast_flood: true,
        neigh_suppress: false,
    };

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only the flags that are ours to set"
    )]
    pub(super) fn read(reported: &[InfoBridgePort]) -> Self {
        let mut flags = Self::default();
        for flag in reported {
            match flag {
                InfoBridgePort::Learning(on) => flags.learning = *on,
                InfoBridgePort::UnicastFlood(on) => flags.flood = *on,
                InfoBridgePort::MulticastFlood(on) => flags.mcast_flood = *on,
                InfoBridgePort::BroadcastFlood(on) => flags.bcast_flood = *on,
                InfoBridgePort::NeighSupress(on) => flags.neigh_suppress = *on,
                _ => {}
            }
        }
        flags
    }
}

impl Device {
    /// Sets the flags of this bridge port, all at once.
    ///
    /// # Errors
    /// When the link is gone or no port of a bridge.
    pub async fn set_port_flags(&self, flags: PortFlags) -> Result<(), NetlinkError> {
        let message = LinkBridgePort::new(self.index().0)
            .learning(flags.learning)
            .flood(flags.flood)
            .mcast_flood(flags.mcast_flood)
            .bcast_flood(flags.bcast_flood)
            .neigh_suppress(flags.neigh_suppress)
            .build();
        let answer = self
            .netlink()
            .handle
            .link()
            .set_port(message)
            .execute()
            .await;
        self.netlink().judge(
            || Operation::SetPortFlags {
                link: self.name().clone(),
            },
            answer,
        )
    }
}
