//! openraft's log storage: a copy of the log in memory for readers, and the writer thread.

use crate::config::APPEND_BYTES;
use crate::engine::Op;
use crate::image::Image;
use crate::layout;
use crate::types::Entry;
use crate::types::LogId;
use crate::types::Payload;
use crate::types::TypeConfig;
use crate::types::Vote;
use crate::writer::Done;
use crate::writer::Writer;
use openraft::LogState;
use openraft::OptionalSend;
use openraft::RaftLogReader;
use openraft::storage::IOFlushed;
use openraft::storage::RaftLogStorage;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;

/// The log of one member. All changes go through the writer's queue in the order they are made
/// here, so that the disk never sees an append overtake the truncation before it.
pub(crate) struct LogStore {
    memory: Arc<RwLock<Memory>>,
    writer: Writer,
}

/// The log as its readers see it.
#[derive(Debug)]
struct Memory {
    entries: BTreeMap<u64, Entry>,
    vote: Option<Vote>,
    purged: Option<LogId>,
    committed: Option<LogId>,
}

impl LogStore {
    pub(crate) fn new(image: Image, writer: Writer) -> Self {
        let memory = Memory {
            entries: image.entries,
            vote: image.vote,
            purged: image.purged,
            committed: image.committed,
        };
        LogStore {
            memory: Arc::new(RwLock::new(memory)),
            writer,
        }
    }
}

impl LogStore {
    /// A reader.
    pub(crate) fn reader(&self) -> LogReader {
        LogReader {
            memory: Arc::clone(&self.memory),
        }
    }
}

/// A reader of the log, one per follower.
#[derive(Clone)]
pub(crate) struct LogReader {
    memory: Arc<RwLock<Memory>>,
}

impl LogReader {
    /// The vote, and the last entry, in the log or in a snapshot.
    pub(crate) fn end(&self) -> (Option<Vote>, Option<LogId>) {
        let memory = self.memory.read();
        let last = memory.entries.last_key_value();
        let last = last.map(|(_, entry)| entry.log_id).or(memory.purged);
        (memory.vote, last)
    }
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let memory = self.memory.read();
        let entries = memory.entries.range(range);
        Ok(entries.map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.memory.read().vote)
    }

    /// openraft bounds a message by its number of entries only; this bounds its bytes.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let memory = self.memory.read();
        let mut bytes = 0;
        let mut portion = Vec::new();
        for (_, entry) in memory.entries.range(start..end) {
            bytes += weight(entry);
            // The first one goes whatever its size, or replication would stand still.
            if bytes > APPEND_BYTES && !portion.is_empty() {
                break;
            }
            portion.push(entry.clone());
        }
        Ok(portion)
    }
}

/// About how many bytes an entry takes in a message.
fn weight(entry: &Entry) -> usize {
    const ENVELOPE: usize = 64;
    match &entry.payload {
        Payload::Normal(command) => ENVELOPE + command.0.len(),
        Payload::Blank => ENVELOPE,
        Payload::Membership(membership) => ENVELOPE * (1 + membership.nodes().count()),
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let memory = self.memory.read();
        let last = memory.entries.last_key_value();
        Ok(LogState {
            last_purged_log_id: memory.purged,
            last_log_id: last.map(|(_, entry)| entry.log_id).or(memory.purged),
        })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        self.reader()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.writer.write(vec![layout::put_vote(vote)]).await?;
        self.memory.write().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let ops = vec![layout::put_committed(committed.as_ref())];
        self.memory.write().committed = committed;
        self.writer.submit(ops, Done::Lazy);
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.memory.read().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let ops = entries.iter().map(layout::put_entry).collect();
        {
            let mut memory = self.memory.write();
            memory
                .entries
                .extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)));
        }
        self.writer.submit(ops, Done::Appended(callback));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let first = last.map_or(0, |last| last.index + 1);
        drop(self.memory.write().entries.split_off(&first));
        self.writer.write(vec![Op::Truncate { first }]).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let purged = {
            let mut memory = self.memory.write();
            let kept = memory.entries.split_off(&(upto.index + 1));
            let purged = memory.purged.map_or(upto, |before| before.max(upto));
            memory.purged = Some(purged);
            let removed = std::mem::replace(&mut memory.entries, kept);
            drop(memory);
            drop(removed);
            purged
        };
        // Losing this in a crash only keeps entries.
        self.writer
            .submit(layout::purge(&purged).to_vec(), Done::Lazy);
        Ok(())
    }
}
