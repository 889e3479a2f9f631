//! What nodes say of their certificates, and a change of the root.

use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::object::Fingerprint;
use crate::object::NodeCertificate;
use crate::object::RootRotation;
use crate::object::RotationStage;
use crate::time::Timestamp;
use crate::wire;
use crate::wire::root_rotation::Stage;

impl From<&NodeCertificate> for wire::NodeCertificate {
    fn from(certificate: &NodeCertificate) -> Self {
        let trusted = certificate.trusted.iter();
        wire::NodeCertificate {
            issuer_sha256: certificate.issuer.as_bytes().to_vec(),
            trusted_sha256: trusted.map(|print| print.as_bytes().to_vec()).collect(),
            not_after_ms: certificate.not_after.as_millis(),
        }
    }
}

pub(super) fn read(wire: wire::NodeCertificate) -> Result<NodeCertificate, ConvertError> {
    Ok(NodeCertificate {
        issuer: fingerprint("issuer_sha256", &wire.issuer_sha256)?,
        trusted: field::list("trusted_sha256", wire.trusted_sha256, |bytes| {
            fingerprint("", &bytes)
        })?,
        not_after: Timestamp::from_millis(wire.not_after_ms),
    })
}

door!(NodeCertificate => NodeCertificate, read, "certificate");

fn fingerprint(name: &str, bytes: &[u8]) -> Result<Fingerprint, ConvertError> {
    let print = bytes.try_into().map(Fingerprint::from_bytes);
    print.map_err(|_| {
        let len = bytes.len();
        ConvertError::at(name, format!("has {len} bytes: a SHA-256 has 32"))
    })
}

impl From<RotationStage> for Stage {
    fn from(stage: RotationStage) -> Self {
        match stage {
            RotationStage::Spreading => Stage::Spreading,
            RotationStage::Issuing => Stage::Issuing,
            RotationStage::Returning => Stage::Returning,
        }
    }
}

impl TryFrom<Stage> for RotationStage {
    type Error = ConvertError;

    fn try_from(stage: Stage) -> Result<Self, ConvertError> {
        match stage {
            Stage::Spreading => Ok(RotationStage::Spreading),
            Stage::Issuing => Ok(RotationStage::Issuing),
            Stage::Returning => Ok(RotationStage::Returning),
            Stage::Unspecified => Err(ConvertError::new("is missing")),
        }
    }
}

impl From<&RootRotation> for wire::RootRotation {
    fn from(rotation: &RootRotation) -> Self {
        wire::RootRotation {
            stage: Stage::from(rotation.stage).into(),
            certificate_der: rotation.certificate.clone(),
            key_pem: rotation.key.clone(),
            cross_der: rotation.cross.clone(),
            started_ms: rotation.started.as_millis(),
        }
    }
}

pub(super) fn read_rotation(wire: wire::RootRotation) -> Result<RootRotation, ConvertError> {
    Ok(RootRotation {
        stage: field::enumeration::<Stage, RotationStage>("stage", wire.stage)?,
        certificate: wire.certificate_der,
        key: wire.key_pem,
        cross: wire.cross_der,
        started: Timestamp::from_millis(wire.started_ms),
    })
}

door!(RootRotation => RootRotation, read_rotation, "rotation");
