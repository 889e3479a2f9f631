//! Managers that are broken on purpose, to see that the simulation notices.

use crate::net::Place;
use parking_lot::Mutex;
use std::io::Read;
use std::sync::Arc;
use weft_manager::propose::BoxFuture;
use weft_manager::propose::ProposeError;
use weft_manager::propose::Proposer;
use weft_manager::store::Store;
use weft_manager::store::View;
use weft_proto::CommandId;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::convert::decode_entry;
use weft_proto::convert::encode_entry;
use weft_raft::Capture;
use weft_raft::RestoreError;
use weft_raft::StateMachine;

/// What is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing.
    #[default]
    None,
    /// Disks call writes synced that are not.
    AcknowledgesBeforeSync,
    /// Any manager answers reads from what it happens to know.
    ReadsWithoutReadIndex,
    /// A command that is proposed again is applied again.
    ForgetsCommands,
    /// One replica applies an entry otherwise than the others.
    AppliesDifferently,
    /// Commands that were decided on an old state are applied all the same.
    IgnoresVersions,
}

impl Sabotage {
    /// The state machine that a manager has under this.
    pub(crate) fn machine(
        self,
        inner: Arc<dyn StateMachine>,
        place: Place,
    ) -> Arc<dyn StateMachine> {
        match self {
            Sabotage::None | Sabotage::AcknowledgesBeforeSync | Sabotage::ReadsWithoutReadIndex => {
                inner
            }
            Sabotage::ForgetsCommands
            | Sabotage::AppliesDifferently
            | Sabotage::IgnoresVersions => Arc::new(SabotagedMachine {
                inner,
                place,
                sabotage: self,
                applied: Mutex::new(0),
            }),
        }
    }
}

struct SabotagedMachine {
    inner: Arc<dyn StateMachine>,
    place: Place,
    sabotage: Sabotage,
    applied: Mutex<u64>,
}

impl SabotagedMachine {
    fn change(&self, mut command: Command) -> Command {
        let mut applied = self.applied.lock();
        *applied += 1;
        match self.sabotage {
            Sabotage::ForgetsCommands => {
                command.id = CommandId::from_entropy(u128::from(*applied) << 64);
            }
            Sabotage::AppliesDifferently => {
                if self.place == Place(2) && *applied == 30 {
                    command.at = command.at.after(std::time::Duration::from_millis(1));
                }
            }
            Sabotage::IgnoresVersions => {
                for change in &mut command.changes {
                    if let Change::Put { expect, .. } = change
                        && matches!(expect, weft_proto::command::Expect::Version(_))
                    {
                        *expect = weft_proto::command::Expect::Any;
                    }
                }
            }
            Sabotage::None | Sabotage::AcknowledgesBeforeSync | Sabotage::ReadsWithoutReadIndex => {
            }
        }
        command
    }
}

impl StateMachine for SabotagedMachine {
    fn apply(&self, index: u64, command: &[u8]) -> Vec<u8> {
        let Ok((commands, _)) = decode_entry(command) else {
            return self.inner.apply(index, command);
        };
        let change = |bytes: Vec<u8>| match Command::decode(&bytes) {
            Ok(command) => self.change(command).encode(),
            Err(_) => bytes,
        };
        let commands = commands.into_iter().map(change).collect();
        self.inner.apply(index, &encode_entry(commands))
    }

    fn advance(&self, index: u64) {
        self.inner.advance(index);
    }

    fn snapshot(&self) -> Capture {
        self.inner.snapshot()
    }

    fn restore(&self, index: u64, from: &mut dyn Read) -> Result<(), RestoreError> {
        self.inner.restore(index, from)
    }
}

/// Answers reads without asking the leader.
pub(crate) struct SabotagedProposer {
    pub(crate) inner: Arc<dyn Proposer>,
    pub(crate) store: Arc<Store>,
}

impl Proposer for SabotagedProposer {
    fn propose(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<u64, ProposeError>> {
        self.inner.propose(changes)
    }

    fn propose_as(
        &self,
        id: CommandId,
        changes: Vec<Change>,
    ) -> BoxFuture<'_, Result<u64, ProposeError>> {
        self.inner.propose_as(id, changes)
    }

    fn local_view(&self) -> View {
        self.store.view()
    }

    fn fresh_view(&self) -> BoxFuture<'_, Result<View, ProposeError>> {
        Box::pin(async { Ok(self.store.view()) })
    }
}
