//! What tasks see of others: worked out once for all tasks on the same networks. Pure.

use super::task::dns;
use super::wanted::Sight;
use crate::desired::Desired;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use weft_proto::NetworkId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::assignment::EndpointRecord;
use weft_proto::assignment::NetworkRecord;

/// The addresses of each service's tasks that take new connections, sorted.
pub(super) type Ready = BTreeMap<(NetworkId, ServiceId), BTreeSet<IpAddr>>;

/// Works out what is seen from where.
#[derive(Debug)]
pub(super) struct Sights<'a> {
    desired: &'a Desired,
    networks: &'a BTreeMap<NetworkId, NetworkRecord>,
    ready: Ready,
    known: BTreeMap<BTreeSet<NetworkId>, Sight>,
}

impl<'a> Sights<'a> {
    pub(super) fn new(
        desired: &'a Desired,
        networks: &'a BTreeMap<NetworkId, NetworkRecord>,
    ) -> Self {
        let mut ready = Ready::new();
        for endpoint in desired.endpoints.values().filter(|endpoint| endpoint.ready) {
            let key = (endpoint.network, endpoint.service);
            ready.entry(key).or_default().insert(endpoint.addr);
        }
        Self {
            desired,
            networks,
            ready,
            known: BTreeMap::new(),
        }
    }

    /// What a task on these networks sees.
    pub(super) fn of(&mut self, ids: BTreeSet<NetworkId>) -> Sight {
        if let Some(sight) = self.known.get(&ids) {
            return sight.clone();
        }
        let services = self.desired.services.values();
        let services = services.filter(|service| ids.contains(&service.network));
        let vips = services.filter_map(|service| {
            let ready = self.ready.get(&(service.network, service.service));
            let ready = ready.into_iter().flatten().copied().collect();
            service.vip.map(|vip| (vip, ready))
        });
        let names = dns::table(self.desired, &ids, self.networks, &self.ready);
        let sight = Sight {
            vips: Arc::new(vips.collect()),
            names: Arc::new(names),
        };
        self.known.insert(ids, sight.clone());
        sight
    }
}

/// The endpoints of one network.
pub(super) fn on(desired: &Desired, network: NetworkId) -> impl Iterator<Item = &EndpointRecord> {
    let first = (network, TaskId::from_entropy(0));
    let all = desired.endpoints.range(first..);
    all.take_while(move |((of, _), _)| *of == network)
        .map(|(_, endpoint)| endpoint)
}
