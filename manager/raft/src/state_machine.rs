//! What commands are applied to, and its face towards openraft.

use crate::snapshot::SnapshotFile;
use crate::snapshot::SnapshotStore;
use crate::types::LogId;
use crate::types::Payload;
use crate::types::Snapshot;
use crate::types::SnapshotMeta;
use crate::types::StoredMembership;
use crate::types::TypeConfig;
use futures::Stream;
use futures::StreamExt;
use openraft::OptionalSend;
use openraft::RaftSnapshotBuilder;
use openraft::entry::RaftEntry;
use openraft::storage::EntryResponder;
use openraft::storage::RaftStateMachine;
use parking_lot::Mutex;
use std::error::Error;
use std::fmt;
use std::io;
use std::io::Read;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

/// A captured state, which writes itself down when called, piece by piece.
pub type Capture = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// The state that the log's commands make. Kept in memory: after a restart it is rebuilt from
/// the last snapshot and the commands after it.
///
/// Every replica is given the same commands in the same order and must end in the same state,
/// so nothing here may depend on clock, chance, environment or order of hashing. A panic in any
/// of these methods is a fault of the member.
pub trait StateMachine: Send + Sync + 'static {
    /// Applies the committed command at `index`; the result goes to the proposer, if it is
    /// here. A command that must be refused is refused in the result. Called with rising
    /// indices by one thread at a time; must not block.
    fn apply(&self, index: u64, command: &[u8]) -> Vec<u8>;

    /// The entry at `index` is committed and carries no command (a new leader's first entry, a
    /// change of membership). For those who wait until some index is applied.
    fn advance(&self, index: u64);

    /// Captures the state as it is now, in constant time; the returned function writes it down
    /// on another thread while commands go on being applied. Its bytes need not be in memory
    /// all at once.
    fn snapshot(&self) -> Capture;

    /// Replaces the whole state by one that [`StateMachine::snapshot`] wrote, on this or another
    /// member, when `index` had been applied. Called on a thread of its own, while nothing is
    /// applied. May leave the old state in place if it fails; the member then stops.
    fn restore(&self, index: u64, bytes: &mut dyn Read) -> Result<(), RestoreError>;
}

/// A snapshot that is not understood. The member cannot go on without it.
#[derive(Debug, thiserror::Error)]
#[error("the snapshot is not understood")]
pub struct RestoreError(#[source] pub Box<dyn Error + Send + Sync>);

/// openraft's view of a [`StateMachine`].
pub(crate) struct Adapter {
    app: Arc<dyn StateMachine>,
    snapshots: Arc<SnapshotStore>,
    applied: Option<LogId>,
    membership: StoredMembership,
    progress: Arc<watch::Sender<u64>>,
}

impl Adapter {
    /// `progress` follows the applied index.
    pub(crate) fn new(
        app: Arc<dyn StateMachine>,
        snapshots: Arc<SnapshotStore>,
        progress: Arc<watch::Sender<u64>>,
    ) -> Self {
        Adapter {
            app,
            snapshots,
            applied: None,
            membership: StoredMembership::default(),
            progress,
        }
    }

    fn apply_one(&mut self, log_id: LogId, payload: Payload) -> io::Result<Vec<u8>> {
        let index = log_id.index;
        let response = match payload {
            Payload::Normal(command) => guarded("apply", || self.app.apply(index, &command.0))?,
            Payload::Blank => {
                guarded("advance", || self.app.advance(index))?;
                Vec::new()
            }
            Payload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(log_id), membership);
                guarded("advance", || self.app.advance(index))?;
                Vec::new()
            }
        };
        self.reached(Some(log_id));
        Ok(response)
    }

    fn reached(&mut self, log_id: Option<LogId>) {
        self.applied = log_id;
        if let Some(LogId { index, .. }) = log_id {
            self.progress.send_replace(index);
        }
    }
}

/// Turns a panic into an error, which ends the member in an orderly way. openraft would go on
/// without anything being applied any more.
fn guarded<T>(what: &str, call: impl FnOnce() -> T) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|_| io::Error::other(format!("the state machine panicked in {what}")))
}

impl RaftStateMachine<TypeConfig> for Adapter {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let response = self.apply_one(entry.log_id(), entry.payload)?;
            if let Some(responder) = responder {
                responder.send(response);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            capture: Mutex::new(Some(guarded("snapshot", || self.app.snapshot()))),
            meta: SnapshotMeta {
                last_log_id: self.applied,
                last_membership: self.membership.clone(),
            },
            snapshots: Arc::clone(&self.snapshots),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotFile,
    ) -> io::Result<()> {
        let snapshots = Arc::clone(&self.snapshots);
        let app = Arc::clone(&self.app);
        let index = meta.last_log_id.map_or(0, |last| last.index);
        blocking(move || {
            // At start the file is the source of this very call, and stays as it is.
            snapshots.install(&snapshot)?;
            let mut reader = snapshot.reader();
            guarded("restore", || app.restore(index, &mut reader))?.map_err(io::Error::other)?;
            // The checksum of the whole comes last.
            io::copy(&mut reader, &mut io::sink())
        })
        .await?;
        self.membership = meta.last_membership.clone();
        self.reached(meta.last_log_id);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self.snapshots.current().map(Snapshot::from))
    }
}

/// Writes down one captured state, beside the applying of further commands.
pub(crate) struct Builder {
    /// openraft wants to share builders between threads, which a capture alone does not allow.
    capture: Mutex<Option<io::Result<Capture>>>,
    meta: SnapshotMeta,
    snapshots: Arc<SnapshotStore>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let capture = self
            .capture
            .get_mut()
            .take()
            .unwrap_or_else(|| Err(io::Error::other("a snapshot is built once")))?;
        let meta = self.meta.clone();
        let snapshots = Arc::clone(&self.snapshots);
        blocking(move || {
            let mut writer = snapshots.begin(meta)?;
            guarded("snapshot", || capture(&mut writer))??;
            // If one that is as new was installed meanwhile, that one counts.
            snapshots.install(&writer.finish()?)?;
            let current = snapshots.current().map(Snapshot::from);
            current.ok_or_else(|| io::Error::other("the snapshot just written is gone"))
        })
        .await
    }
}

impl From<SnapshotFile> for Snapshot {
    fn from(file: SnapshotFile) -> Self {
        Snapshot {
            meta: file.meta.clone(),
            snapshot: file,
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    // Another thread would bring its own timing into a simulation.
    #[cfg(feature = "sim")]
    if crate::sim::is_on() {
        return work();
    }
    spawn_blocking(work).await.map_err(io::Error::other)?
}
