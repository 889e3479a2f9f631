//! Networks.

use crate::render::table;
use crate::render::time;
use serde::Serialize;
use weft_proto::Name;
use weft_proto::NetworkId;
use weft_proto::object::Network;

/// A network in a list. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NetworkRow {
    pub(crate) id: NetworkId,
    pub(crate) name: Name,
    pub(crate) driver: &'static str,
    pub(crate) subnet: String,
    pub(crate) vni: u32,
    pub(crate) internal: bool,
    pub(crate) attachable: bool,
    pub(crate) encrypted: bool,
}

/// The rows of a list, by name.
pub(crate) fn rows(networks: &[Network]) -> Vec<NetworkRow> {
    let mut rows: Vec<NetworkRow> = networks.iter().map(row).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn row(network: &Network) -> NetworkRow {
    NetworkRow {
        id: network.id,
        name: network.spec.name.clone(),
        driver: "overlay",
        subnet: network.subnet.to_string(),
        vni: network.vni.get(),
        internal: network.spec.internal,
        attachable: network.spec.attachable,
        encrypted: network.spec.encrypted,
    }
}

/// A table for people.
pub(crate) fn table(rows: &[NetworkRow]) -> String {
    let header = [
        "ID",
        "NAME",
        "DRIVER",
        "SUBNET",
        "VNI",
        "INTERNAL",
        "ENCRYPTED",
    ];
    let line = |row: &NetworkRow| {
        [
            row.id.short().to_owned(),
            row.name.to_string(),
            row.driver.to_owned(),
            row.subnet.clone(),
            row.vni.to_string(),
            yes(row.internal),
            yes(row.encrypted),
        ]
    };
    table::table(header, rows.iter().map(line))
}

/// One network in full, for people.
pub(crate) fn inspect(network: &Network) -> String {
    let labels = &network.spec.labels;
    let labels = labels.iter().map(|(key, value)| format!("{key}={value}"));
    table::pairs(&[
        ("ID", network.id.to_string()),
        ("Name", network.spec.name.to_string()),
        ("Created", time::rfc3339(network.meta.created_at)),
        ("Driver", "overlay".to_owned()),
        ("Subnet", network.subnet.to_string()),
        ("VNI", network.vni.get().to_string()),
        ("Internal", yes(network.spec.internal)),
        ("Attachable", yes(network.spec.attachable)),
        ("Encrypted", yes(network.spec.encrypted)),
        ("Labels", labels.collect::<Vec<_>>().join(", ")),
    ])
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}
