//! The names a task can see. Pure.

use crate::desired::Desired;
use crate::dns::DnsTable;
use crate::dns::DnsTableBuilder;
use crate::dns::InvalidName;
use crate::network::sight::Ready;
use crate::network::sight::on;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use weft_proto::NetworkId;
use weft_proto::assignment::NetworkRecord;
use weft_proto::assignment::ServiceRecord;

/// The names of the services and tasks on these networks.
pub(in crate::network) fn table(
    desired: &Desired,
    networks: &BTreeSet<NetworkId>,
    records: &BTreeMap<NetworkId, NetworkRecord>,
    ready: &Ready,
) -> DnsTable {
    let mut builder = DnsTable::builder();
    for id in networks {
        if let Some(network) = records.get(id) {
            builder.own_subnet(network.subnet);
        }
        let services = desired.services.values();
        for service in services.filter(|service| service.network == *id) {
            let ready = ready.get(&(service.network, service.service));
            let ready: Vec<_> = ready.into_iter().flatten().copied().collect();
            // A name that cannot be a DNS name is left out; the others stand.
            if let Err(error) = add_service(&mut builder, service, ready) {
                tracing::warn!(%error, service = %service.service, "left a name out");
            }
        }
        for (name, addresses) in task_names(desired, *id) {
            if let Err(error) = builder.task(name, &addresses) {
                tracing::warn!(%error, "left a name out");
            }
        }
    }
    builder.build()
}

fn add_service(
    builder: &mut DnsTableBuilder,
    service: &ServiceRecord,
    ready: Vec<IpAddr>,
) -> Result<(), InvalidName> {
    let name = service.name.as_str();
    builder.tasks_of(name, &ready)?;
    let addresses = match service.vip {
        Some(vip) => {
            builder.service(name, &[vip])?;
            vec![vip]
        }
        None => {
            builder.round_robin(name, &ready)?;
            ready
        }
    };
    for alias in &service.aliases {
        builder.name(alias.as_str(), &addresses)?;
    }
    Ok(())
}

/// Who is called what on a network. While one task follows another in a slot, the name belongs to
/// the one that takes connections, if one does.
fn task_names(desired: &Desired, network: NetworkId) -> BTreeMap<&str, Vec<IpAddr>> {
    let mut names: BTreeMap<&str, (bool, Vec<IpAddr>)> = BTreeMap::new();
    for endpoint in on(desired, network) {
        let (ready, addresses) = names.entry(&endpoint.name).or_default();
        if endpoint.ready && !*ready {
            *ready = true;
            addresses.clear();
        }
        if endpoint.ready == *ready {
            addresses.push(endpoint.addr);
        }
    }
    let names = names.into_iter();
    names
        .map(|(name, (_, addresses))| (name, addresses))
        .collect()
}
