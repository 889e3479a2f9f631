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
        self.0
            .restore(State::from_snapshot(snapshot).at_index(index));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::network;
    use weft_proto::CommandId;
    use weft_proto::command::Change;
    use weft_proto::convert::decode_result;
    use weft_proto::time::Timestamp;

    fn machine() -> StoreMachine {
        StoreMachine(Arc::new(Store::default()))
    }

    fn create(n: u8) -> Vec<u8> {
        let command = Command {
            id: CommandId::from_entropy(n.into()),
            at: Timestamp::from_millis(1),
            changes: vec![Change::create(network(n))],
        };
        command.encode()
    }

    #[test]
    fn a_replica_that_starts_from_a_snapshot_has_the_same_state() {
        let first = machine();
        assert_eq!(decode_result(&first.apply(1, &create(1))).unwrap(), Ok(1));
        let capture = first.snapshot();
        first.apply(2, &create(2));
        let second = machine();
        // Entries without a command lie between the last one and the snapshot's end.
        second.restore(5, &capture()).unwrap();
        let view = second.0.view();
        assert_eq!((view.revision(), view.networks().count()), (5, 1));
        let again = decode_result(&second.apply(6, &create(1))).unwrap();
        assert_eq!(
            again,
            Ok(1),
            "a retried command is recognised across snapshots"
        );
    }

    #[test]
    fn an_entry_that_nobody_understands_is_refused_and_passed_by() {
        let machine = machine();
        let refused = decode_result(&machine.apply(3, b"\xff\xff")).unwrap();
        assert_eq!(refused.unwrap_err().kind, ConflictKind::Invalid);
        assert_eq!(machine.0.view().revision(), 3);
        assert!(machine.restore(4, b"\xff\xff").is_err());
    }
}
