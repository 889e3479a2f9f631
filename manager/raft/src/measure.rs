//! The log's writer without consensus, for measuring what a disk and an engine can do.
#![doc(hidden)]

use crate::disk::Directory;
use crate::disk::Disk;
use crate::engine::Engine;
use crate::engine::Op;
use crate::fault::Fault;
use crate::file_engine::FileEngine;
use crate::file_engine::Sizes;
use crate::legacy::SledEngine;
use crate::records;
use crate::records::Kind;
use crate::seal::Sealing;
use crate::writer::Done;
use crate::writer::Writer;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use weft_proto::wire;

/// What a log is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Our segment files.
    Files,
    /// sled, as in the first release.
    Sled,
}

/// A log that is only written to.
#[derive(Debug)]
pub struct Probe {
    writer: Writer,
    thread: Option<JoinHandle<()>>,
    next: u64,
}

/// A write under way.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<io::Result<()>>);

impl Pending {
    /// Blocks until the write has reached the disk.
    pub fn wait(self) -> io::Result<()> {
        let gone = |_| io::Error::other("the writer has stopped");
        self.0.blocking_recv().map_err(gone)?
    }
}

impl Probe {
    /// A new log in the empty directory `dir`.
    pub fn open(dir: &Path, kept: Kept, sealing: &Sealing) -> io::Result<Probe> {
        let engine: Box<dyn Engine> = match kept {
            Kept::Files => {
                let disk: Arc<dyn Disk> = Arc::new(Directory::open(dir)?);
                let owner = wire::RaftIdentity {
                    cluster: "probe".to_owned(),
                    raft_id: 1,
                };
                let sizes = Sizes::default();
                let opened = FileEngine::open(disk, &owner, sealing, sizes, Some([1; 16]));
                Box::new(opened.map_err(io::Error::other)?.0)
            }
            Kept::Sled => Box::new(SledEngine::open(dir)?),
        };
        let (writer, thread) = Writer::start(engine, Fault::new())?;
        Ok(Probe {
            writer,
            thread,
            next: 0,
        })
    }

    /// Queues one command; whatever is queued together shares a sync.
    pub fn append(&mut self, command: Vec<u8>) -> Pending {
        let index = self.next;
        self.next += 1;
        let entry = wire::RaftEntry {
            log_id: None,
            payload: Some(wire::raft_entry::Payload::Command(command.into())),
        };
        let record = records::seal(Kind::Entry, index, &entry);
        let (reply, result) = oneshot::channel();
        let entry = Op::Entry { index, record };
        self.writer.submit(vec![entry], Done::Reply(reply));
        Pending(result)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.writer.stop();
        if let Some(thread) = self.thread.take() {
            // Its panic has been reported by itself.
            drop(thread.join());
        }
    }
}
