//! The managers' copies of the state, compared by their hashes.

use crate::node::Node;
use anyhow::Context;
use anyhow::bail;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weft_proto::wire;

/// Between two looks while the cluster is under load: hashing costs a manager some milliseconds.
const PAUSE: Duration = Duration::from_millis(150);

/// How long managers may take to come to the same revision when nobody writes any more.
const EQUAL: Duration = Duration::from_secs(60);

/// Which hash belongs to which revision, whoever told it.
#[derive(Debug, Default)]
struct Known {
    hashes: BTreeMap<u64, String>,
    compared: u64,
    differs: Option<String>,
}

impl Known {
    fn add(&mut self, told: wire::StateHashResponse) {
        let revision = told.revision;
        let Some(known) = self.hashes.get(&revision) else {
            self.hashes.insert(revision, told.sha256);
            return;
        };
        self.compared += 1;
        if *known != told.sha256 {
            let differs = format!(
                "revision {revision} is {known} on one manager and {} on {}",
                told.sha256, told.node_id
            );
            self.differs.get_or_insert(differs);
        }
    }
}

/// Asks all managers in turn for as long as it lasts.
#[derive(Debug)]
pub struct Replicas {
    nodes: Vec<Node>,
    known: Arc<Mutex<Known>>,
    task: JoinHandle<()>,
    stop: CancellationToken,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// The revision all managers had at the end.
    pub revision: u64,
    /// How often a revision's hash was told once more, and was the same.
    pub times: u64,
}

impl Replicas {
    /// Starts asking. Must be called in a tokio runtime.
    pub fn start(sockets: &[PathBuf]) -> Replicas {
        let nodes: Vec<Node> = sockets.iter().map(|socket| Node::new(socket)).collect();
        let known = Arc::new(Mutex::new(Known::default()));
        let stop = CancellationToken::new();
        let asking = ask(nodes.clone(), Arc::clone(&known));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            stopped.run_until_cancelled(asking).await;
        });
        Replicas {
            nodes,
            known,
            task,
            stop,
        }
    }

    /// Waits until all managers are at one revision, and compares.
    ///
    /// # Errors
    /// When two managers had different states at one revision, now or earlier, and when they do
    /// not come to one.
    pub async fn finish(self) -> anyhow::Result<Compared> {
        self.stop.cancel();
        drop(self.task.await);
        let begun = Instant::now();
        let revision = loop {
            let mut revisions = Vec::new();
            for node in &self.nodes {
                let request = wire::StateHashRequest { revision: 0 };
                let told = node.control().state_hash(request).await;
                let told = told.context("the hash of a manager's state")?.into_inner();
                revisions.push(told.revision);
                self.known.lock().add(told);
            }
            match revisions.first() {
                Some(first) if revisions.iter().all(|revision| revision == first) => break *first,
                _ if begun.elapsed() > EQUAL => bail!("managers stay apart: {revisions:?}"),
                _ => tokio::time::sleep(PAUSE).await,
            }
        };
        let known = self.known.lock();
        match &known.differs {
            Some(differs) => bail!("replicas differ: {differs}"),
            None => Ok(Compared {
                revision,
                times: known.compared,
            }),
        }
    }
}

async fn ask(nodes: Vec<Node>, known: Arc<Mutex<Known>>) {
    for node in nodes.iter().cycle() {
        // At the newest revision anybody told, so that hashes of the same one meet.
        let newest = known.lock().hashes.keys().next_back().copied();
        let request = wire::StateHashRequest {
            revision: newest.unwrap_or(0),
        };
        if let Ok(told) = node.control().state_hash(request).await {
            known.lock().add(told.into_inner());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(revision: u64, sha256: &str) -> wire::StateHashResponse {
        wire::StateHashResponse {
            revision,
            sha256: sha256.to_owned(),
            node_id: "n".to_owned(),
        }
    }

    #[test]
    fn one_revision_with_two_hashes_is_noticed() {
        let mut known = Known::default();
        known.add(told(1, "a"));
        known.add(told(2, "b"));
        known.add(told(1, "a"));
        assert_eq!((known.compared, known.differs.is_none()), (1, true));
        known.add(told(2, "c"));
        assert!(known.differs.is_some());
    }
}
