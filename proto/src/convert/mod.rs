//! Between wire and domain types: the only door, and everything is checked at it.
//!
//! Every domain type that travels has `From<&Domain> for wire::X` and
//! `TryFrom<wire::X> for Domain` with [`ConvertError`]. What passed the door can be acted on.

mod assignment;
mod audit;
mod batch;
mod certificate;
mod cluster;
mod command;
mod enums;
mod error;
mod field;
mod health;
mod join_token;
mod key_ring;
mod limits;
mod material;
mod mode;
mod network;
mod node;
mod object;
mod record;
mod service;
mod signal;
mod snapshot;
mod snapshot_stream;
mod task;
mod task_spec;
mod update;
mod user;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod arbitrary_log;
#[cfg(test)]
mod arbitrary_service;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod refusals_state;
#[cfg(test)]
mod round_trips;

pub use batch::decode_entry;
pub use batch::decode_results;
pub use batch::encode_entry;
pub use batch::encode_results;
pub use command::decode_result;
pub use command::encode_result;
pub use error::ConvertError;
pub use field::labels;
pub use limits::INGRESS_PREFIXES;
pub use limits::KEY_ROTATIONS;
pub use limits::MAX_MATERIAL_BYTES;
pub use limits::MAX_REPLICAS;
pub use limits::MAX_STOP_GRACE;
pub use limits::SUBNET_PREFIXES_V4;
pub use limits::SUBNET_PREFIXES_V6;
pub use service::resolve_networks;
pub use signal::signal_name;
pub use signal::signal_number;
pub use snapshot_stream::SnapshotError;

/// Implements `TryFrom` by a reader whose errors are relative to the message, and gives them their
/// root: `ports[0].published` becomes `service.ports[0].published`.
macro_rules! door {
    ($wire:ident => $domain:ty, $read:path, $root:literal) => {
        impl TryFrom<crate::wire::$wire> for $domain {
            type Error = crate::convert::ConvertError;

            fn try_from(wire: crate::wire::$wire) -> Result<Self, Self::Error> {
                $read(wire).map_err(|error| error.within($root))
            }
        }
    };
}
use door;
