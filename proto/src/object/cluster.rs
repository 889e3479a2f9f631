//! The cluster itself.

use crate::id::ClusterId;
use crate::object::Meta;
use ipnet::IpNet;
use ipnet::Ipv4Net;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What concerns the cluster as a whole. Holds its secrets: it never leaves the managers, and has
/// no `Serialize`, so that it cannot be shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Kept by the store.
    pub meta: Meta,
    /// Which cluster.
    pub id: ClusterId,
    /// The root of all certificates, DER.
    pub root_certificate: Vec<u8>,
    /// The key of the root, PEM.
    pub root_key: String,
    /// Whoever holds it may join as a worker.
    pub worker_token: String,
    /// Whoever holds it may join as a manager.
    pub manager_token: String,
    /// The next raft id to give away; never given twice.
    pub next_raft_id: u64,
    /// What people can set.
    pub settings: ClusterSettings,
    /// Somebody asked for a key of the data plane of this number or a greater one; 0: nobody did.
    pub keys_wanted: u64,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("meta", &self.meta)
            .field("id", &self.id)
            .field("next_raft_id", &self.next_raft_id)
            .field("settings", &self.settings)
            .field("keys_wanted", &self.keys_wanted)
            .finish_non_exhaustive()
    }
}

/// Settings of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSettings {
    /// Where subnets of networks are cut from, in order.
    pub address_pools: Vec<IpNet>,
    /// Prefix length of a cut subnet.
    pub subnet_prefix: u8,
    /// Each node owns one /24 of it for its tasks' outside interfaces.
    pub ingress_pool: Ipv4Net,
    /// How long a node's certificate is valid.
    pub certificate_ttl: Duration,
    /// How old the active key of the data plane gets before a new one is made.
    pub key_rotation: Duration,
}
