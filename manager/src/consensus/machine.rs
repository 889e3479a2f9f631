//! The store as the log's state machine.

use crate::store::State;
use crate::store::Store;
use std::io::Read;
use std::sync::Arc;
use weft_proto::command::Command;
use weft_proto::command::Conflict;
use weft_proto::command::ConflictKind;
use weft_proto::command::StoreSnapshot;
use weft_proto::convert::ConvertError;
use weft_proto::convert::decode_entry;
use weft_proto::convert::encode_result;
use weft_proto::convert::encode_results;
use weft_raft::Capture;
use weft_raft::RestoreError;
use weft_raft::StateMachine;

/// Applies log entries to a [`Store`].
#[derive(Clone, Debug)]
pub struct StoreMachine(pub Arc<Store>);

impl StateMachine for StoreMachine {
    fn apply(&self, index: u64, entry: &[u8]) -> Vec<u8> {
        let (commands, batch) = match decode_entry(entry) {
            Ok(read) => read,
            Err(problem) => {
                let result = Err(not_understood(index, &problem));
                self.0.advance(index);
                return encode_result(&result);
            }
        };
        let commands = commands
            .iter()
            .map(|bytes| Command::decode(bytes).map_err(|problem| not_understood(index, &problem)));
        let results = self.0.apply_all(index, commands.collect());
        let mut results = results.iter().map(encode_result);
        if batch {
            return encode_results(results.collect());
        }
        results.next().unwrap_or_default()
    }

    fn advance(&self, index: u64) {
        self.0.advance(index);
    }

    fn snapshot(&self) -> Capture {
        let view = self.0.view();
        Box::new(move |out| view.write_snapshot(out))
    }

    fn restore(&self, index: u64, from: &mut dyn Read) -> Result<(), RestoreError> {
        let mut state = State::default();
        StoreSnapshot::read_pieces(from, |piece| state.absorb(piece))
            .map_err(|problem| RestoreError(Box::new(problem)))?;
        self.0.restore(state.at_index(index));
        Ok(())
    }
}

/// Committed, so every replica meets the same bytes and refuses them alike.
fn not_understood(index: u64, problem: &ConvertError) -> Conflict {
    tracing::error!(index, %problem, "a log entry is not understood");
    Conflict {
        kind: ConflictKind::Invalid,
        message: problem.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::network;
    use weft_proto::CommandId;
    use weft_proto::command::Change;
    use weft_proto::command::CommandResult;
    use weft_proto::command::Expect;
    use weft_proto::convert::decode_result;
    use weft_proto::convert::decode_results;
    use weft_proto::convert::encode_entry;
    use weft_proto::time::Timestamp;

    fn machine() -> StoreMachine {
        StoreMachine(Arc::new(Store::default()))
    }

    /// What one replica's snapshot makes of another.
    fn hand_over(capture: Capture, to: &StoreMachine, index: u64) {
        let mut bytes = Vec::new();
        capture(&mut bytes).unwrap();
        let whole = StoreSnapshot::decode(&bytes).unwrap();
        assert_eq!(whole.encode(), bytes, "one message, written piece by piece");
        to.restore(index, &mut bytes.as_slice()).unwrap();
    }

    fn create(n: u8) -> Vec<u8> {
        let command = Command {
            id: CommandId::from_entropy(n.into()),
            at: Timestamp::from_millis(1),
            changes: vec![Change::create(network(n))],
            actor: None,
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
        hand_over(capture, &second, 5);
        let view = second.0.view();
        assert_eq!((view.revision(), view.networks().count()), (5, 1));
        let again = decode_result(&second.apply(6, &create(1))).unwrap();
        assert_eq!(
            again,
            Ok(1),
            "a retried command is recognised across snapshots"
        );
    }

    fn results(bytes: &[u8]) -> Vec<CommandResult> {
        let results = decode_results(bytes).unwrap();
        results
            .iter()
            .map(|one| decode_result(one).unwrap())
            .collect()
    }

    #[test]
    fn each_command_of_an_entry_has_its_own_result_and_its_own_revision() {
        let machine = machine();
        let garbage = b"\xff\xff".to_vec();
        let entry = encode_entry(vec![create(1), create(1), garbage, create(2)]);
        let results = results(&machine.apply(5, &entry));
        assert_eq!(results[0], Ok(5));
        assert_eq!(results[1], Ok(5), "the same command again");
        assert_eq!(results[2].as_ref().unwrap_err().kind, ConflictKind::Invalid);
        assert_eq!(results[3], Ok(6));
        let view = machine.0.view();
        assert_eq!((view.revision(), view.index()), (6, 5));
        // Revisions have run ahead of the log, and stay ahead until it catches up.
        let next = machine.apply(6, &create(3));
        assert_eq!(decode_result(&next).unwrap(), Ok(7));
        machine.advance(20);
        assert_eq!(
            decode_result(&machine.apply(21, &create(4))).unwrap(),
            Ok(21)
        );
    }

    #[test]
    fn two_writes_of_one_object_in_one_entry_have_two_versions() {
        let machine = machine();
        machine.apply(1, &create(1));
        let object = network(1);
        let write = |n: u8, expect| {
            let changes = vec![Change::Put {
                object: object.clone().into(),
                expect,
            }];
            let id = CommandId::from_entropy(n.into());
            let at = Timestamp::from_millis(1);
            Command {
                id,
                at,
                changes,
                actor: None,
            }
            .encode()
        };
        let entry = encode_entry(vec![
            write(2, Expect::Version(1)),
            write(3, Expect::Version(1)),
            write(4, Expect::Any),
            write(5, Expect::Version(2)),
        ]);
        let results = results(&machine.apply(2, &entry));
        assert_eq!(results[0], Ok(2));
        let beaten = |n: usize| results[n].as_ref().unwrap_err().kind;
        assert_eq!(beaten(1), ConflictKind::Version, "the first one won");
        assert_eq!(results[2], Ok(3));
        // Who wrote version 2 cannot overwrite version 3 unseen.
        assert_eq!(beaten(3), ConflictKind::Version);
        let deltas = machine.0.deltas_since(1, 10).unwrap();
        let revisions: Vec<_> = deltas.iter().map(|d| (d.previous, d.revision)).collect();
        assert_eq!(revisions, [(1, 2), (2, 3)]);
    }

    #[test]
    fn a_replica_that_restarts_from_a_snapshot_goes_on_with_the_same_revisions() {
        let first = machine();
        first.apply(1, &encode_entry(vec![create(1), create(2), create(3)]));
        let second = machine();
        hand_over(first.snapshot(), &second, 1);
        for machine in [&first, &second] {
            machine.apply(2, &encode_entry(vec![create(4), create(5)]));
        }
        let (first, second) = (first.0.view(), second.0.view());
        assert_eq!((second.revision(), second.index()), (5, 2));
        assert_eq!(first.hash(), second.hash());
    }

    #[test]
    fn an_entry_that_nobody_understands_is_refused_and_passed_by() {
        let machine = machine();
        let refused = decode_result(&machine.apply(3, b"\xff\xff")).unwrap();
        assert_eq!(refused.unwrap_err().kind, ConflictKind::Invalid);
        assert_eq!(machine.0.view().revision(), 3);
        assert!(machine.restore(4, &mut b"\xff\xff".as_slice()).is_err());
    }
}
