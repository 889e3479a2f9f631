//! The return to the previous spec.

use crate::store::State;
use weft_proto::object::Service;
use weft_proto::object::UpdateState;
use weft_proto::object::UpdateStatus;
use weft_proto::spec::EndpointMode;
use weft_proto::spec::Port;
use weft_proto::spec::ServiceSpec;
use weft_proto::time::Timestamp;

/// What a service goes back to: what its tasks are, its labels and its ports. How many there are and
/// how changes roll over is not taken back: who scaled meanwhile, or said how to roll back, meant it.
pub fn restored(present: &ServiceSpec, previous: &ServiceSpec) -> ServiceSpec {
    ServiceSpec {
        mode: present.mode,
        update: present.update,
        rollback: present.rollback,
        ..previous.clone()
    }
}

/// The service as it goes back by itself because of `why`. Addresses and ports that it has no longer
/// are given by the allocator.
///
/// # Errors
/// In words: it cannot go back.
pub(super) fn automatic(
    state: &State,
    service: &Service,
    why: &str,
    now: Timestamp,
) -> Result<Service, String> {
    let previous = service.previous.as_deref();
    let previous = previous.ok_or("there is no previous spec")?;
    let spec = restored(&service.spec, previous);
    if let Some(gone) = spec
        .task
        .networks
        .iter()
        .find(|attachment| state.network(attachment.id).is_none())
    {
        return Err(format!("network {} of the previous spec is gone", gone.id));
    }
    let gone = spec.task.files.iter().find(|file| {
        let material = state.material(file.material);
        material.is_none_or(|material| !material.versions.contains_key(&file.version))
    });
    if let Some(gone) = gone {
        return Err(format!(
            "{} {} of the previous spec is gone",
            gone.kind, gone.name
        ));
    }
    let mut vips = service.vips.clone();
    let by_vip = spec.endpoint_mode == EndpointMode::Vip;
    vips.retain(|id, _| by_vip && spec.task.networks.iter().any(|net| net.id == *id));
    let kept = |wanted: &Port| {
        let fits = |has: &&Port| {
            (has.protocol, has.target) == (wanted.protocol, wanted.target)
                && (wanted.published.is_none() || wanted.published == has.published)
        };
        service.ports.iter().find(fits).copied()
    };
    Ok(Service {
        ports: spec.ports.iter().filter_map(kept).collect(),
        vips,
        spec,
        // What failed is nothing to go back to.
        previous: None,
        update: Some(UpdateStatus {
            state: UpdateState::RollingBack,
            started: now,
            ended: None,
            message: why.to_owned(),
        }),
        ..service.clone()
    })
}
