//! A service.

use crate::id::NetworkId;
use crate::id::ServiceId;
use crate::object::Meta;
use crate::spec::Port;
use crate::spec::ServiceSpec;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Kept by the store.
    pub meta: Meta,
    /// Which service.
    pub id: ServiceId,
    /// What was asked for.
    pub spec: ServiceSpec,
    /// Its virtual address on each of its networks; none with DNS round robin.
    pub vips: BTreeMap<NetworkId, IpAddr>,
    /// Its ports, each with a published one.
    pub ports: Vec<Port>,
}
