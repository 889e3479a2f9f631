//! An overlay network.

use crate::addr::Vni;
use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::object::Network;
use crate::spec::NetworkSpec;
use crate::wire;

impl From<&Network> for wire::Network {
    fn from(network: &Network) -> Self {
        wire::Network {
            meta: Some(network.meta.into()),
            id: network.id.to_string(),
            spec: Some((&network.spec).into()),
            vni: network.vni.get(),
            subnet: network.subnet.to_string(),
        }
    }
}

pub(super) fn read(wire: wire::Network) -> Result<Network, ConvertError> {
    let spec = field::required("spec", wire.spec)?;
    Ok(Network {
        meta: wire.meta.unwrap_or_default().into(),
        id: field::parse("id", &wire.id)?,
        spec: read_spec(spec).map_err(|e| e.within("spec"))?,
        vni: read_vni(wire.vni)?,
        subnet: field::subnet("subnet", &wire.subnet)?,
    })
}

/// The field `vni` of a network or its record.
pub(super) fn read_vni(number: u32) -> Result<Vni, ConvertError> {
    Vni::try_from(number).map_err(|error| ConvertError::at("vni", error.to_string()))
}

door!(Network => Network, read, "network");

impl From<&NetworkSpec> for wire::NetworkSpec {
    fn from(spec: &NetworkSpec) -> Self {
        wire::NetworkSpec {
            name: spec.name.to_string(),
            labels: field::wire_labels(&spec.labels),
            subnet: spec.subnet.map(|net| net.to_string()).unwrap_or_default(),
            internal: spec.internal,
            attachable: spec.attachable,
            encrypted: spec.encrypted,
        }
    }
}

fn read_spec(wire: wire::NetworkSpec) -> Result<NetworkSpec, ConvertError> {
    Ok(NetworkSpec {
        name: field::parse("name", &wire.name)?,
        labels: field::labels(wire.labels)?,
        subnet: field::optional("subnet", &wire.subnet, field::subnet)?,
        internal: wire.internal,
        attachable: wire.attachable,
        encrypted: wire.encrypted,
    })
}

door!(NetworkSpec => NetworkSpec, read_spec, "network");
