//! The log of this very manager, which answers while it leads.

use crate::consensus::attempt::Attempt;
use crate::consensus::attempt::Logged;
use crate::consensus::gather::Gather;
use crate::consensus::gather::Trips;
use crate::consensus::gather::gather;
use crate::consensus::rounds::Rounds;
use futures::future::join_all;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use weft_proto::convert::decode_results;
use weft_proto::convert::encode_entry;
use weft_raft::RaftNode;

/// Proposals and reads of a manager that leads, its own and those that others sent here. Clones are
/// the same one.
#[derive(Clone)]
pub(super) struct LocalLog {
    raft: RaftNode,
    gather: Gather,
    reads: Arc<Rounds<Attempt<u64>>>,
    /// Commands under way.
    under_way: Arc<AtomicUsize>,
}

/// What it does beside its callers.
pub(super) struct LocalWork {
    raft: RaftNode,
    trips: Trips,
}

impl LocalWork {
    pub(super) async fn run(self) {
        let raft = self.raft;
        let trip = |commands| write(raft.clone(), commands);
        self.trips.run(trip).await;
    }
}

/// Counts a command for as long as its caller waits.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LocalLog {
    pub(super) fn new(raft: RaftNode) -> (LocalLog, LocalWork) {
        let (gather, trips) = gather();
        let log = LocalLog {
            raft: raft.clone(),
            gather,
            reads: Arc::default(),
            under_way: Arc::default(),
        };
        (log, LocalWork { raft, trips })
    }

    /// Appends a command: at once if no other is under way, else with others in one entry.
    pub(super) async fn propose(&self, command: Vec<u8>) -> Attempt<Logged> {
        let alone = self.under_way.fetch_add(1, Ordering::Relaxed) == 0;
        let _counted = UnderWay(&self.under_way);
        if alone {
            // Spares the way over another task, which is a good part of a lone caller's latency.
            return write_one(&self.raft, command).await;
        }
        self.gather.send(command).await
    }

    /// Appends commands, each of which has an outcome of its own.
    pub(super) async fn propose_all(&self, commands: Vec<Vec<u8>>) -> Vec<Attempt<Logged>> {
        join_all(commands.into_iter().map(|command| self.propose(command))).await
    }

    /// The index a read that begins now must wait for. One round of the managers serves all who
    /// came before it began.
    pub(super) async fn read_index(&self) -> Attempt<u64> {
        let raft = self.raft.clone();
        let ask = move || async move {
            match raft.read_index().await {
                Ok(index) => Attempt::Done(index),
                Err(error) => error.into(),
            }
        };
        self.reads.join(ask).await
    }
}

async fn write_one(raft: &RaftNode, command: Vec<u8>) -> Attempt<Logged> {
    match raft.propose(command).await {
        Ok(applied) => Attempt::Done(Logged {
            index: applied.index,
            result: applied.response,
        }),
        Err(error) => error.into(),
    }
}

/// Writes commands as one entry.
async fn write(raft: RaftNode, commands: Vec<Vec<u8>>) -> Vec<Attempt<Logged>> {
    let count = commands.len();
    let outcome = write_one(&raft, encode_entry(commands)).await;
    let logged = match outcome {
        Attempt::Done(logged) if count > 1 => logged,
        // A failure is that of each.
        other @ (Attempt::Done(_) | Attempt::Again(_) | Attempt::Never(_)) => {
            return vec![other; count];
        }
    };
    let index = logged.index;
    match decode_results(&logged.result) {
        Ok(results) if results.len() == count => results
            .into_iter()
            .map(|result| Attempt::Done(Logged { index, result }))
            .collect(),
        Ok(_) | Err(_) => vec![Attempt::Again("an odd result".to_owned()); count],
    }
}
