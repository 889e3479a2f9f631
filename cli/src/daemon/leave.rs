//! `weft cluster leave`: this node is on its own again.

use crate::daemon::node::NodeHandle;
use crate::daemon::node::Running;
use anyhow::Context;
use anyhow::bail;
use std::time::Duration;
use tokio::time::timeout;
use tonic::Code;
use weft_pki::Expect;
use weft_pki::channel;
use weft_proto::wire;
use weft_proto::wire::membership_client::MembershipClient;

/// One attempt at one manager.
const ATTEMPT: Duration = Duration::from_secs(12);

impl NodeHandle {
    /// Tells the managers, stops the node's tasks, removes its networks and forgets the cluster.
    /// With `force` also when no manager answers, or when this is the last one.
    pub(crate) async fn leave(&self, request: wire::LeaveRequest) -> anyhow::Result<String> {
        let mut running = self.running.lock().await;
        if self.leave_locked(request.force).await? {
            return Ok(String::new());
        }
        let Some(node) = running.as_ref() else {
            bail!("this node is in no cluster")
        };
        let note = match depart(node).await {
            Ok(note) => note,
            Err(why) if !request.force => return Err(why),
            Err(why) => {
                tracing::warn!(why = format!("{why:#}"), "leaving all the same");
                String::new()
            }
        };
        let Some(node) = running.take() else {
            bail!("this node is in no cluster")
        };
        self.control()
            .refuse(|| "this node is leaving its cluster".to_owned());
        let problems = node.worker.clear().await;
        node.stop().await;
        self.config.paths.forget(&self.vault)?;
        self.left();
        if problems.is_empty() {
            return Ok(note);
        }
        bail!(
            "the node has left, but could not remove everything: {}",
            problems.join("; ")
        )
    }
}

/// Asks the managers to forget this node; returns how many of them are left.
async fn depart(node: &Running) -> anyhow::Result<String> {
    let own = node.file.advertise_addr;
    let others: Vec<_> = node
        .worker
        .managers()
        .into_iter()
        .filter(|addr| !(node.is_manager() && *addr == own))
        .collect();
    if node.is_manager() && others.is_empty() {
        bail!(
            "this is the last manager: the cluster and everything in it ends with it; \
             if that is meant, add --force"
        );
    }
    let mut last = anyhow::anyhow!("no manager is known");
    for addr in others {
        let to = channel(addr, node.credentials.clone(), Expect::any_manager());
        let mut membership = MembershipClient::new(to);
        match timeout(ATTEMPT, membership.depart(wire::DepartRequest {})).await {
            Ok(Ok(answer)) => {
                let note = answer.into_inner().note;
                return Ok(if node.is_manager() {
                    note
                } else {
                    String::new()
                });
            }
            // Another manager would say the same.
            Ok(Err(status)) if status.code() == Code::FailedPrecondition => {
                bail!("{}; to leave all the same, add --force", status.message())
            }
            Ok(Err(status)) => {
                let why = weft_pki::explain(&status).unwrap_or_else(|| status.message().to_owned());
                last = anyhow::anyhow!("{addr}: {why}");
            }
            Err(_) => last = anyhow::anyhow!("{addr} does not answer"),
        }
    }
    Err(last).context(
        "no manager agreed that this node leaves; if it was removed there already, or to leave all \
         the same, add --force, and remove the node there with \"weft node rm\" if it is still listed",
    )
}
