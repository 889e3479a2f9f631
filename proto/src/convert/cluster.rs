//! The cluster itself.

use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::convert::limits::INGRESS_PREFIXES;
use crate::convert::limits::KEY_ROTATIONS;
use crate::convert::limits::SUBNET_PREFIXES_V6;
use crate::defaults;
use crate::object::Cluster;
use crate::object::ClusterSettings;
use crate::wire;
use ipnet::IpNet;
use ipnet::Ipv4Net;
use std::time::Duration;

impl From<&Cluster> for wire::Cluster {
    fn from(cluster: &Cluster) -> Self {
        wire::Cluster {
            meta: Some(cluster.meta.into()),
            id: cluster.id.to_string(),
            root_certificate_der: cluster.root_certificate.clone(),
            root_key_pem: cluster.root_key.clone(),
            worker_token: cluster.worker_token.clone(),
            manager_token: cluster.manager_token.clone(),
            next_raft_id: cluster.next_raft_id,
            settings: Some((&cluster.settings).into()),
            keys_wanted: cluster.keys_wanted,
        }
    }
}

pub(super) fn read(wire: wire::Cluster) -> Result<Cluster, ConvertError> {
    let settings = field::required("settings", wire.settings)?;
    Ok(Cluster {
        meta: wire.meta.unwrap_or_default().into(),
        id: field::parse("id", &wire.id)?,
        root_certificate: wire.root_certificate_der,
        root_key: wire.root_key_pem,
        worker_token: wire.worker_token,
        manager_token: wire.manager_token,
        next_raft_id: wire.next_raft_id,
        settings: read_settings(settings).map_err(|e| e.within("settings"))?,
        keys_wanted: wire.keys_wanted,
    })
}

door!(Cluster => Cluster, read, "cluster");

impl From<&ClusterSettings> for wire::ClusterSettings {
    fn from(settings: &ClusterSettings) -> Self {
        wire::ClusterSettings {
            address_pools: settings
                .address_pools
                .iter()
                .map(IpNet::to_string)
                .collect(),
            subnet_prefix: settings.subnet_prefix.into(),
            ingress_pool: settings.ingress_pool.to_string(),
            certificate_ttl_ms: field::millis(settings.certificate_ttl),
            key_rotation_ms: field::millis(settings.key_rotation),
        }
    }
}

fn read_settings(wire: wire::ClusterSettings) -> Result<ClusterSettings, ConvertError> {
    let allowed = SUBNET_PREFIXES_V6;
    let subnet_prefix = u8::try_from(wire.subnet_prefix)
        .ok()
        .filter(|prefix| allowed.contains(prefix))
        .ok_or_else(|| {
            ConvertError::at(
                "subnet_prefix",
                format!(
                    "{} is no prefix length for subnets: use {} to {}",
                    wire.subnet_prefix,
                    allowed.start(),
                    allowed.end()
                ),
            )
        })?;
    if wire.certificate_ttl_ms == 0 {
        return Err(ConvertError::at(
            "certificate_ttl_ms",
            "is 0: a certificate must be valid for some time",
        ));
    }
    Ok(ClusterSettings {
        address_pools: field::list("address_pools", wire.address_pools, |pool| {
            field::cidr("", &pool)
        })?,
        subnet_prefix,
        ingress_pool: read_ingress_pool(&wire.ingress_pool)?,
        certificate_ttl: Duration::from_millis(wire.certificate_ttl_ms),
        key_rotation: read_key_rotation(wire.key_rotation_ms)?,
    })
}

fn read_key_rotation(millis: u64) -> Result<Duration, ConvertError> {
    match Duration::from_millis(millis) {
        Duration::ZERO => Ok(defaults::KEY_ROTATION),
        every if KEY_ROTATIONS.contains(&every) => Ok(every),
        every => Err(ConvertError::at(
            "key_rotation_ms",
            format!(
                "{every:?} is no time after which keys can be made anew: use {:?} to 30 days",
                KEY_ROTATIONS.start()
            ),
        )),
    }
}

pub(super) fn read_ingress_pool(text: &str) -> Result<Ipv4Net, ConvertError> {
    match field::cidr("ingress_pool", text)? {
        IpNet::V4(net) if INGRESS_PREFIXES.contains(&net.prefix_len()) => Ok(net),
        net @ (IpNet::V4(_) | IpNet::V6(_)) => Err(ConvertError::at(
            "ingress_pool",
            format!(
                "{net} cannot be the ingress pool: use an IPv4 prefix length of {} to {}",
                INGRESS_PREFIXES.start(),
                INGRESS_PREFIXES.end()
            ),
        )),
    }
}

door!(ClusterSettings => ClusterSettings, read_settings, "settings");
