//! What a network should be.

use crate::name::Name;
use crate::spec::Labels;
use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;

/// An overlay network as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// Unique among networks.
    pub name: Name,
    /// Free labels.
    pub labels: Labels,
    /// The addresses of its tasks; `None`: cut from the cluster's pools.
    pub subnet: Option<IpNet>,
    /// No way out of the cluster for tasks that are on internal networks only.
    pub internal: bool,
    /// Containers started by hand may attach.
    pub attachable: bool,
    /// What its tasks say to each other is encrypted between nodes.
    #[serde(default)]
    pub encrypted: bool,
}
