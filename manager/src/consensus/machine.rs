//! The store as the log's state machine.

use crate::store::State;
use crate::store::Store;
use std::sync::Arc;
use weft_proto::command::Command;
use weft_proto::command::CommandResult;
use weft_proto::command::Conflict;
use weft_proto::command::ConflictKind;
use weft_proto::command::StoreSnapshot;
use weft_proto::convert::encode_result;
use weft_raft::Capture;
use weft_raft::RestoreError;
use weft_raft::StateMachine;

/// Applies log entries to a [`Store`].
#[derive(Clone, Debug)]
pub struct StoreMachine(pub Arc<Store>);

impl StateMachine for StoreMachine {
    fn apply(&self, index: u64, command: &[u8]) -> Vec<u8> {
        let result: CommandResult = match Command::decode(command) {
            Ok(command) => self.0.apply(index, &command),
            // Committed, so every replica meets the same bytes and refuses them alike.
            Err(problem) => {
                tracing::error!(index, %problem, "a log entry is not understood");
                self.0.advance(index);
                Err(Conflict {
                    kind: ConflictKind::Invalid,
                    message: problem.to_string(),
                })
            }
        };
        encode_result(&result)
    }

    fn advance(&self, index: u64) {
        self.0.advance(index);
    }

    fn snapshot(&self) -> Capture {
        let view = self.0.view();
        Box::new(move || view.to_snapshot().encode())
    }

    fn restore(&self, index: u64, bytes: &[u8]) -> Result<(), RestoreError> {
        let snapshot =
            StoreSnapshot::decode(bytes).map_err(|problem| RestoreError(Box::new(problem)))?;
        let mut state = State::from_snapshot(snapshot);
        state.set_revision(index);
        self.0.restore(state);
        Ok(())
    }
}
