use super::disk::config;
use crate::directory::Opened;
use crate::directory::open_dir;
use crate::fault::Fault;
use crate::log_store::LogStore;
use crate::state_machine::Adapter;
use crate::state_machine::Capture;
use crate::state_machine::RestoreError;
use crate::state_machine::StateMachine;
use crate::types::TypeConfig;
use crate::writer::Writer;
use openraft::StorageError;
use openraft::testing::log::StoreBuilder;
use openraft::testing::log::Suite;
use std::io::Read;
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
        Box::new(|_| Ok(()))
    }
    fn restore(&self, _index: u64, _bytes: &mut dyn Read) -> Result<(), RestoreError> {
        Ok(())
    }
}

struct OnFiles;

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

impl StoreBuilder<TypeConfig, LogStore, Adapter, Guard> for OnFiles {
    async fn build(&self) -> Result<(Guard, LogStore, Adapter), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let Opened {
            engine,
            image,
            snapshots,
        } = open_dir(&config(dir.path())).unwrap();
        let (writer, thread) = Writer::start(engine, Fault::new()).unwrap();
        let adapter = Adapter::new(
            Arc::new(Nothing),
            snapshots,
            Arc::new(watch::Sender::new(0)),
        );
        let log = LogStore::new(image, writer.clone());
        let guard = Guard {
            writer,
            thread,
            _dir: dir,
        };
        Ok((guard, log, adapter))
    }
}

#[tokio::test]
async fn the_storage_suite_of_openraft_passes_on_our_log() {
    Suite::test_all(OnFiles).await.unwrap();
}
