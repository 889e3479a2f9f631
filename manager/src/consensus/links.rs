//! Connections to the managers that lead, one after another.

use crate::consensus::attempt::Attempt;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tonic::Response;
use tonic::Status;
use tonic::transport::Channel;
use weft_proto::wire;
use weft_proto::wire::peer_client::PeerClient;
use weft_raft::Dialer;
use weft_raft::Member;
use weft_raft::RaftNode;

/// One attempt at a leader that may be gone without a word.
const ATTEMPT: Duration = Duration::from_secs(3);
/// Room for the largest command and its envelope.
const MAX_MESSAGE: usize = 8 << 20;

/// Connections to other managers, made once.
pub(super) struct Links {
    raft: RaftNode,
    dialer: Arc<dyn Dialer>,
    channels: Mutex<BTreeMap<Member, Channel>>,
}

impl Links {
    pub(super) fn new(raft: RaftNode, dialer: Arc<dyn Dialer>) -> Self {
        Links {
            raft,
            dialer,
            channels: Mutex::default(),
        }
    }

    pub(super) fn channel(&self, member: Member) -> Channel {
        let mut channels = self.channels.lock();
        channels
            .entry(member)
            .or_insert_with(|| self.dialer.channel(&member))
            .clone()
    }

    pub(super) fn peer(&self, member: Member) -> PeerClient<Channel> {
        PeerClient::new(self.channel(member))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    pub(super) async fn read_index(&self, leader: Member) -> Attempt<u64> {
        let mut peer = self.peer(leader);
        let call = peer.read_index(wire::ReadIndexRequest {});
        match self.ask(leader, call).await {
            Ok(answer) => Attempt::Done(answer.index),
            Err(why) => Attempt::Again(why),
        }
    }

    /// The leader's answer, for as long as it is taken for the leader here: others wait behind this
    /// call, and must not wait for one that is gone while another one leads.
    pub(super) async fn ask<T>(
        &self,
        leader: Member,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, String> {
        let mut status = self.raft.status();
        let succeeded = status.wait_for(|now| now.leader != Some(leader));
        tokio::select! {
            answer = timeout(ATTEMPT, call) => match answer {
                Ok(Ok(answer)) => Ok(answer.into_inner()),
                Ok(Err(status)) => Err(said(leader, &status)),
                Err(_) => Err(format!("{leader} does not answer")),
            },
            _ = succeeded => Err(format!("{leader} leads no longer")),
        }
    }
}

fn said(leader: Member, status: &Status) -> String {
    let why = weft_pki::explain(status).unwrap_or_else(|| status.message().to_owned());
    format!("{leader}: {why}")
}
