//! The calls about this very node: what is it, found, join, leave.

use crate::daemon::node::NodeHandle;
use crate::daemon::restore::receive;
use std::sync::Arc;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use weft_proto::wire;
use weft_proto::wire::local_server::Local;
use zeroize::Zeroizing;

/// Answers on the node's own socket.
#[derive(Clone, Debug)]
pub(crate) struct LocalService {
    node: Arc<NodeHandle>,
}

impl LocalService {
    pub(crate) fn new(node: Arc<NodeHandle>) -> Self {
        LocalService { node }
    }
}

/// The whole chain of causes in one line: the caller sees no other.
fn refused(err: anyhow::Error) -> Status {
    Status::failed_precondition(format!("{err:#}"))
}

#[tonic::async_trait]
impl Local for LocalService {
    async fn info(
        &self,
        _: Request<wire::InfoRequest>,
    ) -> Result<Response<wire::InfoResponse>, Status> {
        Ok(Response::new(self.node.info().await))
    }

    async fn init(
        &self,
        request: Request<wire::InitRequest>,
    ) -> Result<Response<wire::InitResponse>, Status> {
        self.node
            .init(request.into_inner())
            .await
            .map(Response::new)
            .map_err(refused)
    }

    async fn join(
        &self,
        request: Request<wire::JoinRequest>,
    ) -> Result<Response<wire::JoinResponse>, Status> {
        self.node
            .join(request.into_inner())
            .await
            .map(Response::new)
            .map_err(refused)
    }

    async fn leave(
        &self,
        request: Request<wire::LeaveRequest>,
    ) -> Result<Response<wire::LeaveResponse>, Status> {
        let note = self.node.leave(request.into_inner()).await;
        let note = note.map_err(refused)?;
        Ok(Response::new(wire::LeaveResponse { note }))
    }

    async fn restore(
        &self,
        request: Request<Streaming<wire::RestorePart>>,
    ) -> Result<Response<wire::RestoreResponse>, Status> {
        let (head, file) = receive(request.into_inner()).await?;
        let restored = self.node.restore(head, file).await;
        restored.map(Response::new).map_err(refused)
    }

    async fn update_address(
        &self,
        request: Request<wire::UpdateAddressRequest>,
    ) -> Result<Response<wire::UpdateAddressResponse>, Status> {
        let moved = self.node.update_address(request.get_ref()).await;
        moved.map(Response::new).map_err(refused)
    }

    async fn unlock(
        &self,
        request: Request<wire::UnlockRequest>,
    ) -> Result<Response<wire::UnlockResponse>, Status> {
        let key = Zeroizing::new(request.into_inner().unlock_key);
        self.node.unlock(&key).await.map_err(refused)?;
        Ok(Response::new(wire::UnlockResponse {}))
    }
}
