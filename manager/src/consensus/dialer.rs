//! How managers reach each other.

use std::sync::Arc;
use tonic::transport::Channel;
use weft_pki::Expect;
use weft_pki::LiveCredentials;
use weft_pki::channel;
use weft_raft::Dialer;
use weft_raft::Member;

/// Connections to other managers, authenticated both ways: the other side must be the very node
/// that the membership names.
#[derive(Clone, Debug)]
pub struct ManagerDialer(pub Arc<LiveCredentials>);

impl Dialer for ManagerDialer {
    fn channel(&self, member: &Member) -> Channel {
        channel(member.addr, self.0.clone(), Expect::manager(member.node_id))
    }
}
