//! The calls about join tokens and the machines that wait with them.

use crate::acting;
use crate::api::cluster;
use crate::api::error::ApiError;
use crate::api::request::RequestId;
use crate::api::server::Answer;
use crate::api::server::ControlService;
use crate::api::shown::token_shown;
use crate::api::token;
use crate::managers::manager_addrs;
use crate::propose::retry::Basis;
use crate::store::State;
use tonic::Request;
use tonic::Response;
use weft_pki::TokenSecret;
use weft_proto::Role;
use weft_proto::convert::ConvertError;
use weft_proto::wire;

impl ControlService {
    /// One of the two tokens that every cluster has.
    pub(super) async fn standing_token(
        &self,
        request: Request<wire::GetJoinTokenRequest>,
    ) -> Answer<wire::GetJoinTokenResponse> {
        let request = request.into_inner();
        let role = role(request.role)?;
        let view = if request.rotate {
            let secret = TokenSecret::random().map_err(ApiError::Token)?;
            let id = RequestId::read(&request.request_id)?.command("rotate token");
            let rotate = |state: &State| {
                acting::says(format!("rotated the {role} token"));
                cluster::rotate_token(state, role, &secret)
            };
            let (rotated, view) = self.once(id, Basis::Fresh, rotate).await?.parts();
            if rotated.is_some() {
                tracing::info!(%role, "join token rotated");
            }
            view
        } else {
            None
        };
        let view = match view {
            Some(view) => view,
            None => self.view().await?,
        };
        Ok(Response::new(wire::GetJoinTokenResponse {
            token: cluster::token(&view, role)?,
            manager_addrs: manager_addrs(&view)
                .iter()
                .map(ToString::to_string)
                .collect(),
        }))
    }

    /// Makes a token for a purpose.
    pub(super) async fn make_join_token(
        &self,
        request: Request<wire::CreateJoinTokenRequest>,
    ) -> Answer<wire::CreateJoinTokenResponse> {
        let request = request.into_inner();
        let order = token::Order::read(role(request.role)?, request)?;
        let secret = TokenSecret::random().map_err(ApiError::Token)?;
        let now = self.now();
        let create = |state: &State| token::create(state, &order, &secret, now);
        let done = self.transact(create).await?;
        let made = done.outcome;
        tracing::info!(token = %made.token.id, role = %made.token.role, name = made.token.name, "join token made");
        let view = match done.view {
            Some(view) => view,
            None => self.view().await?,
        };
        let stored = view.join_token(made.token.id);
        Ok(Response::new(wire::CreateJoinTokenResponse {
            token: made.text,
            made: Some(token_shown(stored.map_or(&made.token, |token| &**token))),
            manager_addrs: manager_addrs(&view)
                .iter()
                .map(ToString::to_string)
                .collect(),
        }))
    }

    /// Which tokens there are, without their secrets.
    pub(super) async fn join_tokens(
        &self,
        _: Request<wire::ListJoinTokensRequest>,
    ) -> Answer<wire::ListJoinTokensResponse> {
        let tokens = token::list(&*self.view().await?);
        Ok(Response::new(wire::ListJoinTokensResponse {
            tokens: tokens.iter().map(|token| token_shown(token)).collect(),
            now_ms: self.now().as_millis(),
        }))
    }

    /// Nobody joins with it from now on.
    pub(super) async fn forget_join_token(
        &self,
        request: Request<wire::RemoveJoinTokenRequest>,
    ) -> Answer<wire::RemoveJoinTokenResponse> {
        let target = request.into_inner().target;
        let remove = |state: &State| token::remove(state, &target);
        let id = self.transact(remove).await?.outcome;
        tracing::info!(token = %id, "join token removed");
        Ok(Response::new(wire::RemoveJoinTokenResponse {
            id: id.to_string(),
        }))
    }

    /// Lets a machine that waits in, or not.
    pub(super) async fn decide_about(
        &self,
        request: Request<wire::DecideNodeRequest>,
    ) -> Answer<wire::DecideNodeResponse> {
        let wire::DecideNodeRequest { target, accept } = request.into_inner();
        let now = self.now();
        let decide = |state: &State| {
            let decision = token::decide(state, &target, accept, now)?;
            let word = if accept { "accepted" } else { "rejected" };
            acting::says(format!("{word} node {}", decision.outcome.hostname));
            Ok(decision)
        };
        let token::Decided {
            id,
            hostname,
            role,
            token,
        } = self.transact(decide).await?.outcome;
        tracing::info!(node = %id, hostname, %role, %token, accept, "decided about a waiting node");
        Ok(Response::new(wire::DecideNodeResponse {
            node_id: id.to_string(),
            hostname,
        }))
    }
}

fn role(number: i32) -> Result<Role, ApiError> {
    let role = wire::NodeRole::try_from(number).unwrap_or_default();
    let role = Role::try_from(role).map_err(|error: ConvertError| error.within("role"))?;
    Ok(role)
}
