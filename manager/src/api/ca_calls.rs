//! The calls about certificates and the root, and the keys of encrypted networks.

use crate::acting;
use crate::api::ca;
use crate::api::cluster;
use crate::api::error::ApiError;
use crate::api::keys;
use crate::api::request::RequestId;
use crate::api::server::Answer;
use crate::api::server::ControlService;
use crate::propose::retry::Basis;
use crate::store::State;
use tonic::Request;
use tonic::Response;
use weft_proto::wire;

impl ControlService {
    /// Another life of certificates.
    pub(super) async fn change_settings(
        &self,
        request: Request<wire::UpdateClusterRequest>,
    ) -> Answer<wire::UpdateClusterResponse> {
        let request = request.into_inner();
        let id = RequestId::read(&request.request_id)?.command("update cluster");
        acting::says(ca::said(&request));
        let decide = |state: &State| ca::update(state, &request);
        self.once(id, Basis::Fresh, decide).await?;
        tracing::info!(ttl_ms = request.certificate_ttl_ms, "cluster updated");
        Ok(Response::new(wire::UpdateClusterResponse {}))
    }

    /// Begins a change of the root, or calls it off.
    pub(super) async fn change_root(
        &self,
        request: Request<wire::RotateCaRequest>,
    ) -> Answer<wire::RotateCaResponse> {
        let request = request.into_inner();
        let id = RequestId::read(&request.request_id)?.command("rotate ca");
        if request.abort {
            acting::says("called the change of the root off");
            self.once(id, Basis::Fresh, ca::abort).await?;
            tracing::info!("the change of the root is called off");
        } else {
            let view = self.view().await?;
            let cluster = cluster::get(&view)?.id;
            let (root, now) = ca::new_root(cluster, &request)?;
            acting::says("began a change of the root");
            let begin = |state: &State| ca::rotate(state, &root, now);
            self.once(id, Basis::Fresh, begin).await?;
            tracing::info!(root = %root.cert().digest(), "the change of the root begins");
        }
        Ok(Response::new(wire::RotateCaResponse {}))
    }

    /// A new key of encrypted networks, or another pace of them.
    pub(super) async fn change_keys(
        &self,
        request: Request<wire::UpdateKeysRequest>,
    ) -> Answer<wire::UpdateKeysResponse> {
        let request = request.into_inner();
        let wish = keys::Wish::read(&request)?;
        let id = RequestId::read(&request.request_id)?.command("update keys");
        let decide = |state: &State| {
            acting::says(wish.words());
            wish.decide(state)
        };
        let (decided, view) = self.once(id, Basis::Fresh, decide).await?.parts();
        let (epoch, every) = match (decided, view) {
            (Some(decided), _) => (decided.epoch, decided.every),
            (None, Some(view)) => {
                let cluster = cluster::get(&view)?;
                (cluster.keys_wanted, cluster.settings.key_rotation)
            }
            (None, None) => return Err(ApiError::MadeAndGone("change").into()),
        };
        tracing::info!(
            epoch,
            ?every,
            rotate = request.rotate,
            "keys of the data plane"
        );
        Ok(Response::new(wire::UpdateKeysResponse {
            epoch,
            rotation_ms: u64::try_from(every.as_millis()).unwrap_or(u64::MAX),
        }))
    }
}
