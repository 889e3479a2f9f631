//! An overlay network.

use crate::addr::Vni;
use crate::id::NetworkId;
use crate::object::Meta;
use crate::spec::NetworkSpec;
use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;

/// An overlay network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Kept by the store.
    pub meta: Meta,
    /// Which network.
    pub id: NetworkId,
    /// What was asked for.
    pub spec: NetworkSpec,
    /// Its identifier on the wire.
    pub vni: Vni,
    /// The addresses of its tasks and virtual addresses.
    pub subnet: IpNet,
}
