//! The one thread that writes to the disk. Whatever arrives while it syncs becomes its next
//! batch, so that many proposals share one sync.

use crate::engine::Engine;
use crate::engine::Op;
use crate::fault::Fault;
use crate::types::TypeConfig;
use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Requests that share one sync, at most.
const GROUP: usize = 512;

/// Bytes that share one sync, about: one group must not take seconds.
const GROUP_BYTES: usize = 8 << 20;

/// Whom to tell when a request has reached the disk.
pub(crate) enum Done {
    /// openraft waits for this append.
    Appended(IOFlushed<TypeConfig>),
    /// The caller waits.
    Reply(oneshot::Sender<io::Result<()>>),
    /// Nobody waits, and losing it in a crash is harmless: written with the next that somebody
    /// waits for.
    Lazy,
}

impl Done {
    fn needs_sync(&self) -> bool {
        match self {
            Done::Appended(_) | Done::Reply(_) => true,
            Done::Lazy => false,
        }
    }

    fn finish(self, result: Result<(), &io::Error>) {
        // io::Error cannot be cloned, and one failure answers a whole group.
        let result = result.map_err(|e| io::Error::new(e.kind(), e.to_string()));
        match self {
            Done::Appended(callback) => callback.io_completed(result),
            // The caller may have gone; the write has happened all the same.
            Done::Reply(reply) => drop(reply.send(result)),
            Done::Lazy => {}
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue")
    }
}

enum Request {
    Write { ops: Vec<Op>, done: Done },
    Stop,
}

/// Where requests are queued. What nobody waits for stays here until something else is queued:
/// waking the thread for it, after every entry that is committed, would cost more than writing it.
struct Queue {
    requests: mpsc::Sender<Request>,
    lazy: Vec<Op>,
}

impl Queue {
    /// Queues `ops` behind all that came before, lazy or not.
    fn write(&mut self, mut ops: Vec<Op>, done: Done) -> Result<(), Done> {
        if !done.needs_sync() {
            self.lazy.append(&mut ops);
            return Ok(());
        }
        if !self.lazy.is_empty() {
            let later = std::mem::replace(&mut ops, std::mem::take(&mut self.lazy));
            ops.extend(later);
        }
        let sent = self.requests.send(Request::Write { ops, done });
        sent.map_err(|mpsc::SendError(request)| match request {
            Request::Write { done, .. } => done,
            Request::Stop => Done::Lazy,
        })
    }

    /// Ends the thread behind all that came before.
    fn stop(&mut self) {
        let ops = std::mem::take(&mut self.lazy);
        // Errors mean that it has ended already.
        if !ops.is_empty() {
            let done = Done::Lazy;
            drop(self.requests.send(Request::Write { ops, done }));
        }
        drop(self.requests.send(Request::Stop));
    }
}

/// The handle of the writer thread. The thread ends when every handle is dropped, or at `stop`.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    queue: Arc<Mutex<Queue>>,
    busy_since: Arc<Mutex<Option<Instant>>>,
    /// Wakes a simulated writer, which is a task and cannot wait for its inbox as a thread does.
    #[cfg(feature = "sim")]
    bell: Arc<tokio::sync::Notify>,
}

impl Writer {
    /// Starts the thread. A failed write is reported to `fault` and answered to everyone who
    /// waits or will wait: nothing is ever retried. In a simulation there is no thread but a task.
    pub(crate) fn start(
        engine: Box<dyn Engine>,
        fault: Fault,
    ) -> io::Result<(Writer, Option<JoinHandle<()>>)> {
        let (requests, inbox) = mpsc::channel();
        let busy_since = Arc::new(Mutex::new(None));
        let worker = Worker {
            engine,
            inbox,
            busy_since: Arc::clone(&busy_since),
            fault,
        };
        #[cfg(feature = "sim")]
        let bell = Arc::new(tokio::sync::Notify::new());
        let lazy = Vec::new();
        let writer = Writer {
            queue: Arc::new(Mutex::new(Queue { requests, lazy })),
            busy_since,
            #[cfg(feature = "sim")]
            bell: Arc::clone(&bell),
        };
        #[cfg(feature = "sim")]
        if crate::sim::is_on() {
            tokio::spawn(worker.run_simulated(bell));
            return Ok((writer, None));
        }
        let thread = std::thread::Builder::new()
            .name("raft-log".to_owned())
            .spawn(move || worker.run())?;
        Ok((writer, Some(thread)))
    }

    /// Queues `ops` behind everything queued before.
    pub(crate) fn submit(&self, ops: Vec<Op>, done: Done) {
        let queued = self.queue.lock().write(ops, done);
        if let Err(done) = queued {
            done.finish(Err(&stopped()));
        }
        #[cfg(feature = "sim")]
        self.bell.notify_one();
    }

    /// Queues `ops` and waits until they are on disk.
    pub(crate) async fn write(&self, ops: Vec<Op>) -> io::Result<()> {
        let (reply, result) = oneshot::channel();
        self.submit(ops, Done::Reply(reply));
        result.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Since when the thread has been in its current write, if it is in one.
    pub(crate) fn busy_since(&self) -> Option<Instant> {
        *self.busy_since.lock()
    }

    /// Ends the thread after everything queued so far.
    pub(crate) fn stop(&self) {
        self.queue.lock().stop();
        #[cfg(feature = "sim")]
        self.bell.notify_one();
    }
}

fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the log's writer has stopped")
}

struct Worker {
    engine: Box<dyn Engine>,
    inbox: mpsc::Receiver<Request>,
    busy_since: Arc<Mutex<Option<Instant>>>,
    fault: Fault,
}

impl Worker {
    fn run(mut self) {
        let _guard = PanicReport(self.fault.clone());
        let mut failed: Option<io::Error> = None;
        while let Ok(first) = self.inbox.recv() {
            let Group { ops, waiting, stop } = self.gather(first);
            if failed.is_none() {
                *self.busy_since.lock() = Some(Instant::now());
                // What may be lost in a crash waits for the next group, but not for ever.
                let durable = stop || waiting.iter().any(Done::needs_sync);
                if let Err(error) = self.engine.commit(ops, durable) {
                    self.fault
                        .report(format!("writing the log failed: {error}"));
                    failed = Some(error);
                }
                *self.busy_since.lock() = None;
            }
            for done in waiting {
                done.finish(failed.as_ref().map_or(Ok(()), Err));
            }
            if stop {
                return;
            }
        }
    }

    /// As [`Worker::run`], in a task: data is handed to the disk, and synced when the simulated
    /// disk has taken its time.
    #[cfg(feature = "sim")]
    async fn run_simulated(mut self, bell: Arc<tokio::sync::Notify>) {
        let mut failed: Option<io::Error> = None;
        loop {
            let first = match self.inbox.try_recv() {
                Ok(first) => first,
                Err(mpsc::TryRecvError::Empty) => {
                    bell.notified().await;
                    continue;
                }
                Err(mpsc::TryRecvError::Disconnected) => return,
            };
            let Group { ops, waiting, stop } = self.gather(first);
            if failed.is_none() {
                let mut written = self.engine.commit(ops, false);
                if written.is_ok() && waiting.iter().any(Done::needs_sync) {
                    *self.busy_since.lock() = Some(Instant::now());
                    tokio::time::sleep(self.engine.sync_time()).await;
                    written = self.engine.commit(Vec::new(), true);
                    *self.busy_since.lock() = None;
                }
                if let Err(error) = written {
                    self.fault
                        .report(format!("writing the log failed: {error}"));
                    failed = Some(error);
                }
            }
            for done in waiting {
                done.finish(failed.as_ref().map_or(Ok(()), Err));
            }
            if stop {
                return;
            }
        }
    }

    /// Everything that is waiting already, up to the limits of a group.
    fn gather(&self, first: Request) -> Group {
        let mut group = Group::default();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Write { ops, done } => {
                    bytes += ops.iter().map(weight).sum::<usize>();
                    group.ops.extend(ops);
                    group.waiting.push(done);
                }
                Request::Stop => {
                    group.stop = true;
                    break;
                }
            }
            next = if group.waiting.len() < GROUP && bytes < GROUP_BYTES {
                self.inbox.try_recv().ok()
            } else {
                None
            };
        }
        group
    }
}

#[derive(Default)]
struct Group {
    ops: Vec<Op>,
    waiting: Vec<Done>,
    stop: bool,
}

fn weight(op: &Op) -> usize {
    const ENVELOPE: usize = 16;
    match op {
        Op::Entry { record, .. } | Op::Meta { record, .. } => ENVELOPE + record.len(),
        Op::Truncate { .. } | Op::Purge { .. } => ENVELOPE,
    }
}

/// Turns a panic of the thread into a fault: those who wait for it would otherwise wait for ever.
struct PanicReport(Fault);

impl Drop for PanicReport {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.report("the log's writer panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operations, and whether they were to be durable.
    type Given = Vec<(Vec<Op>, bool)>;

    /// Tells what it was given.
    struct Told(Arc<Mutex<Given>>);

    impl Engine for Told {
        fn commit(&mut self, ops: Vec<Op>, durable: bool) -> io::Result<()> {
            self.0.lock().push((ops, durable));
            Ok(())
        }
    }

    fn purge(upto: u64) -> Op {
        Op::Purge { upto }
    }

    #[tokio::test]
    async fn what_nobody_waits_for_goes_with_the_next_that_somebody_waits_for() {
        let told = Arc::default();
        let engine = Told(Arc::clone(&told));
        let (writer, thread) = Writer::start(Box::new(engine), Fault::new()).unwrap();
        writer.submit(vec![purge(1)], Done::Lazy);
        writer.submit(vec![purge(2)], Done::Lazy);
        writer.write(vec![purge(3)]).await.unwrap();
        writer.submit(vec![purge(4)], Done::Lazy);
        writer.stop();
        thread.unwrap().join().unwrap();
        let told = std::mem::take(&mut *told.lock());
        assert_eq!(told[0], (vec![purge(1), purge(2), purge(3)], true));
        // The end takes the last along, or comes right behind it.
        let rest: Vec<Op> = told[1..].iter().flat_map(|(ops, _)| ops.clone()).collect();
        assert_eq!(rest, [purge(4)]);
        assert!(told.last().unwrap().1, "the end is durable");
        assert!(writer.write(vec![purge(5)]).await.is_err(), "it has ended");
    }
}
