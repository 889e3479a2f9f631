//! What other managers ask of this one, beside consensus itself.

use crate::consensus::ClusterProposer;
use crate::leader::Advice;
use crate::leader::Balance;
use crate::leader::Liveness;
use crate::leader::answering;
use crate::logs::LocalLogs;
use futures::Stream;
use futures::StreamExt;
use std::pin::Pin;
use std::sync::Arc;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use weft_proto::wire;
use weft_proto::wire::peer_server::Peer;
use weft_raft::RaftNode;

/// The peer service of this manager.
#[derive(Clone)]
pub struct PeerService {
    raft: RaftNode,
    proposer: Arc<ClusterProposer>,
    liveness: Arc<Liveness>,
    balance: Arc<Balance>,
    logs: Arc<dyn LocalLogs>,
}

impl std::fmt::Debug for PeerService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerService")
            .field("raft", &self.raft)
            .finish_non_exhaustive()
    }
}

impl PeerService {
    /// Of this manager.
    pub fn new(
        raft: RaftNode,
        proposer: Arc<ClusterProposer>,
        liveness: Arc<Liveness>,
        balance: Arc<Balance>,
        logs: Arc<dyn LocalLogs>,
    ) -> Self {
        PeerService {
            raft,
            proposer,
            liveness,
            balance,
            logs,
        }
    }
}

#[tonic::async_trait]
impl Peer for PeerService {
    async fn propose(
        &self,
        request: Request<wire::ProposeRequest>,
    ) -> Result<Response<wire::ProposeResponse>, Status> {
        let answer = self.proposer.serve_proposal(request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn propose_many(
        &self,
        request: Request<wire::ProposeManyRequest>,
    ) -> Result<Response<wire::ProposeManyResponse>, Status> {
        let answer = self.proposer.serve_proposals(request.into_inner()).await;
        Ok(Response::new(answer))
    }

    async fn read_index(
        &self,
        _: Request<wire::ReadIndexRequest>,
    ) -> Result<Response<wire::ReadIndexResponse>, Status> {
        Ok(Response::new(self.proposer.serve_read_index().await?))
    }

    async fn presence(
        &self,
        request: Request<wire::PresenceRequest>,
    ) -> Result<Response<wire::PresenceResponse>, Status> {
        let status = self.raft.status().borrow().clone();
        if !status.is_leader {
            return Err(Status::unavailable("this manager does not lead"));
        }
        let now = tokio::time::Instant::now();
        let caller = weft_pki::peer_of(request.extensions()).and_then(|peer| peer.node);
        let heard = request.into_inner().heard;
        self.liveness.heard(&heard, now);
        let advice = caller.map(|caller| self.balance.hear(caller.node, &heard, now));
        let Advice { move_to, agents } = advice.unwrap_or_default();
        Ok(Response::new(wire::PresenceResponse {
            answering: answering(&status, now).into_iter().collect(),
            move_to: move_to.iter().map(ToString::to_string).collect(),
            agents,
            keys_awaited: self
                .liveness
                .keys_awaited()
                .iter()
                .map(ToString::to_string)
                .collect(),
            refused: self.liveness.refused(now),
        }))
    }

    type RelayLogsStream = Pin<Box<dyn Stream<Item = Result<wire::LogLine, Status>> + Send>>;

    async fn relay_logs(
        &self,
        request: Request<wire::RelayLogsRequest>,
    ) -> Result<Response<Self::RelayLogsStream>, Status> {
        Ok(Response::new(Box::pin(
            self.logs.relay(request.into_inner()).map(Ok),
        )))
    }
}
