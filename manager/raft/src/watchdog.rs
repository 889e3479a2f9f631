//! Watches the disk. A leader whose disk hangs keeps sending heartbeats and stays in office,
//! while its log stands still.

use crate::node::Inner;
use crate::node::RaftNode;
use std::sync::Weak;
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(100);

/// Runs until the member is gone. Writes longer than `slow` cost a leader its office, once per
/// write; longer than `dead`, they are a fault.
pub(crate) async fn run(inner: Weak<Inner>, slow: Duration, dead: Duration) {
    let mut handed_over = None;
    loop {
        sleep(PERIOD).await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        let Some(since) = inner.writer.busy_since() else {
            continue;
        };
        let busy = since.elapsed();
        if busy >= dead {
            inner
                .fault
                .report(format!("the disk has not finished a write in {busy:?}"));
            return;
        }
        if busy >= slow && handed_over != Some(since) && inner.is_leader() {
            handed_over = Some(since);
            let node = RaftNode::from_inner(inner);
            let Some(successor) = node.successor() else {
                continue;
            };
            tracing::warn!(?busy, %successor, "the disk is slow: handing the leader's office over");
            if let Err(error) = node.transfer_leader(successor).await {
                tracing::warn!(%error, "handing the leader's office over failed");
            }
        }
    }
}
