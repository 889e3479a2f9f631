//! What a node holds is written down, and it is told what it should hold.

use crate::propose::ProposeError;
use crate::propose::Proposer;
use crate::store::State;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use weft_proto::NodeId;
use weft_proto::command::Change;
use weft_proto::object::Node;
use weft_proto::object::NodeCertificate;
use weft_proto::wire;
use weft_proto::wire::manager_message::Kind;

/// Roots that a node can be known to trust: more than there ever are, few enough for the log.
const MAX_TRUSTED: usize = 8;

/// What an agent said of its certificate in this session; nothing from one that is too old to.
pub(super) type Said = watch::Sender<Option<NodeCertificate>>;

/// Reads what an agent said; `None` when it cannot be understood.
pub(super) fn read(wire: wire::NodeCertificate) -> Option<NodeCertificate> {
    let mut certificate = NodeCertificate::try_from(wire).ok()?;
    certificate.trusted.truncate(MAX_TRUSTED);
    Some(certificate)
}

/// What was said last of the certificates that the cluster wants. It is said once to every agent
/// that understands it, and again when it changes.
#[derive(Debug, Default)]
pub(super) struct Policy {
    looked: Option<u64>,
    said: Option<wire::CertificatePolicy>,
}

impl Policy {
    /// What to say now, if it is something else than was said last.
    pub(super) fn changed(&mut self, state: &State) -> Option<wire::ManagerMessage> {
        let cluster = state.cluster()?;
        let version = cluster.meta.version;
        if self.looked.replace(version) == Some(version) {
            return None;
        }
        let now = weft_pki::policy(cluster);
        let same = |said: &wire::CertificatePolicy| {
            said.trusted_der == now.trusted_der && said.ttl_ms == now.ttl_ms
        };
        if self.said.as_ref().is_some_and(same) {
            return None;
        }
        self.said = Some(now.clone());
        Some(wire::ManagerMessage {
            kind: Some(Kind::Certificates(now)),
        })
    }
}

/// Makes state of what the agent says, for as long as its session lasts.
pub(super) async fn record(
    mut said: watch::Receiver<Option<NodeCertificate>>,
    proposer: &dyn Proposer,
    node: NodeId,
    retry: Duration,
) -> Infallible {
    loop {
        let newest = said.borrow_and_update().clone();
        let Some(certificate) = newest else {
            if said.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            continue;
        };
        match write(proposer, node, &certificate).await {
            Ok(()) => {
                if said.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            Err(error) => {
                tracing::debug!(%node, %error, "its certificate is not written down yet");
                tokio::time::sleep(retry).await;
            }
        }
    }
}

async fn write(
    proposer: &dyn Proposer,
    node: NodeId,
    certificate: &NodeCertificate,
) -> Result<(), ProposeError> {
    // An agent that comes from another manager says again what was written down long ago.
    let mut view = proposer.local_view();
    if change(&view, node, certificate).is_some() {
        view = proposer.fresh_view().await?;
    }
    match change(&view, node, certificate) {
        Some(change) => proposer.propose(vec![change]).await.map(drop),
        None => Ok(()),
    }
}

/// `None` when the state says so already, or has no such node.
fn change(state: &State, node: NodeId, certificate: &NodeCertificate) -> Option<Change> {
    let node = state.node(node)?;
    if node.certificate.as_ref() == Some(certificate) {
        return None;
    }
    let mut node = Node::clone(node);
    node.certificate = Some(certificate.clone());
    Some(Change::update(node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cluster;
    use crate::propose::fake::FakeProposer;
    use weft_proto::object::RootRotation;
    use weft_proto::object::RotationStage;

    #[test]
    fn a_policy_is_said_once_and_again_when_it_changes() {
        let fake = FakeProposer::new(vec![cluster().into()]);
        let mut policy = Policy::default();
        let mut said = || {
            let kind = policy.changed(&fake.view())?.kind;
            let Some(Kind::Certificates(policy)) = kind else {
                panic!("{kind:?} instead of a policy");
            };
            Some(policy.trusted_der)
        };
        assert_eq!(said(), Some(vec![vec![1]]));
        assert_eq!(said(), None);
        let mut cluster = cluster();
        cluster.next_raft_id += 1;
        let write = |cluster: weft_proto::object::Cluster| {
            fake.write(vec![Change::Put {
                object: cluster.into(),
                expect: weft_proto::command::Expect::Any,
            }]);
        };
        write(cluster.clone());
        assert_eq!(said(), None, "nothing of it changed");
        cluster.rotation = Some(RootRotation {
            stage: RotationStage::Issuing,
            certificate: vec![2],
            key: String::new(),
            cross: vec![3],
            started: weft_proto::time::Timestamp::default(),
        });
        write(cluster);
        assert_eq!(
            said(),
            Some(vec![vec![2], vec![1]]),
            "the issuing one first"
        );
    }
}
