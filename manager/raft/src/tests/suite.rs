use crate::fault::Fault;
use crate::log_store::LogStore;
use crate::node::Opened;
use crate::node::open_dir;
use crate::seal::Sealing;
use crate::state_machine::Adapter;
use crate::state_machine::Capture;
use crate::state_machine::RestoreError;
use crate::state_machine::StateMachine;
use crate::types::TypeConfig;
use crate::writer::Writer;
use openraft::StorageError;
use openraft::testing::log::StoreBuilder;
use openraft::testing::log::Suite;
use std::sync::Arc;
use std::thread::JoinHandle;
use tempfile::TempDir;
use tokio::sync::watch;

/// Applies nothing; the suite looks at indices only.
pub(super) struct Nothing;

impl StateMachine for Nothing {
    fn apply(&self, _index: u64, _command: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn advance(&self, _index: u64) {}
    fn snapshot(&self) -> Capture {
        Box::new(Vec::new)
    }
    fn restore(&self, _index: u64, _bytes: &[u8]) -> Result<(), RestoreError> {
        Ok(())
    }
}

struct OnSled;

/// Keeps the directory until the writer has left it.
struct Guard {
    writer: Writer,
    thread: Option<JoinHandle<()>>,
    _dir: TempDir,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.writer.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl StoreBuilder<TypeConfig, LogStore, Adapter, Guard> for OnSled {
    async fn build(&self) -> Result<(Guard, LogStore, Adapter), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let Opened {
            engine,
            image,
            snapshots,
        } = open_dir(dir.path(), &Sealing::default()).unwrap();
        let (writer, thread) = Writer::start(engine, Fault::new()).unwrap();
        let adapter = Adapter::new(
            Arc::new(Nothing),
            Arc::new(snapshots),
            Arc::new(watch::Sender::new(0)),
        );
        let log = LogStore::new(image, writer.clone(), Sealing::default());
        let guard = Guard {
            writer,
            thread,
            _dir: dir,
        };
        Ok((guard, log, adapter))
    }
}

#[tokio::test]
async fn the_storage_suite_of_openraft_passes_on_the_sled_log() {
    Suite::test_all(OnSled).await.unwrap();
}
